"""Solutions with labelled steps, scored by the user's own scorer if the file has no scores."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

import typer

from steproute.cli.stopping import INTERRUPTED, Stopped, run_until_stopped
from steproute.cli.training import progress_bar
from steproute.cli.training_tree import training_tree
from steproute.config import Setup, check_needs
from steproute.core.errors import ConfigError, DatasetError
from steproute.core.ports import READS_CONFIDENCE, NewestStepScorer
from steproute.core.solution import Prefix
from steproute.core.trace import Trace
from steproute.core.usage import Price, Usage
from steproute.core.usage_bounds import most_scored
from steproute.engine.roles import ScorerRole, reads_confidence
from steproute.engine.runner import Route
from steproute.evaluation.datasets import read_rows
from steproute.evaluation.labelled import Labelled, read_labelled
from steproute.learn.labelled_fit import GivenSolutions, score_given


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredLabels:
    """How labelled solutions get their scores. path: of the step tree, so that no score is paid for twice."""

    setup: Setup
    path: Path
    in_flight: int
    limit: Decimal | None = None

    def read(self, data: Path) -> list[Labelled]:
        """The rows of a file, each with scores.

        Raises DatasetError for a row that is not a labelled solution, or has no scores if no steproute.toml names a
        scorer, ConfigError if it describes none, BackendError if scoring fails.
        """
        rows = read_labelled(data)
        unscored = self._unscored(data, rows)
        if not unscored:
            return rows
        scored = iter(self._scored(unscored))
        return [row if row.scores is not None else replace(row, scores=next(scored)) for row in rows]

    def most(self, data: Path) -> list[tuple[Price, Usage]]:
        """The price and maximum usage of each scoring call of a file, as if the tree were empty; raises as `read`."""
        judges = self.setup.roles.scorers
        return [call for row in self._unscored(data, read_labelled(data)) for call in _most(judges["prm"], row.prefix)]

    def _unscored(self, data: Path, rows: Sequence[Labelled]) -> list[Labelled]:
        unscored = [row for row in rows if row.scores is None]
        if unscored and not self.setup.digest:
            number = next(number for number, row in enumerate(rows, 1) if row.scores is None)
            raise DatasetError(
                "scores are missing.",
                where=f"{data}, row {number}",
                remedy="Give a number from 0 to 1 for each step, or --config with a steproute.toml whose "
                "scorer scores them.",
            )
        if unscored:
            check_needs([Route(name="scoring", strategy=GivenSolutions({}))], self.setup.roles)
            self._check_reads_text(data)
        return unscored

    def _check_reads_text(self, data: Path) -> None:
        if reads_confidence(self.setup.roles.scorer()):
            raise ConfigError(
                "it reads log-probabilities of the calls that wrote the steps, and the steps of "
                f"{data} were written elsewhere.",
                where="scorers.prm",
                remedy="Use a scorer that reads text, or give scores in the file.",
            )

    def _scored(self, rows: Sequence[Labelled]) -> list[tuple[float, ...]]:
        spent = Decimal(0)
        grown = training_tree(self.path, self.setup, self.limit)
        with grown as (tree, roles), progress_bar(self.setup.roles) as progress:
            task = progress.add_task("scoring", total=len(rows))

            def advance(trace: Trace) -> None:
                nonlocal spent
                spent += trace.cost_usd
                progress.update(task, advance=1, description=f"scoring  ${spent:.4f}")

            work = score_given(
                [(row.problem, row.steps) for row in rows],
                roles,
                limits=self.setup.limits,
                in_flight=self.in_flight,
                on_trace=advance,
            )
            try:
                scores = run_until_stopped(work)
            except Stopped as stopped:
                progress.console.print(INTERRUPTED)
                raise typer.Exit(stopped.exit_code) from None
            progress.console.print(
                f"{tree.computations} of {tree.requests} scoring calls were computed, the others came from the tree",
                highlight=False,
            )
        return scores


def _most(judge: ScorerRole, prefix: Prefix) -> Iterator[tuple[Price, Usage]]:
    """The same for each call that scores a whole solution: per member, and per step if it scores them one by one."""
    if judge.members:
        for member in judge.members.values():
            yield from _most(member, prefix)
    elif not READS_CONFIDENCE.of(judge.scorer):
        alone = isinstance(judge.scorer, NewestStepScorer) and judge.scorer.judges_newest_alone
        for end in range(1 if alone else len(prefix.steps), len(prefix.steps) + 1):
            yield judge.price, most_scored(judge.scorer, replace(prefix, steps=prefix.steps[:end]))


def holds_labels(data: str) -> bool:
    """Whether a file's rows are solutions with labelled steps, not problems."""
    if Path(data).suffix not in (".jsonl", ".gz"):
        return False
    return any("steps" in row for _, row in read_rows(Path(data)))
