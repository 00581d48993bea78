from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="fitting needs the learn extra")

from steproute.artifacts import Artifact, write_artifact
from steproute.core.decision import Rewrite
from steproute.core.errors import ArtifactError, DatasetError
from steproute.core.observation import Observation
from steproute.core.problem import Problem
from steproute.core.solution import Draft, Prefix, Stop
from steproute.core.usage import Usage
from steproute.evaluation.auc import roc_auc
from steproute.learn.query_fit import fit_classifier, fit_similarity
from steproute.policies.query import QueryFamily, TfIdf
from steproute.policies.stored import load_policy, query_artifact


def problems(seed: int, count: int = 300) -> tuple[list[str], list[bool]]:
    """Weak fails four in five problems about trains and one in five others."""
    rng = np.random.default_rng(seed)
    trains = rng.random(count) < 0.5
    words = [f"a train leaves at {rng.integers(9)}" if t else f"an apple costs {rng.integers(9)}" for t in trains]
    return words, (rng.random(count) < np.where(trains, 0.2, 0.8)).tolist()


def seen(text: str) -> Observation:
    return Observation(
        prefix=Prefix(problem=Problem.ask(id="p", text=text)),
        draft=Draft(model="", text="", stop=Stop.SEPARATOR, usage=Usage()),
        scores=(),
        max_steps=30,
    )


@pytest.fixture(params=["similarity", "classifier"])
def family(request: pytest.FixtureRequest) -> QueryFamily:
    texts, right = problems(0)
    return fit_similarity(texts, right) if request.param == "similarity" else fit_classifier(texts, right, 0)


def test_a_predictor_knows_which_problems_weak_fails(family: QueryFamily) -> None:
    texts, right = problems(1)
    chances = [family.predictor.probability(text) for text in texts]
    assert all(0 <= chance <= 1 for chance in chances)
    assert roc_auc(chances, right) > 0.75
    assert family.predictor.probability("a train leaves at 3") < family.predictor.probability("an apple costs 3")


def test_a_higher_threshold_sends_more_to_strong(family: QueryFamily) -> None:
    texts, _ = problems(1, 100)
    sent = [sum(family.at(knob, 0).decide(seen(text)) == Rewrite("strong") for text in texts) for knob in family.knobs]
    assert sent == sorted(sent)
    assert (sent[0], sent[-1]) == (0, 100)


def test_an_artefact_brings_the_same_predictions_back(family: QueryFamily, tmp_path: Path) -> None:
    whole = query_artifact(family, {})
    write_artifact(whole, tmp_path)
    loaded = load_policy(tmp_path)
    assert isinstance(loaded, QueryFamily)
    assert loaded.knobs == family.knobs
    for text in ("a train leaves at 3", "an apple", "", "nothing known"):
        assert loaded.predictor.probability(text) == family.predictor.probability(text)
    write_artifact(Artifact(kind=whole.kind, arrays={**whole.arrays, "idf": np.zeros(1)}, facts=whole.facts), tmp_path)
    with pytest.raises(ArtifactError, match="idf"):
        load_policy(tmp_path)


def test_problems_that_weak_always_solves_teach_nothing() -> None:
    with pytest.raises(DatasetError, match="weak solved 300 of 300"):
        fit_similarity(problems(0)[0], [True] * 300)


def test_vectors_have_length_one_or_none() -> None:
    text = TfIdf(("a", "b", "a b"), np.array([1.0, 2.0, 3.0]))
    assert np.linalg.norm(text.vector("A b!")) == pytest.approx(1)
    assert text.vector("a b").tolist() == pytest.approx((np.array([1, 2, 3]) / np.sqrt(14)).tolist())
    assert not text.vector("c").any()
