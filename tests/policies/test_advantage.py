from pathlib import Path

import numpy as np
import pytest

from steproute import Accept, Draft, Observation, Prefix, Problem, Rewrite, Step, Stop, Usage
from steproute.artifacts import write_artifact
from steproute.core.errors import ConfigError
from steproute.policies.advantage import INPUTS, Advantage, AdvantageFamily, AdvantageNetwork, advantage_features
from steproute.policies.stored import advantage_artifact, load_policy


def seen(*scores: float, roles: tuple[str, ...] = (), logprobs: tuple[float, ...] | None = None) -> Observation:
    steps = tuple(Step(role=role, text="s", tokens=1) for role in roles)
    draft = Draft(model="m", text="x", stop=Stop.SEPARATOR, usage=Usage(output_tokens=30), logprobs=logprobs)
    prefix = Prefix(problem=Problem.ask(id="p", text="t"), steps=steps)
    return Observation(prefix=prefix, draft=draft, scores=scores, max_steps=10)


def reading(name: str, weight: float, bias: float = 0.0) -> AdvantageNetwork:
    """Logistic regression on one input."""
    weights = np.zeros((1, len(INPUTS)))
    weights[0, INPUTS.index(name)] = weight
    return AdvantageNetwork({"layers.0.weight": weights, "layers.0.bias": np.array([bias])})


def test_it_regenerates_only_above_its_threshold() -> None:
    network = reading("last is strong", 2.0, -1.0)
    assert Advantage(network, 0.5).decide(seen(0.9, 0.2, roles=("strong",))) == Rewrite("strong")
    assert Advantage(network, 0.5).decide(seen(0.9, 0.2, roles=("weak",))) == Accept()


def test_the_ends_of_the_knob_are_always_strong_and_always_weak() -> None:
    network = reading("log r", -1.0)
    for observation in (seen(0.999999), seen(0.0)):
        assert Advantage(network, 0.0).decide(observation) == Rewrite("strong")
        assert Advantage(network, 1.0).decide(observation) == Accept()


def test_inputs_are_the_scores_the_place_and_the_authors() -> None:
    observation = seen(0.8, 0.5, 0.25, roles=("strong", "weak"), logprobs=(-1.0, -3.0))
    expected = [np.log(0.25), np.log(0.75), np.log(0.5), np.log(0.4), 0.5, 0.1, 0.3, 0.1, 0.0]
    assert advantage_features(observation, confident=False) == pytest.approx(expected)
    assert advantage_features(observation, confident=True) == pytest.approx([*expected, -2.0, -3.0])
    with pytest.raises(ConfigError, match="log-probabilities"):
        advantage_features(seen(0.5), confident=True)


def test_a_trained_policy_comes_back_from_its_folder(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    network = AdvantageNetwork(
        {
            "layers.0.weight": rng.normal(size=(32, 11)),
            "layers.0.bias": rng.normal(size=32),
            "layers.1.weight": rng.normal(size=(1, 32)),
            "layers.1.bias": rng.normal(size=1),
        }
    )
    write_artifact(advantage_artifact(AdvantageFamily(network, (0.0, 0.3, 1.0)), {"label": "prm"}), tmp_path)
    again = load_policy(tmp_path)
    assert isinstance(again, AdvantageFamily)
    assert again.knobs == (0.0, 0.3, 1.0)
    features = rng.normal(size=(5, 11))
    assert again.network.probability(features) == pytest.approx(network.probability(features))
    assert again.at(0.3, 0).reads == {"scores", "authors", "confidence"}
    with pytest.raises(ConfigError, match="tau"):
        again.at(1.5, 0)


@pytest.mark.parametrize("shape", [(1, 5), (2, 9)])
def test_a_network_of_other_inputs_or_outputs_is_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match="network"):
        AdvantageNetwork({"layers.0.weight": np.ones(shape), "layers.0.bias": np.zeros(shape[0])})
