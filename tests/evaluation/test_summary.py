import numpy as np
import pytest
from tests.evaluation.graded import graded, problems, route, series, sweep

from steproute.core.errors import DatasetError
from steproute.core.grade import Verdict
from steproute.core.trace import Trace
from steproute.evaluation.judged_runs import JudgedRuns
from steproute.evaluation.summarise import summarise

POLICY = series("threshold", (0.5, 1.0))
SWEEP = sweep(POLICY)
ROUTES = [route.name for route in SWEEP.routes]


def everything(count: int, verdict: Verdict | bool | None = True) -> list[Trace]:
    return [graded(name, f"p{index}", verdict) for name in ROUTES for index in range(count)]


@pytest.mark.parametrize("missing", ROUTES)
def test_a_problem_without_a_verdict_in_one_route_is_left_out_of_all(missing: str) -> None:
    cells = [cell for cell in everything(4) if (cell.route, cell.problem_id) != (missing, "p2")]
    assert JudgedRuns(SWEEP, problems(4), cells).judged == ["p0", "p1", "p3"]
    cells.append(graded(missing, "p2", None))
    runs = JudgedRuns(SWEEP, problems(4), cells)
    assert runs.judged == ["p0", "p1", "p3"]
    for each in SWEEP.routes:
        assert runs.outcomes([each]).correct.shape == (1, 3)


def test_without_a_problem_that_all_routes_judged_there_is_no_table() -> None:
    cells = [graded(name, f"p{index}", index != place) for place, name in enumerate(ROUTES) for index in range(4)]
    holes = [cell for cell in cells if cell.route != "weak"] + [graded("weak", f"p{i}", None) for i in range(4)]
    with pytest.raises(DatasetError, match="no problem was judged in every route"):
        JudgedRuns(SWEEP, problems(4), holes)


def test_dollars_and_strong_tokens_are_two_axes() -> None:
    cells = [
        graded(name, f"p{index}", True, strong_tokens=10 * place + index, weak_tokens=7, usd=1 / (1 + place + index))
        for place, name in enumerate(ROUTES)
        for index in range(3)
    ]
    runs = JudgedRuns(SWEEP, problems(3), cells)
    for place, each in enumerate(SWEEP.routes):
        assert runs.anchor(each, "tokens").cost.tolist() == [10 * place, 10 * place + 1, 10 * place + 2]
        dollars = [1 / (1 + place), 1 / (2 + place), 1 / (3 + place)]
        assert runs.anchor(each, "usd").cost.tolist() == pytest.approx(dollars)
        assert runs.point(each, None).cost_usd == pytest.approx(float(np.mean(dollars)))


def test_leads_are_paired_at_equal_cost() -> None:
    """The policy solves what the baseline solves and the same further problems, so its lead has no spread."""
    count = 60
    other = series("other", (0.5, 1.0))
    both = sweep(POLICY, other)
    rights = {"weak": 0, "strong": 60, "threshold=0.5": 36, "threshold=1": 60, "other=0.5": 30, "other=1": 60}
    tokens = {"weak": 0, "strong": 100, "threshold=0.5": 50, "threshold=1": 100, "other=0.5": 50, "other=1": 100}
    cells = [
        graded(name, f"p{index}", index * 7 % count < right, strong_tokens=tokens[name])
        for name, right in rights.items()
        for index in range(count)
    ]
    summary = summarise("n", "d", both, problems(count), cells, seed=0)
    (lead,) = [each for each in summary.leads if each.c == 0.5]
    assert lead.accuracy - lead.baseline_accuracy == pytest.approx(0.1)
    assert route("other=0.5") in other.routes
    low, high = lead.lead_ci95
    assert low is not None
    assert high is not None
    assert 0 <= low < 0.1 < high < 0.2, "unpaired it would reach from -0.08 to 0.28"
