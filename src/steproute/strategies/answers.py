"""Votes over whole solutions: answers that the run's grader calls equal are one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from steproute.core.solution import Prefix
from steproute.core.trace import AnswerVotes
from steproute.engine.episode import Episode
from steproute.strategies.agreement import agree


async def winner(episode: Episode, solutions: Sequence[Prefix], weights: Sequence[float]) -> Prefix:
    """The heaviest solution with the answer that has the greatest sum of weights; the vote is kept on the trace.

    The earlier one wins a tie. Each solution has an answer; there is at least one.
    """
    groups = await grouped(episode, solutions, weights)
    episode.note_answers([each.votes for each in groups])
    return groups[0].best


@dataclass(frozen=True, slots=True)
class Group:
    """Solutions with equal answers: their votes, and the heaviest of them."""

    votes: AnswerVotes
    best: Prefix
    weight_of_best: float


async def grouped(episode: Episode, solutions: Sequence[Prefix], weights: Sequence[float]) -> list[Group]:
    """The groups of equal answers, the heaviest first."""
    groups: list[Group] = []
    for solution, weight in zip(solutions, weights, strict=True):
        answer = solution.answer or ""
        for index, group in enumerate(groups):
            if await agree(episode, group.votes.answer, answer):
                groups[index] = _joined(group, solution, weight)
                break
        else:
            groups.append(Group(AnswerVotes(answer=answer, votes=1, weight=weight), solution, weight))
    return sorted(groups, key=lambda group: group.votes.weight, reverse=True)


def _joined(group: Group, solution: Prefix, weight: float) -> Group:
    votes = replace(group.votes, votes=group.votes.votes + 1, weight=group.votes.weight + weight)
    if weight > group.weight_of_best:
        return Group(votes, solution, weight)
    return replace(group, votes=votes)
