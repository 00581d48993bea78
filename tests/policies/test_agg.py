from dataclasses import replace
from math import log
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steproute.artifacts import Artifact, write_artifact
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


def network(regenerates_below: float) -> AggNetwork:
    """No block: the logits are a linear function of the features, of which the third is r_t."""
    weights = {"logits.weight": np.zeros((2, 6)), "logits.bias": np.array([0.0, regenerates_below])}
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
