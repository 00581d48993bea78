"""TRIM-POMDP's model fitted to process-labelled solutions, such as ProcessBench's, with any scorer's scores."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from steproute.core.errors import BackendError, DatasetError
from steproute.core.ports import Needs, StepScorer
from steproute.core.problem import Problem
from steproute.core.solution import Draft, Prefix, Stop
from steproute.core.trace import Trace
from steproute.core.usage import Usage
from steproute.engine.episode import Episode
from steproute.engine.limits import Limits
from steproute.engine.roles import Roles
from steproute.learn.pomdp_fit import LabelledSolution, fit_hazard, fit_observations
from steproute.learn.rollouts import finished, solve_all
from steproute.policies.trim.pomdp_model import StepPomdp


async def score_solutions(solutions: Sequence[tuple[Prefix, int | None]], scorer: StepScorer) -> list[LabelledSolution]:
    """Whole solutions with the index of their first wrong step, scored. Raises ScorerError."""
    return [
        LabelledSolution(scores=(await scorer.score(prefix)).values, first_error=first_error)
        for prefix, first_error in solutions
    ]


@dataclass(frozen=True, slots=True)
class GivenSolutions:
    """Scores solutions that are there already; steps: of each solution by the id of its problem."""

    steps: Mapping[str, Sequence[str]]

    @property
    def needs(self) -> Needs:
        """The process reward model alone."""
        return Needs(models=(), scorers=("prm",))

    async def solve(self, episode: Episode) -> None:
        """Accept each step as it is, then score all of them."""
        prefix, steps = episode.start(), self.steps[episode.problem.id]
        for index, text in enumerate(steps, start=1):
            stop = Stop.END if index == len(steps) else Stop.SEPARATOR
            unbroken = re.sub(r"\n\s*\n", "\n", text)
            prefix = await episode.accept(Draft(role="given", model="given", text=unbroken, stop=stop, usage=Usage()))
        await episode.score(prefix, None)


async def score_given(
    solutions: Sequence[tuple[Problem, Sequence[str]]],
    roles: Roles,
    *,
    limits: Limits,
    in_flight: int,
    on_trace: Callable[[Trace], None] = lambda trace: None,
) -> list[tuple[float, ...]]:
    """The scores of each solution's steps by the cast's process reward model, on the account of an episode.

    Raises BackendError if one cannot be scored.
    """
    rows = [replace(problem, id=str(number)) for number, (problem, _) in enumerate(solutions)]
    given = GivenSolutions({row.id: steps for row, (_, steps) in zip(rows, solutions, strict=True)})
    traces = await solve_all(
        rows, roles, given, limits=limits.without_fallbacks, in_flight=in_flight, on_trace=on_trace
    )
    return [_scores(trace) for trace in traces]


def _scores(trace: Trace) -> tuple[float, ...]:
    scores = tuple(step.score for step in finished(trace).steps if step.score is not None)
    if len(scores) < len(trace.steps):
        raise BackendError(
            f"solution {trace.problem_id} ended with {trace.outcome.value} before its scores came.", where="scoring"
        )
    return scores


def fit_on_labelled(solutions: Sequence[LabelledSolution], *, strong_accuracy: float, step_tokens: float) -> StepPomdp:
    """TRIM-POMDP's model; p_w is the share of right steps among those on a right prefix.

    strong_accuracy: p_s, which weak's solutions cannot say; step_tokens: mean tokens of a strong step. Raises
    DatasetError where a state has too few examples.
    """
    wrong = sum(solution.first_error is not None for solution in solutions)
    right = sum(
        len(solution.scores) if solution.first_error is None else solution.first_error for solution in solutions
    )
    if right + wrong == 0:
        raise DatasetError("labelled solutions: there are none.", remedy="Give a file with rows.")
    return StepPomdp(
        weak_accuracy=right / (right + wrong),
        strong_accuracy=strong_accuracy,
        hazard=fit_hazard([len(solution.scores) for solution in solutions]),
        observations=fit_observations(solutions),
        step_tokens=step_tokens,
    )
