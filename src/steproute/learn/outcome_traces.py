"""What TRIM-POMDP's fit on outcomes learns from: traces of the weak and of the strong model alone."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from steproute.core.errors import DatasetError
from steproute.core.ports import Needs
from steproute.core.problem import Problem
from steproute.core.trace import Trace
from steproute.core.usage import Purpose
from steproute.engine.episode import Episode
from steproute.engine.roles import reads_confidence
from steproute.learn.outcome_fit import GradedSolution, fit_on_outcomes
from steproute.learn.rollouts import Grade
from steproute.policies.trim.pomdp_model import StepPomdp

Graded = tuple[Trace, bool]
"""A finished trace, and whether its answer is correct."""


@dataclass(frozen=True, slots=True)
class WeakScored:
    """The weak model's whole solution in one call, and the scores of all its steps in another.

    Step by step where the scorer reads log-probabilities, which a call tells of all that it wrote, not of each step.
    """

    @property
    def needs(self) -> Needs:
        """The weak model and the process reward model."""
        return Needs(models=("weak",), scorers=("prm",))

    async def solve(self, episode: Episode) -> None:
        """Write, keep and score."""
        prefix, at_once = episode.start(), not reads_confidence(episode.roles.scorer())
        while not prefix.finished:
            prefix = await episode.accept(await episode.propose("weak", prefix, to_end=at_once))
        await episode.score(prefix, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class SoloTraces:
    """Finished solutions that the weak model wrote alone, with a score of each step, and that the strong model did."""

    weak: Sequence[Trace]
    strong: Sequence[Trace]


def solo_traces(traces: Iterable[Trace], where: str) -> SoloTraces:
    """Those of a run whose other traces do not matter here; `where` names it.

    Raises DatasetError if no route has the weak model's solutions with scores, whatever the scores are, or if the
    strong model's are missing.
    """
    routes: defaultdict[str, list[Trace]] = defaultdict(list)
    for trace in traces:
        if not trace.unsettled:
            routes[trace.route].append(trace)
    scored = [found for found in routes.values() if all(map(_weak_scored, found))]
    if not scored:
        raise DatasetError(
            f"{where} has no route in which the weak model wrote every step and each was scored. "
            "Evaluate with the knob 0, such as `steproute eval --policy threshold --knobs "
            "0,0.5,1`, or leave --run out.",
            where="run",
        )
    strong = routes.get("single/strong", [])
    if not strong:
        raise DatasetError(
            f"{where} has no finished solution by the strong model alone. Finish that run first.", where="run"
        )
    return SoloTraces(weak=max(scored, key=len), strong=strong)


def _weak_scored(trace: Trace) -> bool:
    by_weak = bool(trace.steps) and all(step.role == "weak" and step.score is not None for step in trace.steps)
    judges = {line.role for line in trace.account if line.purpose is Purpose.SCORE}
    return by_weak and not judges & {"weak", "strong"}


def fit_on_traces(weak: Sequence[Graded], strong: Sequence[Graded]) -> StepPomdp:
    """TRIM-POMDP's model from the scores and the final answers.

    Raises DatasetError if there are too few solutions of a kind.
    """
    solutions = [
        GradedSolution(scores=tuple(step.score for step in trace.steps if step.score is not None), correct=correct)
        for trace, correct in weak
    ]
    answers = [(len(trace.steps), correct) for trace, correct in strong]
    steps = sum(count for count, _ in answers)
    tokens = sum(trace.generated_tokens("strong") for trace, _ in strong)
    return fit_on_outcomes(solutions, answers, step_tokens=tokens / max(steps, 1))


async def graded(traces: Sequence[Trace], problems: Mapping[str, Problem], grade: Grade) -> list[Graded]:
    """Traces with whether their answers are correct; problems: by id."""
    return [(trace, await grade(problems[trace.problem_id], trace)) for trace in traces]
