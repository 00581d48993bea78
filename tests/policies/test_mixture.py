from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steproute.artifacts import write_artifact
from steproute.core.decision import Rewrite
from steproute.core.errors import ConfigError
from steproute.core.observation import Observation
from steproute.core.ports import READS, SCORES_REWRITES
from steproute.core.problem import Problem
from steproute.core.solution import Draft, Prefix, Stop
from steproute.core.usage import Usage
from steproute.policies.mixture import BudgetCurve, Mix, MixtureFamily
from steproute.policies.stored import load_policy, mixture_artifact
from steproute.policies.trim.ladder import LadderThreshold
from steproute.policies.trim.threshold import Threshold

CURVE = BudgetCurve(axis="tokens", knobs=(0.0, 0.1, 0.9), costs=(1.0, 2.8, 5.8))
ONE = BudgetCurve(axis="usd", knobs=(0.2,), costs=(4.0,))


def seen(name: str, score: float = 0.5) -> Observation:
    draft = Draft(model="m", text="x", stop=Stop.SEPARATOR, usage=Usage(output_tokens=9))
    return Observation(
        prefix=Prefix(problem=Problem.ask(id=name, text="t")), draft=draft, scores=(score,), max_steps=30
    )


def test_each_problem_keeps_to_one_of_the_two_knobs_and_the_share_holds() -> None:
    policy = MixtureFamily(Threshold, CURVE, 3.7, 0.2, 1.0).at(0.2, 0)
    high = [policy.decide(seen(f"p{i}")) == Rewrite("strong") for i in range(4000)]
    assert sum(high) / len(high) == pytest.approx(0.3, abs=0.03)
    for index in range(50):
        assert (policy.decide(seen(f"p{index}", 0.89)) == Rewrite("strong")) == high[index]
        assert policy.decide(seen(f"p{index}", 0.05)) == Rewrite("strong")
    assert READS.of(policy) == {"scores"}


def test_a_calibrated_policy_comes_back_whole_even_around_a_calibrated_one(tmp_path: Path) -> None:
    write_artifact(mixture_artifact(CURVE, 3.7, 0.2, 1.0, "threshold", {}), tmp_path / "a")
    inner = load_policy(tmp_path / "a")
    assert inner == MixtureFamily(Threshold, CURVE, 3.7, 0.2, 1.0)
    write_artifact(mixture_artifact(ONE, 4.0, 0.5, 0.3, f"{tmp_path}/a", {}, tmp_path / "a"), tmp_path / "b")
    (tmp_path / "a/policy.json").unlink()
    assert load_policy(tmp_path / "b") == MixtureFamily(inner, ONE, 4.0, 0.5, 0.3)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"share: 1.2 is outside \[0, 1\]"):
        Mix(low=0, high=1, share=1.2)
    with pytest.raises(ConfigError, match="knob: 0.3 is not 0.2"):
        MixtureFamily(Threshold, CURVE, 3.7, 0.2, 1.0).at(0.3, 0)
    with pytest.raises(ConfigError, match="'tarot' is unknown"):
        mixture_artifact(CURVE, 3.7, 0.2, 1.0, "tarot", {})
    with pytest.raises(ConfigError, match="no ascending curve"):
        BudgetCurve(axis="usd", knobs=(0.1, 0.2), costs=(2.0, 2.0))


@given(st.floats(0, 10))
def test_the_mix_spends_the_cost_or_the_nearest_end(cost: float) -> None:
    mix = CURVE.mix(cost)
    costs = dict(zip(CURVE.knobs, CURVE.costs, strict=True))
    spent = (1 - mix.share) * costs[mix.low] + mix.share * costs[mix.high]
    assert spent == pytest.approx(min(max(cost, 1.0), 5.8))


def test_a_calibrated_ladder_decides_about_rewritten_steps_as_well() -> None:
    family = MixtureFamily(LadderThreshold, CURVE, 3.7, 0.2, 1.0)
    assert SCORES_REWRITES.of(family.at(family.goal, 0))
    assert not SCORES_REWRITES.of(MixtureFamily(Threshold, CURVE, 3.7, 0.2, 1.0).at(0.2, 0))
