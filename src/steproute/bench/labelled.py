"""Process-labelled solutions in ProcessBench's format, scored or not."""

from dataclasses import dataclass
from pathlib import Path

from steproute.bench.datasets import read_rows
from steproute.core.errors import DatasetError
from steproute.core.problem import Problem
from steproute.core.solution import Prefix, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """A problem, the steps of a solution, and the index of the first wrong one, None where all are right.

    scores: one a step, where the file has them.
    """

    problem: Problem
    steps: tuple[str, ...]
    first_wrong: int | None
    scores: tuple[float, ...] | None = None

    @property
    def prefix(self) -> Prefix:
        """The whole solution, as a scorer reads it."""
        steps = (Step(role="labelled", text=text, tokens=0) for text in self.steps)
        return Prefix(problem=self.problem, session=f"labelled/{self.problem.id}").extended(*steps)


def read_labelled(path: Path) -> list[Labelled]:
    """Rows with `problem`, `steps`, `label` (index of the first wrong step, -1 for none) and, if scored, `scores`.

    Raises DatasetError, which names file and line, for a row that is none.
    """
    found = []
    for number, row in read_rows(path):
        steps, label, scores = row.get("steps"), row.get("label"), row.get("scores")
        where = f"{path}, line {number}"
        if not isinstance(steps, list) or not steps or not all(isinstance(step, str) for step in steps):
            raise DatasetError(f"{where}: steps is {str(steps)[:40]!r}. Give a list of the solution's steps.")
        if not isinstance(label, int) or not -1 <= label < len(steps):
            raise DatasetError(f"{where}: label is {label!r}. Give the first wrong step's index, or -1 for none.")
        if scores is not None and (
            not isinstance(scores, list)
            or len(scores) != len(steps)
            or not all(isinstance(score, int | float) and 0 <= score <= 1 for score in scores)
        ):
            raise DatasetError(f"{where}: scores do not give a number from 0 to 1 for each of {len(steps)} steps.")
        found.append(
            Labelled(
                problem=Problem(id=str(row.get("id") or f"{path.name}:{number}"), text=str(row.get("problem"))),
                steps=tuple(steps),
                first_wrong=None if label < 0 else label,
                scores=None if scores is None else tuple(float(score) for score in scores),
            )
        )
    return found
