"""Labelled steps from files: whole solutions in ProcessBench's format, or one step per row."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from steproute.core.arrays import F64
from steproute.core.errors import DatasetError
from steproute.core.problem import Problem
from steproute.core.solution import Prefix, Step
from steproute.evaluation.datasets import read_rows
from steproute.evaluation.datasets.rows import check_encoding


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """A problem, the steps of a solution, and the index of the first incorrect one, None if all are correct.

    scores: one per step, if the file has them.
    """

    problem: Problem
    steps: tuple[str, ...]
    first_error: int | None
    scores: tuple[float, ...] | None = None

    @property
    def prefix(self) -> Prefix:
        """The whole solution, as a scorer reads it."""
        steps = (Step(role="labelled", text=text, tokens=0) for text in self.steps)
        return Prefix(problem=self.problem, session=f"labelled/{self.problem.id}").extended(*steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledSteps:
    """Scored steps, each known to be correct or not; all arrays have shape (step,).

    groups: the problem of each step, for intervals and splits. prefixes: names the prefix that each step follows, so
    that steps of one prefix are candidates for the same place.
    """

    groups: NDArray[np.str_]
    prefixes: NDArray[np.str_]
    scores: F64
    correct: NDArray[np.bool_]

    @classmethod
    def of(cls, rows: Sequence[tuple[str, str, float, bool]]) -> "LabelledSteps":
        """From rows of group, prefix, score and whether the step is correct."""
        groups, prefixes, scores, correct = ([row[column] for row in rows] for column in range(4))
        return cls(
            groups=np.array(groups, np.str_),
            prefixes=np.array(prefixes, np.str_),
            scores=np.array(scores, np.float64),
            correct=np.array(correct, np.bool_),
        )

    def at(self, indices: NDArray[np.intp]) -> "LabelledSteps":
        """Some of the steps."""
        return LabelledSteps(
            groups=self.groups[indices],
            prefixes=self.prefixes[indices],
            scores=self.scores[indices],
            correct=self.correct[indices],
        )


def read_labelled(path: Path) -> list[Labelled]:
    """Rows with `problem`, `steps`, `label` (index of the first incorrect step, -1 for none) and, if scored, `scores`.

    Raises DatasetError, which names file and line, for a row that is none.
    """
    return [_labelled(path, number, row) for number, row in read_rows(path)]


def read_labelled_steps(path: Path) -> LabelledSteps:
    """Labelled steps of a .jsonl file, one step or one solution per row.

    A step: `score` from 0 to 1 and `right`; `group` names its problem, and `prefix` (any text) what it follows, so that
    rows with the same `group` and `prefix` are candidates for one place. A solution: `problem`, `steps`, `label` and
    `scores` as in `read_labelled`; solutions that begin with the same steps share those prefixes.
    Raises DatasetError, which names file and line, for a row that is neither, or a file without rows.
    """
    rows: list[tuple[str, str, float, bool]] = []
    for number, row in read_rows(path):
        rows += _solution_steps(path, number, row) if "steps" in row else [_step(path, number, row)]
    if not rows:
        raise DatasetError("there is no row.", where=path, remedy="Give one labelled step or solution per line.")
    return LabelledSteps.of(rows)


def steps_of(solutions: Sequence[Labelled]) -> LabelledSteps:
    """The steps of scored solutions; see `read_labelled_steps`."""
    return LabelledSteps.of([row for solution in solutions for row in _rows(solution)])


def _labelled(path: Path, number: int, row: dict[str, object]) -> Labelled:
    text, steps, label, scores = (row.get(name) for name in ("problem", "steps", "label", "scores"))
    where = f"{path}, line {number}"
    text = "" if text is None and scores is not None else text  # only a scorer reads it
    if not isinstance(text, str) or (scores is None and not text.strip()):
        raise DatasetError(
            f"problem is {str(text)[:40]!r}.", where=where, remedy="Give the problem that the steps solve."
        )
    if not isinstance(steps, list) or not steps or not all(isinstance(step, str) for step in steps):
        raise DatasetError(f"steps is {str(steps)[:40]!r}.", where=where, remedy="Give a list of the solution's steps.")
    if not isinstance(label, int) or not -1 <= label < len(steps):
        raise DatasetError(
            f"label is {label!r}.", where=where, remedy="Give the first incorrect step's index, or -1 for none."
        )
    if scores is not None and (
        not isinstance(scores, list)
        or len(scores) != len(steps)
        or not all(isinstance(score, int | float) and 0 <= score <= 1 for score in scores)
    ):
        raise DatasetError(f"scores do not give a number from 0 to 1 for each of {len(steps)} steps.", where=where)
    problem = Problem.ask(id=str(row.get("id") or f"{path.name}:{number}"), text=text)
    check_encoding(where, (("id", problem.id), ("problem", text), *(("steps", step) for step in steps)))
    return Labelled(
        problem=problem,
        steps=tuple(steps),
        first_error=None if label < 0 else label,
        scores=None if scores is None else tuple(float(score) for score in scores),
    )


def _step(path: Path, number: int, row: dict[str, object]) -> tuple[str, str, float, bool]:
    score, right = row.get("score"), row.get("right")
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
        raise DatasetError(f"score is {score!r}.", where=f"{path}, line {number}", remedy="Give a number from 0 to 1.")
    if not isinstance(right, bool):
        raise DatasetError(f"right is {right!r}.", where=f"{path}, line {number}", remedy="Give true or false.")
    group = str(row.get("group", number))
    check_encoding(f"{path}, line {number}", [("group", group)])
    return group, repr((group, row.get("prefix", number))), float(score), right


def _solution_steps(path: Path, number: int, row: dict[str, object]) -> list[tuple[str, str, float, bool]]:
    solution = _labelled(path, number, row)
    if solution.scores is None:
        raise DatasetError(
            "scores are missing.", where=f"{path}, line {number}", remedy="Give a number from 0 to 1 for each step."
        )
    return _rows(solution)


def _rows(solution: Labelled) -> list[tuple[str, str, float, bool]]:
    """Each step up to the first incorrect one and those after it, which count as incorrect."""
    end = len(solution.steps) if solution.first_error is None else solution.first_error
    problem = solution.problem.text
    return [
        (problem, repr((problem, solution.steps[:index])), score, index < end)
        for index, score in enumerate(solution.scores or ())
    ]
