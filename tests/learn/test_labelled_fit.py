import asyncio
import json
from pathlib import Path

import numpy as np
import pytest

from steproute.core.errors import DatasetError
from steproute.core.solution import Meter, Prefix, Scores
from steproute.core.usage import Usage
from steproute.evaluation.datasets import data_file
from steproute.evaluation.labelled import read_labelled
from steproute.learn.labelled_fit import fit_on_labelled, score_solutions
from steproute.policies.trim.pomdp_model import DERAILED, NEWEST_INCORRECT, ON_TRACK


class NoisyScorer:
    """Scores 0.9 up to the first wrong step and 0.2 from it on, give or take 0.1; no PRM of this size is at hand."""

    name = "noisy"

    def __init__(self, first_error: dict[str, int | None]) -> None:
        self._first_wrong, self._rng = first_error, np.random.default_rng(0)

    async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
        first = self._first_wrong[prefix.problem.id]
        means = [0.9 if first is None or index < first else 0.2 for index in range(len(prefix.steps))]
        values = tuple(np.clip(means + self._rng.uniform(-0.1, 0.1, len(means)), 0, 1).tolist())
        return Scores(values=values, model=self.name, usage=Usage())


@pytest.fixture(scope="module")
def processbench() -> Path:
    try:
        return data_file("processbench/math.jsonl.gz")
    except DatasetError as missing:
        pytest.skip(str(missing))


def test_processbench_and_a_scorer_give_a_model_that_tells_the_states_apart(processbench: Path) -> None:
    rows = read_labelled(processbench)
    scorer = NoisyScorer({row.problem.id: row.first_error for row in rows})
    solutions = asyncio.run(score_solutions([(row.prefix, row.first_error) for row in rows], scorer))
    model = fit_on_labelled(solutions, strong_accuracy=0.97, step_tokens=60)
    right = sum(len(row.steps) if row.first_error is None else row.first_error for row in rows)
    wrong = sum(row.first_error is not None for row in rows)
    assert model.weak_accuracy == pytest.approx(right / (right + wrong))
    assert np.allclose(model.observations.sum((1, 2)), 1)
    for seen, state in (((0.9, 0.9), ON_TRACK), ((0.9, 0.2), NEWEST_INCORRECT), ((0.2, 0.2), DERAILED)):
        assert model.posterior(*seen).argmax() == state


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"label": -1}, "line 2: steps is"),
        ({"steps": ["a"], "label": 1}, "label is 1"),
        ({"steps": ["a"], "label": -1, "scores": [0.1, 0.2]}, "scores do not give a number"),
        ({"steps": ["a"], "label": -1, "scores": [1.5]}, "scores do not give a number"),
    ],
)
def test_a_row_that_is_no_labelled_solution_is_named(tmp_path: Path, row: dict[str, object], message: str) -> None:
    path = tmp_path / "a.jsonl"
    rows = [{"problem": "p", **each} for each in ({"steps": ["a"], "label": -1}, row)]
    path.write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(DatasetError, match=message):
        read_labelled(path)


def test_no_solutions_are_no_model() -> None:
    with pytest.raises(DatasetError, match="there are none"):
        fit_on_labelled([], strong_accuracy=0.97, step_tokens=60)
