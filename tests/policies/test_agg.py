import hashlib
from dataclasses import replace
from math import log
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steproute.artifacts import Artifact, write_artifact
from steproute.config.route import policy_family
from steproute.core.decision import Accept, Rewrite
from steproute.core.errors import ArtifactError, ConfigError
from steproute.core.observation import Observation
from steproute.core.problem import Problem
from steproute.core.solution import Draft, Prefix, Step, Stop
from steproute.core.usage import Usage
from steproute.policies.stored import AGG, load_policy, network_artifact
from steproute.policies.trim.agg import AggNetwork, aggregate_features
from steproute.policies.trim.learned import LearnedFamily, lambda_feature


def observation(scores: tuple[float, ...], tokens: int = 30) -> Observation:
    steps = tuple(Step(role="weak", text=f"s{i}", tokens=5) for i in range(len(scores) - 1))
    draft = Draft(model="m", text="x", stop=Stop.SEPARATOR, usage=Usage(output_tokens=tokens))
    return Observation(
        prefix=Prefix(problem=Problem.ask(id="p", text="t"), steps=steps), draft=draft, scores=scores, max_steps=30
    )


def network(*biases: float) -> AggNetwork:
    """The logit of accepting grows with r_t, the third feature; those of the rewriters are constant."""
    weights = {"logits.weight": np.zeros((1 + len(biases), 6)), "logits.bias": np.array([0.0, *biases])}
    weights["logits.weight"][0, 2] = 1
    weights["blocks.0.weight"] = np.eye(6)
    return AggNetwork(
        {**weights, "blocks.0.bias": np.zeros(6), "blocks.0.gain": np.ones(6), "blocks.0.shift": np.zeros(6)}
    )


def test_the_features_are_the_specs() -> None:
    def scaled(score: float) -> float:
        return log(score / (1 - score)) / log(99)

    features = aggregate_features(observation((0.9, 0.5, 0.8), 30))
    assert features == pytest.approx([scaled(0.5), scaled(0.45), scaled(0.8), 0.1, 0.1])
    assert aggregate_features(observation((0.3,), 60)) == pytest.approx([1, 1, scaled(0.3), 0.2, 1 / 30])
    assert aggregate_features(observation((0.0, 1.0), 60))[:3] == pytest.approx([-1, -1, 1])


def test_a_policy_that_was_trained_on_raw_scores_is_refused(tmp_path: Path) -> None:
    artifact = network_artifact(AGG, LearnedFamily(network(0), 1e-3, 1e-1), {})
    write_artifact(artifact, tmp_path / "new")
    assert load_policy(tmp_path / "new").knobs[0] == 1e-3
    write_artifact(
        replace(artifact, facts={k: v for k, v in artifact.facts.items() if k != "features"}), tmp_path / "old"
    )
    with pytest.raises(ArtifactError, match="trained on 'raw scores'. Train the policy again"):
        load_policy(tmp_path / "old")


@given(st.floats(1e-6, 1e-1), st.floats(1.01, 1e3), st.floats(0, 1))
def test_lambda_is_mapped_to_minus_one_to_one_by_its_logarithm(low: float, ratio: float, place: float) -> None:
    lam = low * ratio**place
    assert lambda_feature(lam, low, low * ratio) == pytest.approx(2 * place - 1, abs=1e-6)
    assert lambda_feature(low, low, low) == 0


def test_the_more_likely_decision_is_taken() -> None:
    always, never = (network(bias) for bias in (99.0, -99.0))
    seen = observation((0.9, 0.2))
    assert LearnedFamily(always, 0.1, 0.1).at(0.1, 0).decide(seen) == Rewrite("strong")
    assert LearnedFamily(never, 0.1, 0.1).at(0.1, 0).decide(seen) == Accept()


def test_with_three_roles_each_has_a_decision() -> None:
    seen = observation((0.9, 0.2))
    for biases, decision in (
        ((-99.0, -99.0), Accept()),
        ((99.0, 0.0), Rewrite("mid")),
        ((0.0, 99.0), Rewrite("strong")),
    ):
        family = LearnedFamily(network(*biases), 0.1, 0.1, rewriters=("mid", "strong"))
        assert family.at(0.1, 0).decide(seen) == decision


def test_the_shipped_policy_of_two_roles_decides_as_when_it_was_trained() -> None:
    family = policy_family("lab-agg")
    assert isinstance(family, LearnedFamily)
    assert family.rewriters == ("strong",)
    assert family.knobs[:2] == (7.862e-06, 1.341e-05)
    low, high = [-1, -1, -1, 0, 0, -1], [1, 1, 1, 0.2, 1, 1]
    logits = family.network.logits(np.random.default_rng(0).uniform(low, high, (2000, 6)))
    decisions = logits.argmax(axis=1).astype(np.uint8)
    assert hashlib.sha256(decisions.tobytes()).hexdigest().startswith("71923c70b71d5895")


def test_the_grid_is_even_in_the_logarithm_and_an_untrained_lambda_is_refused() -> None:
    family = LearnedFamily(network(0), 1e-3, 1e-1, grid=3)
    assert family.knobs == (1e-3, 1e-2, 1e-1)
    assert LearnedFamily(network(0), 0.02, 0.02).knobs == (0.02,)
    for knob in family.knobs:
        assert log(family.at(knob, 0).lam) == pytest.approx(log(knob))
    with pytest.raises(ConfigError, match=r"λ = 0.2 is outside \[0.001, 0.1\]"):
        family.at(0.2, 0)


def test_an_artefact_brings_the_same_network_back(tmp_path: Path) -> None:
    family = LearnedFamily(network(0.3), 1e-3, 1e-1)
    write_artifact(network_artifact("agg", family, {"data": "lab:train"}), tmp_path)
    loaded = load_policy(tmp_path)
    assert isinstance(loaded, LearnedFamily)
    points = np.random.default_rng(0).random((20, 6))
    assert np.array_equal(loaded.network.logits(points), family.network.logits(points))
    assert loaded.knobs == family.knobs


def test_an_artefact_names_its_roles(tmp_path: Path) -> None:
    three = LearnedFamily(network(0.3, 0.4), 1e-3, 1e-1, rewriters=("mid", "strong"))
    artifact = network_artifact("agg", three, {})
    assert artifact.facts["roles"] == ["weak", "mid", "strong"]
    write_artifact(artifact, tmp_path / "three")
    loaded = load_policy(tmp_path / "three")
    assert isinstance(loaded, LearnedFamily)
    assert loaded.rewriters == ("mid", "strong")
    two = network_artifact("agg", LearnedFamily(network(0.3), 1e-3, 1e-1), {})
    assert two.facts["roles"] == ["weak", "strong"]
    write_artifact(replace(two, facts={k: v for k, v in two.facts.items() if k != "roles"}), tmp_path / "old")
    old = load_policy(tmp_path / "old")
    assert isinstance(old, LearnedFamily)
    assert old.rewriters == ("strong",)


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        ("weak", "roles: 'weak' is not weak and then"),
        (["mid", "strong"], "is not weak and then"),
        (["weak", 3, "strong"], "is not weak and then"),
        (["weak", "mid", "mid"], "a role is there twice"),
        (["weak", "weak", "mid"], "a role is there twice"),
        (["weak", "strong"], "it chooses among 3 decisions, and the roles are weak, strong"),
    ],
)
def test_roles_that_are_not_those_of_the_network_are_refused(tmp_path: Path, roles: object, message: str) -> None:
    three = LearnedFamily(network(0.3, 0.4), 1e-3, 1e-1, rewriters=("mid", "strong"))
    artifact = network_artifact("agg", three, {})
    write_artifact(replace(artifact, facts={**artifact.facts, "roles": roles}), tmp_path)
    with pytest.raises(ArtifactError, match=message):
        load_policy(tmp_path)


def test_weights_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    whole = network_artifact("agg", LearnedFamily(network(0.3), 1e-3, 1e-1), {})
    for change in (
        {"logits.weight": np.zeros((2, 5))},
        {"logits.bias": np.zeros(3)},
        {"logits.weight": np.zeros((3, 6)), "logits.bias": np.zeros(3)},
    ):
        write_artifact(Artifact(kind="agg", arrays={**whole.arrays, **change}, facts=whole.facts), tmp_path)
        with pytest.raises(ArtifactError, match="network"):
            load_policy(tmp_path)
