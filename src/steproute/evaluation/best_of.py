"""Best of N: whether a scorer that picks one of several whole solutions picks better than chance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

import numpy as np

from steproute.core.arrays import F64
from steproute.core.concurrency import map_concurrently
from steproute.core.ports import StepModel, StepScorer
from steproute.core.problem import Problem
from steproute.core.solution import Prefix, Step
from steproute.core.splitting import split_steps
from steproute.evaluation.differences import difference
from steproute.evaluation.proportions import proportion_interval
from steproute.evaluation.resampling import RESAMPLES, Interval, draws
from steproute.lab.models import LAB_SAMPLING

_IN_FLIGHT = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class BestOf:
    """Accuracy of the chosen solutions, its gain over the first samples, and the two-sided p-value of that gain.

    The gain's interval and p-value come from a bootstrap over problems.
    """

    accuracy: float
    accuracy_ci95: Interval
    gain: float
    gain_ci95: Interval
    p: float | None


async def best_of(
    model: StepModel, scorers: Mapping[str, StepScorer], problems: Sequence[Problem], width: int, seed: int
) -> dict[str, BestOf]:
    """For each scorer: the best of `width` sampled solutions per problem, by the least score of their steps.

    All scorers choose among the same solutions; the earlier sample wins a tie. `seed` decides the samples.
    """

    async def of_problem(index: int, problem: Problem) -> tuple[bool, dict[str, bool]]:
        return await _choose(model, scorers, problem, width, seed * 1_000_003 + index)

    rows = await map_concurrently(of_problem, count(), problems, in_flight=_IN_FLIGHT)
    first = np.array([row[0] for row in rows], np.float64)
    return {name: _compared(np.array([row[1][name] for row in rows], np.float64), first, seed) for name in scorers}


async def _choose(
    model: StepModel, scorers: Mapping[str, StepScorer], problem: Problem, width: int, seed: int
) -> tuple[bool, dict[str, bool]]:
    """Whether the first sample is correct, and whether the one that each scorer chooses is."""
    start = Prefix(problem=problem, session=f"best-of/{problem.id}")
    drafts = await model.propose(start, width, replace(LAB_SAMPLING, stop=None, seed=seed))
    solutions = [
        start.extended(*(Step(role="sample", text=text, tokens=0) for text in split_steps(draft.text, start.separator)))
        for draft in drafts
    ]
    correct = [solution.answer == problem.answer for solution in solutions]
    chosen = {}
    for name, scorer in scorers.items():
        least = {text: await _least(scorer, each) for text, each in {each.text: each for each in solutions}.items()}
        chosen[name] = correct[int(np.argmax([least[solution.text] for solution in solutions]))]
    return correct[0], chosen


async def _least(scorer: StepScorer, solution: Prefix) -> float:
    return min((await scorer.score(solution)).values, default=0.0)


def _compared(chosen: F64, first: F64, seed: int) -> BestOf:
    means = [(chosen.mean(), first.mean())]
    for counts in draws(len(chosen), RESAMPLES, np.random.default_rng(seed)):
        means += zip(counts @ chosen / len(chosen), counts @ first / len(first), strict=True)
    gain = difference(*np.array(means).T)
    return BestOf(
        accuracy=float(chosen.mean()),
        accuracy_ci95=proportion_interval(int(chosen.sum()), len(chosen)),
        gain=gain.value,
        gain_ci95=gain.interval,
        p=gain.p,
    )
