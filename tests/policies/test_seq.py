from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steproute.artifacts import Artifact, write_artifact
from steproute.core.errors import ArtifactError
from steproute.core.observation import Observation
from steproute.core.problem import Problem
from steproute.core.solution import Draft, Prefix, Step, Stop
from steproute.core.usage import Usage
from steproute.policies.stored import SEQ, load_policy, network_artifact
from steproute.policies.trim.learned import LearnedFamily
from steproute.policies.trim.seq import HORIZON, LAYERS, SeqNetwork, sequence_features

WIDTH = 8


def observation(scores: list[float]) -> Observation:
    steps = tuple(Step(role="weak", text=f"s{i}", tokens=30 * (i + 1)) for i in range(len(scores) - 1))
    draft = Draft(model="m", text="x", stop=Stop.SEPARATOR, usage=Usage(output_tokens=60))
    return Observation(
        prefix=Prefix(problem=Problem.ask(id="p", text="t"), steps=steps),
        draft=draft,
        scores=tuple(scores),
        max_steps=30,
    )


def network(seed: int) -> SeqNetwork:
    rng = np.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {"step.weight": (WIDTH, 3), "step.bias": (WIDTH,), "position": (30, WIDTH)}
    for i in range(LAYERS):
        shapes |= {f"layers.{i}.{name}_{part}": (WIDTH,) for name in ("attention", "mlp") for part in ("gain", "shift")}
        for name, size in {"qkv": (3, 1), "out": (1, 1), "up": (4, 1), "down": (1, 4)}.items():
            shapes[f"layers.{i}.{name}.weight"] = (size[0] * WIDTH, size[1] * WIDTH)
            shapes[f"layers.{i}.{name}.bias"] = (size[0] * WIDTH,)
    shapes |= {"gain": (WIDTH,), "shift": (WIDTH,), "logits.weight": (2, WIDTH), "logits.bias": (2,)}
    return SeqNetwork({name: rng.normal(size=shape) for name, shape in shapes.items()})


def test_the_features_are_the_scores_and_token_counts_of_the_steps_so_far() -> None:
    features = sequence_features(observation([0.9, 0.2, 0.7]), 0.5)
    assert features[:2].tolist() == [0.5, 3]
    assert features[2:5].tolist() == [0.9, 0.2, 0.7]
    assert features[2 + HORIZON : 5 + HORIZON] == pytest.approx([0.1, 0.2, 0.2])
    assert np.count_nonzero(features) == 8


def test_a_solution_longer_than_the_horizon_is_seen_from_its_end() -> None:
    scores = [0.01 * i for i in range(1, 41)]
    features = sequence_features(observation(scores), 0.0)
    assert features[1] == HORIZON
    assert features[2 : 2 + HORIZON] == pytest.approx(scores[-HORIZON:])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=HORIZON), st.integers(0, 5))
def test_nothing_after_the_newest_step_is_read(scores: list[float], seed: int) -> None:
    features = sequence_features(observation(scores), 0.1)
    altered = features.copy()
    altered[2 + len(scores) : 2 + HORIZON] = 0.5
    altered[2 + HORIZON + len(scores) :] = 0.5
    assert np.array_equal(network(seed).logits(altered), network(seed).logits(features))


def test_every_step_and_lambda_count() -> None:
    seen = observation([0.9, 0.2, 0.7])
    before = network(0).logits(sequence_features(seen, 0.0))
    for scores in ((0.8, 0.2, 0.7), (0.9, 0.3, 0.7), (0.9, 0.2, 0.6)):
        assert not np.allclose(network(0).logits(sequence_features(replace(seen, scores=scores), 0.0)), before)
    assert not np.allclose(network(0).logits(sequence_features(seen, 0.5)), before)


def test_an_artefact_brings_the_same_network_back_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    whole = network_artifact(SEQ, LearnedFamily(network(1), 1e-3, 1e-2), {})
    write_artifact(whole, tmp_path)
    loaded = load_policy(tmp_path)
    assert isinstance(loaded, LearnedFamily)
    features = sequence_features(observation([0.9, 0.2, 0.7]), 0.0)
    assert np.array_equal(loaded.network.logits(features), network(1).logits(features))
    write_artifact(Artifact(kind=SEQ, arrays={**whole.arrays, "gain": np.zeros(3)}, facts=whole.facts), tmp_path)
    with pytest.raises(ArtifactError, match="network"):
        load_policy(tmp_path)
