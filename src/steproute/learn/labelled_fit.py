"""TRIM-POMDP's model fitted to process-labelled solutions, such as ProcessBench's, with any scorer's scores."""

from collections.abc import Sequence

from steproute.core.errors import DatasetError
from steproute.core.ports import StepScorer
from steproute.core.solution import Prefix
from steproute.learn.pomdp_fit import LabelledSolution, fit_hazard, fit_observations
from steproute.policies.step_pomdp import StepPomdp


async def score_solutions(solutions: Sequence[tuple[Prefix, int | None]], scorer: StepScorer) -> list[LabelledSolution]:
    """Whole solutions with the index of their first wrong step, scored. Raises ScorerError."""
    return [
        LabelledSolution(scores=(await scorer.score(prefix)).values, first_wrong=first_wrong)
        for prefix, first_wrong in solutions
    ]


def fit_on_labelled(solutions: Sequence[LabelledSolution], *, strong_accuracy: float, step_tokens: float) -> StepPomdp:
    """TRIM-POMDP's model; p_w is the share of right steps among those on a right prefix.

    strong_accuracy: p_s, which weak's solutions cannot say; step_tokens: mean tokens of a strong step. Raises
    DatasetError where a state has too few examples.
    """
    wrong = sum(solution.first_wrong is not None for solution in solutions)
    right = sum(
        len(solution.scores) if solution.first_wrong is None else solution.first_wrong for solution in solutions
    )
    if right + wrong == 0:
        raise DatasetError("labelled solutions: there are none. Give a file with rows.")
    return StepPomdp(
        weak_accuracy=right / (right + wrong),
        strong_accuracy=strong_accuracy,
        hazard=fit_hazard([len(solution.scores) for solution in solutions]),
        observations=fit_observations(solutions),
        step_tokens=step_tokens,
    )
