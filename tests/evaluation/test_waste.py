import math
from dataclasses import replace

import numpy as np
import pytest
from tests.evaluation.graded import graded, problems, series, sweep

from steproute import Problem, Step
from steproute.evaluation.bootstrap import Outcomes, curve_of, metric_samples
from steproute.evaluation.judged_runs import JudgedRuns
from steproute.evaluation.metrics import measure
from steproute.evaluation.waste import Regenerations, regenerations
from steproute.lab.story import Story, generate

STORY = next(generate("test", 0))


def steps(*scores: tuple[float | None, float | None]) -> tuple[Step, ...]:
    """Regenerated steps, each with the rejected score and its own."""
    return tuple(
        Step(role="strong", text="so", tokens=1, rejected="no", rejected_score=old, score=new) for old, new in scores
    )


def counted(*scores: tuple[float | None, float | None]) -> Regenerations:
    trace = replace(graded("r", "p0", True), steps=steps(*scores))
    return regenerations(problems(1)[0], trace)


def test_a_step_that_scores_no_higher_is_wasted_and_one_without_a_new_score_is_not_counted() -> None:
    assert counted((0.5, 0.4), (0.5, 0.5), (0.5, 0.6), (0.5, None), (None, 0.4))[:2] == (3, 2)
    assert counted().share_wasted is None


def test_the_checker_counts_a_mended_error_and_nothing_after_an_error() -> None:
    good = correct_steps(STORY)
    bad = "(1) Nobody has 1."
    mended = Step(role="strong", text=good[0], tokens=1, rejected=bad)
    needless = Step(role="strong", text=good[1], tokens=1, rejected=good[1])
    lost = Step(role="weak", text=bad, tokens=1)
    too_late = Step(role="strong", text=good[2], tokens=1, rejected=bad)
    counts = regenerations(STORY, replace(graded("r", "p0", True), steps=(mended, needless, lost, too_late)))
    assert (counts.checked, counts.wasted_by_checker) == (3, 2)
    assert counts.share_wasted_by_checker == pytest.approx(2 / 3)
    assert counts.share_wasted is None


def correct_steps(problem: Problem) -> list[str]:
    """The first steps of the solution that its story implies."""
    return Story.parse(problem.text).solution()[:3]


def test_waste_at_a_cost_is_that_of_the_mixture_of_the_neighbouring_knobs() -> None:
    """At c = 30 % half of the problems are at c = 20 % and half at 40 %: (0.5 · 0 + 0.5 · 2) / (0.5 · 2 + 0.5 · 4)."""
    ones = np.ones((2, 10))
    counts = np.zeros((2, 10, 4))
    counts[0, :, :2], counts[1, :, :2] = (2, 0), (4, 2)
    policy = Outcomes(correct=ones, cost=ones * [[20.0], [40.0]], regenerations=counts)
    weak = Outcomes(correct=np.zeros(10), cost=np.zeros(10))
    strong = Outcomes(correct=np.ones(10), cost=np.full(10, 100.0))
    metrics = measure(curve_of((0, 1), policy, weak, strong))
    assert metrics["wasted_regenerations"] == pytest.approx(1 / 3)
    assert math.isnan(metrics["wasted_by_checker"])
    (samples,) = metric_samples([policy], weak, strong, np.random.default_rng(0), resamples=5)
    assert samples["wasted_regenerations"] == pytest.approx([1 / 3] * 6)


def test_a_runs_points_hold_the_waste_of_all_its_problems_together() -> None:
    each = series("policy", [0.5])
    traces = [graded(name, problem.id, True) for problem in problems(2) for name in ("weak", "strong", "policy=0.5")]
    again = {"p0": steps((0.5, 0.4), (0.5, 0.9), (0.5, 0.9)), "p1": steps((0.5, 0.4))}
    traces = [
        replace(trace, steps=again[trace.problem_id]) if trace.route.startswith("policy") else trace for trace in traces
    ]
    point = JudgedRuns(sweep(each), problems(2), traces).point(each.routes[0], 0.5)
    assert point.wasted_regenerations == 0.5
    assert point.wasted_by_checker is None
