import pytest
from hypothesis import given
from hypothesis import strategies as st

from steproute import Accept, Decision, Draft, Observation, Prefix, Problem, Rewrite, Step, Stop, Usage
from steproute.core.errors import ConfigError
from steproute.policies.baselines.random import RandomRouting
from steproute.policies.trim.threshold import Threshold, ThresholdTakeover

scores = st.floats(0, 1)


def seen(score: float, problem: str = "p", decisions: tuple[Decision, ...] = ()) -> Observation:
    steps = tuple(Step(role="strong", text="x", tokens=1, decision=decision) for decision in decisions)
    prefix = Prefix(problem=Problem.ask(id=problem, text="?"), steps=steps)
    draft = Draft(model="w", text="y", stop=Stop.SEPARATOR, usage=Usage())
    return Observation(prefix=prefix, draft=draft, scores=(*[0.9] * len(steps), score), max_steps=30)


@given(score=scores, low=scores, high=scores)
def test_a_higher_threshold_never_accepts_more(score: float, low: float, high: float) -> None:
    low, high = sorted((low, high))
    if Threshold(high).decide(seen(score)) == Accept():
        assert Threshold(low).decide(seen(score)) == Accept()


@given(score=st.floats(0, 1, exclude_max=True))
def test_zero_is_always_weak_and_one_always_strong(score: float) -> None:
    assert Threshold(0.0).decide(seen(score)) == Accept()
    assert Threshold(1.0).decide(seen(score)) == Rewrite("strong")


def test_takeover_comes_when_patience_is_spent() -> None:
    policy = ThresholdTakeover(0.5, patience=2)
    assert policy.decide(seen(0.1)) == Rewrite("strong")
    assert policy.decide(seen(0.1, decisions=(Rewrite("strong"),))) == Rewrite("strong", None)
    assert policy.decide(seen(0.6, decisions=(Rewrite("strong"),))) == Accept()
    assert policy.decide(seen(0.1, decisions=(Accept(),))) == Rewrite("strong")


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_random_routing_regenerates_at_its_rate_and_is_repeatable(rate: float) -> None:
    decisions = [RandomRouting(rate, 1).decide(seen(0.5, str(i))) for i in range(2000)]
    assert decisions == [RandomRouting(rate, 1).decide(seen(0.9, str(i))) for i in range(2000)]
    assert decisions.count(Rewrite("strong")) / 2000 == pytest.approx(rate, abs=0.04)


@pytest.mark.parametrize("kind", [Threshold, ThresholdTakeover, RandomRouting])
def test_a_knob_outside_the_unit_interval_is_refused(kind: type[Threshold]) -> None:
    with pytest.raises(ConfigError, match=r"1.5 is outside \[0, 1\]"):
        kind.at(1.5, 0)
