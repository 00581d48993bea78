"""Solutions with labelled steps, scored by the user's own scorer where the file has no scores."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

import typer

from steproute.bench.datasets import read_rows
from steproute.bench.labelled import Labelled, read_labelled
from steproute.cli.stopping import Stopped, run_until_stopped
from steproute.cli.training import GO_ON, progress_bar
from steproute.cli.training_tree import training_tree
from steproute.config import Setup, check_needs
from steproute.core.errors import DatasetError
from steproute.core.trace import Trace
from steproute.engine.runner import Route
from steproute.learn.labelled_fit import GivenSolutions, score_given


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredLabels:
    """How labelled solutions get their scores. path: of the step tree, in which no score is paid for twice."""

    setup: Setup
    path: Path
    in_flight: int
    limit: Decimal | None = None

    def read(self, data: Path) -> list[Labelled]:
        """The rows of a file, each with scores.

        Raises DatasetError for a row that is no labelled solution, or without scores if no steproute.toml names a
        scorer, ConfigError if it describes none, BackendError if scoring fails.
        """
        rows = read_labelled(data)
        unscored = [row for row in rows if row.scores is None]
        if not unscored:
            return rows
        if not self.setup.digest:
            number = next(number for number, row in enumerate(rows, 1) if row.scores is None)
            raise DatasetError(
                f"{data}, row {number}: scores are missing. Give a number from 0 to 1 for each step, or --config with "
                "a steproute.toml whose scorer scores them."
            )
        scored = iter(self._scored(unscored))
        return [row if row.scores is not None else replace(row, scores=next(scored)) for row in rows]

    def _scored(self, rows: Sequence[Labelled]) -> list[tuple[float, ...]]:
        check_needs([Route(name="scoring", strategy=GivenSolutions({}))], self.setup.roles)
        roles, spent = self.setup.roles, Decimal(0)
        grown = training_tree(self.path, self.setup, self.limit)
        with grown as (tree, cast), progress_bar(roles) as progress:
            task = progress.add_task("scoring", total=len(rows))

            def advance(trace: Trace) -> None:
                nonlocal spent
                spent += trace.cost_usd
                progress.update(task, advance=1, description=f"scoring  ${spent:.4f}")

            work = score_given(
                [(row.problem, row.steps) for row in rows],
                cast,
                limits=self.setup.limits,
                in_flight=self.in_flight,
                on_trace=advance,
            )
            try:
                scores = run_until_stopped(work)
            except Stopped as stopped:
                progress.console.print(GO_ON)
                raise typer.Exit(stopped.exit_code) from None
            progress.console.print(
                f"{tree.called} of {tree.asked} scoring calls were computed, the others came from the tree",
                highlight=False,
            )
        return scores


def holds_labels(data: str) -> bool:
    """Whether a file's rows are solutions with labelled steps, not problems."""
    if Path(data).suffix not in (".jsonl", ".gz"):
        return False
    return any("steps" in row for _, row in read_rows(Path(data)))
