import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from steproute.core.errors import DatasetError
from steproute.evaluation.auc import within_prefix_auc
from steproute.evaluation.labelled import LabelledSteps, read_labelled_steps


def written(folder: Path, rows: Sequence[object]) -> Path:
    path = folder / "steps.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def auc(steps: LabelledSteps) -> float:
    return within_prefix_auc(steps.scores, steps.correct, steps.prefixes)


def test_rows_with_one_prefix_are_candidates_of_one_step(tmp_path: Path) -> None:
    rows = [
        {"group": "p1", "prefix": "2 + 2", "score": 0.9, "right": True},
        {"group": "p1", "prefix": "2 + 2", "score": 0.1, "right": False},
        {"group": "p2", "prefix": "2 + 2", "score": 0.95, "right": False},
        {"group": "p2", "prefix": ["2", "+"], "score": 0.3, "right": True},
    ]
    steps = read_labelled_steps(written(tmp_path, rows))
    assert steps.groups.tolist() == ["p1", "p1", "p2", "p2"]
    assert auc(steps) == 1.0, "the third row is of another problem"


def test_rows_without_a_prefix_are_groups_of_their_own(tmp_path: Path) -> None:
    rows = [{"score": score, "right": score > 0.5} for score in (0.1, 0.9, 0.4)]
    steps = read_labelled_steps(written(tmp_path, rows))
    assert len(set(steps.prefixes.tolist())) == 3


@pytest.mark.parametrize("scores", [(0.9, 0.2), (0.2, 0.9), (0.5, 0.5)])
def test_solutions_that_begin_alike_share_prefixes(tmp_path: Path, scores: tuple[float, float]) -> None:
    """One goes right and one wrong after "a"; steps after the first error are incorrect, and pair with nothing."""
    right = {"problem": "P", "steps": ["a", "b"], "label": -1, "scores": [0.8, scores[0]]}
    wrong = {"problem": "P", "steps": ["a", "c", "d"], "label": 1, "scores": [0.8, scores[1], 0.99]}
    steps = read_labelled_steps(written(tmp_path, [right, wrong]))
    assert steps.correct.tolist() == [True, True, True, False, False]
    assert set(steps.groups.tolist()) == {"P"}
    assert auc(steps) == (scores[0] > scores[1]) + (scores[0] == scores[1]) / 2


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"score": 1.5, "right": True}, "line 1: score is 1.5"),
        ({"score": True, "right": True}, "line 1: score is True"),
        ({"score": "0.5", "right": True}, "line 1: score is '0.5'"),
        ({"right": True}, "line 1: score is None"),
        ({"score": float("nan"), "right": True}, "line 1: score is nan"),
        ({"score": 0.5, "right": 1}, "line 1: right is 1"),
        ({"score": 0.5}, "line 1: right is None"),
        ({"problem": "P", "steps": ["a"], "label": -1}, "line 1: scores are missing"),
        ({"problem": "P", "steps": [], "label": -1, "scores": []}, "line 1: steps is"),
        ({"problem": "P", "steps": ["a"], "label": 1, "scores": [0.5]}, "line 1: label is 1"),
        ({"problem": "P", "steps": ["a"], "label": 0, "scores": [0.5, 0.5]}, "line 1: scores do not give"),
    ],
)
def test_rows_that_are_no_labelled_step_are_rejected(tmp_path: Path, row: object, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read_labelled_steps(written(tmp_path, [row]))


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="there is no row"):
        read_labelled_steps(written(tmp_path, []))


def test_some_of_the_steps_are_taken_row_by_row() -> None:
    steps = LabelledSteps.of([("a", "x", 0.1, True), ("b", "y", 0.2, False), ("c", "z", 0.3, True)])
    some = steps.at(np.array([2, 0]))
    assert some.groups.tolist() == ["c", "a"]
    assert some.prefixes.tolist() == ["z", "x"]
    assert some.scores.tolist() == [0.3, 0.1]
    assert some.correct.tolist() == [True, True]
