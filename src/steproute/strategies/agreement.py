"""Whether two answers of one problem are the same, as its grader sees it."""

from dataclasses import replace

from steproute.core.grade import Verdict
from steproute.core.ports import COMPARES
from steproute.core.solution import Meter
from steproute.engine.episode import Episode
from steproute.grading.mathematics import MathGrader


async def agree(episode: Episode, answer: str | None, other: str | None) -> bool:
    """Whether both are there and equal: by the run's grader if that costs nothing, else by that of mathematics."""
    if answer is None or other is None or answer == other:
        return answer is not None and answer == other
    grader = episode.roles.grading.grader
    comparing = grader if COMPARES.of(grader) else MathGrader()
    reference = replace(episode.problem, answer=answer)
    return (await comparing.grade(reference, other, other, Meter())).verdict is Verdict.CORRECT
