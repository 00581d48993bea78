"""What every training of a policy shares: models, problems, the step tree and solutions over it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from steproute.cli.stopping import INTERRUPTED, Stopped, run_until_stopped
from steproute.cli.terminal import Terminal
from steproute.cli.training_tree import TREE_WIDTH, training_tree
from steproute.cli.waits import Waits
from steproute.config import Setup, check_needs
from steproute.core.decision import Accept, Decision
from steproute.core.errors import DatasetError
from steproute.core.observation import Observation
from steproute.core.ports import Strategy
from steproute.core.problem import Problem
from steproute.core.trace import Trace
from steproute.engine.episode import Episode
from steproute.engine.grade_book import GradeBook
from steproute.engine.roles import Roles
from steproute.engine.runner import Route
from steproute.evaluation.datasets import Fields, load_problems
from steproute.lab.story import is_lab
from steproute.learn.rewriters import routing_loop
from steproute.learn.rollouts import AnswerGrades, Grade, finished, solve_all
from steproute.strategies.stepwise import Stepwise

_LAB_PROBLEMS: Final = 2000


@dataclass(frozen=True, slots=True)
class _Explorer:
    """Stands for the policies that training tries: they read scores, and any rewriter may write a step."""

    rewriters: tuple[str, ...]

    def decide(self, observation: Observation) -> Decision:
        """Accept; what it declares counts, not what it decides."""
        return Accept()


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """One training: the policy's name, the models, and the problems that they solve.

    path: of the step tree, so that no call is paid for twice. limit: maximum dollars for growing it. rewriters: the
    rungs that can write a weak step again. width: drafts of the rung `resample`.
    """

    policy: str
    setup: Setup
    data: str
    problems: Sequence[Problem]
    seed: int
    in_flight: int
    path: Path
    console: Terminal
    limit: Decimal | None = None
    rewriters: Sequence[str] = ("strong",)
    width: int = 4

    @property
    def facts(self) -> dict[str, Any]:
        """The facts that the artefact holds about how it was made."""
        return {
            "data": self.data,
            "problems": len(self.problems),
            "seed": self.seed,
            "config_digest": self.setup.digest,
        }

    @property
    def exploration(self) -> Stepwise:
        """What PPO solves problems by, as far as its needs go."""
        return routing_loop(_Explorer(tuple(self.rewriters)), self.rewriters, self.width)

    def check_needs(self, strategies: Sequence[Strategy[Episode]]) -> None:
        """Raises ConfigError if the models lack what a strategy needs."""
        routes = [Route(name=f"train {self.policy}", strategy=strategy) for strategy in strategies]
        check_needs(routes, self.setup.roles)

    def solved(self, strategies: Sequence[Strategy[Episode]], samples: int = TREE_WIDTH) -> list[list[Trace]]:
        """The finished traces of each strategy, without failed problems, with a progress bar on stderr.

        samples: the width of the step tree.

        Raises ConfigError if the models lack what a strategy needs, BackendError if every problem fails.
        """
        self.check_needs(strategies)
        spent = Decimal(0)
        grown = training_tree(self.path, self.setup, self.limit, samples)
        with grown as (tree, roles), progress_bar(self.setup.roles) as progress:
            task = progress.add_task("solving", total=len(strategies) * len(self.problems))

            def advance(trace: Trace) -> None:
                nonlocal spent
                spent += trace.cost_usd
                progress.update(task, advance=1, description=f"solving  ${spent:.4f}")

            async def solve(roles: Roles) -> list[list[Trace]]:
                return [
                    await solve_all(
                        self.problems,
                        roles,
                        each,
                        self.seed,
                        limits=self.setup.limits.without_fallbacks,
                        in_flight=self.in_flight,
                        on_trace=advance,
                    )
                    for each in strategies
                ]

            try:
                traces = run_until_stopped(solve(roles))
            except Stopped as stopped:
                progress.console.print(INTERRUPTED)
                raise typer.Exit(stopped.exit_code) from None
            calls = f"{tree.computations} of {tree.requests} model calls were computed, the others came from the tree"
        self.console.print(calls, highlight=False)
        return [self.without_failed(each) for each in traces]

    @contextmanager
    def grade(self) -> Iterator[Grade]:
        """The run's grader. A judge's replies are kept in the step tree and count towards the limit."""
        with training_tree(self.path, self.setup, self.limit) as (_, roles), self.grade_by(roles) as grade:
            yield grade

    @contextmanager
    def grade_by(self, roles: Roles) -> Iterator[Grade]:
        """The run's grader, which asks the models of `roles`; prints at the end how many answers were undecided."""
        with GradeBook(self.setup.answer.graded(roles).grading, retries=self.setup.limits.retries) as book:
            grades = AnswerGrades(book)
            yield grades
            print_undecided(self.console, grades)

    def without_failed(self, traces: Sequence[Trace]) -> list[Trace]:
        """The traces that have not failed, because a failure says nothing about a model. Raises BackendError if none
        is left."""
        kept = [trace for trace in traces if not trace.failed]
        if not kept:
            finished(traces[0])
        if len(kept) < len(traces):
            failed = next(trace for trace in traces if trace.failed)
            self.console.print(
                f"[yellow]{len(traces) - len(kept)} of {len(traces)} problems failed and are left out; the same "
                f"command tries them again. The first: {failed.error}[/]"
            )
        return kept


def print_undecided(console: Terminal, grades: AnswerGrades) -> None:
    """Print how many answers the grader could not decide, and the first reason, if there are any."""
    if grades.undecided:
        first = next(iter(grades.undecided.values()))
        console.print(
            f"[yellow]{len(grades.undecided)} answers could not be graded and count as incorrect. The first: "
            f"{escape(first)}[/]"
        )


def progress_bar(roles: Roles) -> Progress:
    """A progress bar on stderr, with the waits that the backends of `roles` ask for."""
    bar = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), Waits(roles)
    return Progress(*bar, console=Terminal(stderr=True))


def training_problems(
    data: str, count: int | None, seed: int, fields: Fields = Fields(), *, gold: bool = True
) -> list[Problem]:
    """The problems of a data set, 2000 of the lab unless `count` says otherwise.

    gold: whether each needs a gold answer. Raises DatasetError for unknown or empty data, or a problem without one.
    """
    problems = load_problems(data, _LAB_PROBLEMS if count is None and is_lab(data) else count, seed, fields)
    for problem in problems:
        if gold and problem.answer is None:
            raise DatasetError(
                f"problem {problem.id!r} has no gold answer, and training needs one of each.",
                where="data",
                remedy="Add 'answer', or leave it out.",
            )
    return problems
