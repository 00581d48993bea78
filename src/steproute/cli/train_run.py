"""`steproute train --run`: TRIM-POMDP from the solutions of a run and the verdicts on them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from steproute.cli.estimate import print_most
from steproute.cli.spending import within_limit
from steproute.cli.terminal import Terminal
from steproute.cli.training import print_undecided
from steproute.config import AnswerSettings, Setup
from steproute.core.errors import ConfigError
from steproute.core.grade import Verdict
from steproute.core.ports import BoundedGrader
from steproute.core.problem import Problem
from steproute.core.settings import converted
from steproute.core.solution import DEFAULT_SEPARATOR
from steproute.core.trace import Trace
from steproute.core.usage import Price, Usage
from steproute.core.writable import writable
from steproute.engine.grade_book import GRADES, GradeBook
from steproute.engine.roles import Roles
from steproute.engine.run_folder import recorded_problems, run_document
from steproute.engine.trace_file import newest_traces
from steproute.evaluation.datasets import Fields, load_problems
from steproute.evaluation.sweep import Cell
from steproute.learn.outcome_traces import Graded, SoloTraces, fit_on_traces, graded, solo_traces
from steproute.learn.rollouts import AnswerGrades
from steproute.policies.trim.pomdp_model import StepPomdp

_SAME_FILE: Final = "Give the steproute.toml that it was made with as --config."


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFit:
    """A fit on the traces of a run, graded by the run's own grader and answer rule.

    setup: the models that the policy is for; without a steproute.toml those of the run. fields: of the run's data.
    max_usd: the limit of the whole run, for grading solutions that have no verdict or an undecided one.
    """

    folder: Path
    setup: Setup
    fields: Fields
    max_usd: float | None
    console: Terminal

    def fit(self) -> tuple[StepPomdp, dict[str, Any]]:
        """The model and the facts of its artefact; prints how many traces are used and left out.

        Raises ConfigError for a run of other models, and for one whose grader is needed and not described, DatasetError
        for a run that lacks such traces, BackendError if the grader's model fails, SpendingLimitReached.
        """
        document, traces = self._document(), newest_traces(self.folder / "traces.jsonl.zst")
        solo = solo_traces(traces, str(self.folder))
        weak, strong = self._graded(document, solo)
        self._print_used(traces, solo, len(weak), len(strong))
        facts = {key: document[key] for key in ("data", "seed")}
        facts |= {"config_digest": str(document.get("config_digest", "")), "run": str(self.folder)}
        return fit_on_traces(weak, {"strong": strong}, {}), {**facts, "problems": len(weak)}

    def print_estimate(self) -> None:
        """Print the maximum that a fit can pay for missing verdicts. Calls and writes nothing; raises as `fit`."""
        document = self._document()
        solo = solo_traces(newest_traces(self.folder / "traces.jsonl.zst"), str(self.folder))
        missing = _missing(solo)
        calls = self._most(document, missing) if missing else []
        print_most(calls, f"They are for verdicts that are missing; those that {GRADES} of the run holds are paid for.")

    def _document(self) -> dict[str, Any]:
        document = run_document(self.folder)
        if self.setup.digest and self.setup.digest != document.get("config_digest", ""):
            raise ConfigError(
                f"{self.folder} is of other models or scorers than this steproute.toml.",
                where="run",
                remedy="Give the file that it was made with, or leave --config out.",
            )
        return document

    def _graded(self, document: dict[str, Any], solo: SoloTraces) -> tuple[list[Graded], list[Graded]]:
        """The weak and the strong model's solutions, without those that cannot be graded."""
        missing = _missing(solo)
        known = {Cell.of(trace): trace.verdict is Verdict.CORRECT for trace in (*solo.weak, *solo.strong)}
        for trace in missing:
            del known[Cell.of(trace)]
        known |= self._newly_graded(document, missing) if missing else {}
        weak, strong = (
            [(trace, known[Cell.of(trace)]) for trace in traces if Cell.of(trace) in known]
            for traces in (solo.weak, solo.strong)
        )
        return weak, strong

    def _newly_graded(self, document: dict[str, Any], missing: Sequence[Trace]) -> dict[Cell, bool]:
        """The bills and verdicts of a paid grader are kept in the run's folder."""
        problems, roles = self._problems(document), self._roles(document)
        if roles.grading.is_paid:
            roles = _answer(document).graded(within_limit(roles, self.max_usd, self.folder))
        traces = [trace for trace in missing if trace.problem_id in problems]
        with GradeBook(roles.grading, self.folder / GRADES, self.setup.limits.retries) as book:
            grades = AnswerGrades(book)
            found = asyncio.run(graded(traces, problems, grades))
        print_undecided(self.console, grades)
        return {Cell.of(trace): correct for trace, correct in found}

    def _most(self, document: dict[str, Any], missing: Sequence[Trace]) -> list[tuple[Price, Usage]]:
        problems, grading = self._problems(document), self._roles(document).grading
        if not grading.is_paid:
            return []
        grader = grading.grader
        if not isinstance(grader, BoundedGrader):
            raise ConfigError(
                f"the grader {grading.name!r} has no most_usage, so what {len(missing)} verdicts may "
                "cost is not known.",
                where="estimate",
                remedy="Leave --estimate out, and bound the run with --max-usd.",
            )
        traces = [trace for trace in missing if trace.problem_id in problems]
        return [
            (grading.price, grader.most_usage(problems[trace.problem_id], trace.answer, _solution(trace)))
            for trace in traces
        ]

    def _problems(self, document: dict[str, Any]) -> dict[str, Problem]:
        """The run's problems that have not changed and have a gold answer, by the id in its traces."""
        loaded = load_problems(document["data"], document["holds"]["problems"], document["seed"], self.fields)
        problems = _answer(document).on(recorded_problems(document, loaded))
        return {writable(problem.id): problem for problem in problems if problem.answer is not None}

    def _roles(self, document: dict[str, Any]) -> Roles:
        """The roles with the run's grader. Raises ConfigError if it asks a model that is not described here."""
        others = self.setup.digest != document.get("config_digest", "")
        where = f"run: {self.folder}: solutions lack a verdict"
        try:
            roles = _answer(document).graded(self.setup.roles)
        except ConfigError as failure:
            raise ConfigError(f"{failure}{f' {_SAME_FILE}' if others else ''}", where=where) from None
        if roles.grading.is_paid and others:
            raise ConfigError(f"{where}, and its grader asks a model. {_SAME_FILE}")
        return roles

    def _print_used(self, traces: Sequence[Trace], solo: SoloTraces, weak: int, strong: int) -> None:
        failed = sum(trace.unsettled for trace in traces)
        chosen = len(solo.weak) + len(solo.strong)
        left = {
            "of other routes": len(traces) - failed - chosen,
            "failed or fell back": failed,
            "without a verdict, whose problems are no longer in the data as they were": chosen - weak - strong,
        }
        said = [f"{count} {why}" for why, count in left.items() if count]
        out = f"; left out: {', '.join(said)}" if said else ""
        used = f"{weak} solutions by the weak model and {strong} by the strong one are used"
        self.console.print(f"{used}{out}", highlight=False)


def _answer(document: dict[str, Any]) -> AnswerSettings:
    """How the run states and grades answers; a run from before there was a choice uses the default."""
    return converted("run.toml: answer", document.get("answer", {}), AnswerSettings)


def _missing(solo: SoloTraces) -> list[Trace]:
    """The traces without a verdict or with an undecided one, since a judge may have failed."""
    return [trace for trace in (*solo.weak, *solo.strong) if trace.verdict not in (Verdict.CORRECT, Verdict.INCORRECT)]


def _solution(trace: Trace) -> str:
    return DEFAULT_SEPARATOR.join(step.text for step in trace.steps)
