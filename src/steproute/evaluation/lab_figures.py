"""What the lab's models and scorers can do, in figures with 95 % intervals."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from steproute.core.ports import StepScorer
from steproute.core.problem import Problem
from steproute.engine.roles import Roles
from steproute.evaluation.auc import roc_auc, roc_auc_interval
from steproute.evaluation.best_of import best_of
from steproute.evaluation.candidates import sample_candidates
from steproute.evaluation.labelled import LabelledSteps
from steproute.evaluation.proportions import grouped_proportion_interval, proportion_interval
from steproute.evaluation.resampling import Interval
from steproute.evaluation.scorer_figures import scorer_figures
from steproute.lab.measure import Checked, check_model

WIDTH: Final = 8
Figures = dict[str, float | int | str | tuple[float, float]]


async def lab_figures(roles: Roles, problems: Sequence[Problem], seed: int) -> Figures:
    """Accuracies of every writer; for `prm` and `prm-place`, how well they judge the weak model's steps.

    A scorer's step AUC and calibration error (ECE) are over steps up to the first incorrect one. Its within-prefix AUC
    is over candidates of the weak and the strong model for one step. `best_of_8` is the accuracy of the best of eight
    solutions of the weak model by their least score, `_gain` its gain over the first of them.
    """
    figures: Figures = {}
    for role in ("weak", "mid", "strong"):
        checked = await check_model(roles.model(role).model, problems, seed)
        _enter_accuracies(figures, role, checked, seed)
    scorers = {"prm": roles.scorer("prm").scorer, "prm_place": roles.scorer("prm-place").scorer}
    for name, scorer in scorers.items():
        await _enter_scorer(figures, name, _Judging(roles, problems, scorer, seed))
    chosen = await best_of(roles.model("weak").model, scorers, problems, WIDTH, seed)
    for name, result in chosen.items():
        _enter(figures, f"{name}_best_of_{WIDTH}", result.accuracy, result.accuracy_ci95)
        _enter(figures, f"{name}_best_of_{WIDTH}_gain", result.gain, result.gain_ci95)
        if result.p is not None:
            figures[f"{name}_best_of_{WIDTH}_p"] = result.p
    return figures


@dataclass(frozen=True, slots=True)
class _Judging:
    roles: Roles
    problems: Sequence[Problem]
    scorer: StepScorer
    seed: int

    async def steps_of(self, role: str) -> LabelledSteps:
        checked = await check_model(self.roles.model(role).model, self.problems, self.seed, self.scorer)
        return steps_on_correct_prefixes(checked)

    async def candidates(self) -> LabelledSteps:
        authors = {role: self.roles.model(role) for role in ("weak", "strong")}
        return await sample_candidates(authors, self.scorer, self.problems, self.seed)


def steps_on_correct_prefixes(checked: Sequence[Checked]) -> LabelledSteps:
    """Every scored step up to the first incorrect one of its solution, labelled by the checker."""
    return LabelledSteps.of(
        [
            (item.problem_id, f"{item.problem_id}/{number}", score, correct)
            for item in checked
            for number, (score, correct) in enumerate(zip(item.scores or (), item.on_right_prefix, strict=False))
        ]
    )


async def _enter_scorer(figures: Figures, name: str, judging: _Judging) -> None:
    weak, strong, candidates = await asyncio.gather(
        judging.steps_of("weak"), judging.steps_of("strong"), judging.candidates()
    )
    result = scorer_figures(weak, candidates, judging.seed)
    auc = roc_auc_interval(weak.scores, weak.correct, weak.groups, np.random.default_rng(judging.seed))
    _enter(figures, f"{name}_auc", roc_auc(weak.scores, weak.correct), auc)
    if result.within_prefix_auc is not None and result.within_prefix_auc_ci95 is not None:
        _enter(figures, f"{name}_within_prefix_auc", result.within_prefix_auc, result.within_prefix_auc_ci95)
    figures[f"{name}_ece"] = result.ece
    figures[f"{name}_mean_score_of_weak_steps"] = float(weak.scores.mean())
    figures[f"{name}_mean_score_of_strong_steps"] = float(strong.scores.mean())


def _enter_accuracies(figures: Figures, role: str, checked: Sequence[Checked], seed: int) -> None:
    steps = [correct for item in checked for correct in item.on_right_prefix]
    groups = [item.problem_id for item in checked for _ in item.on_right_prefix]
    interval = grouped_proportion_interval(steps, groups, np.random.default_rng(seed))
    _enter(figures, f"{role}_step_accuracy", sum(steps) / len(steps), interval)
    correct = sum(item.answer_right for item in checked)
    _enter(figures, f"{role}_answer_accuracy", correct / len(checked), proportion_interval(correct, len(checked)))


def _enter(figures: Figures, name: str, value: float, interval: Interval) -> None:
    figures[name] = value
    figures[f"{name}_ci95"] = (interval.low, interval.high)
