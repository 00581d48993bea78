import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from tests.evaluation.hand_made import METRIC_VALUES, NEVER, POINT, REACHED, SUMMARY, UNREACHED

from steproute.cli.comparison_tables import print_comparison
from steproute.cli.tables import points_table, print_summary, wide_metrics, wide_points
from steproute.evaluation.compare import COMPARED, Comparison, Pair, Row
from steproute.evaluation.formatting import policy_label
from steproute.evaluation.summary import AXES, SeriesSummary, Summary
from steproute.evaluation.summary_text import bill

NAMES = (
    "threshold",
    "lab-agg",
    "threshold+takeover",
    "automix-prm:threshold",
    "automix-prm:runs/agg-with-confidence-seed-12",
    "query:runs/query-similarity-weighted-2000-problems",
    "single:qwen2.5-math-72b-instruct",
    "random",
    "oracle",
)
LONG = replace(
    POINT,
    knob=0.0002345,
    accuracy_ci95=(0.0, 1.0),
    strong_tokens=123456.7,
    strong_share=12.345,
    weak_tokens=98765.4,
    prm_tokens=1234567.0,
    cost_usd=12.3456,
    latency_s=1234.56,
)


def full(summary: Summary = SUMMARY) -> Summary:
    """Every kind of policy, with numbers as long as they get."""
    never = [replace(NEVER, gap_recovered=p.gap_recovered, strong_tokens_ci95=(1.005, None)) for p in REACHED]
    points = [POINT, replace(LONG, accuracy=0.995)]
    return replace(
        summary,
        name="a-run-with-a-name-that-goes-on-and-on-as-names-of-runs-do",
        strong=replace(LONG, knob=None, accuracy=0.999),
        points=points,
        baselines=[
            SeriesSummary(
                name=name,
                points=points[: 1 if name.startswith("single") else 2],
                metrics=METRIC_VALUES,
                operating_points=REACHED if index % 2 else never,
            )
            for index, name in enumerate(NAMES[1:])
        ],
    )


def printed(summary: Summary, width: int = 80, *, wide: bool = False) -> str:
    console = Console(width=width, file=StringIO())
    print_summary(console, summary, wide=wide)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def comparison() -> Comparison:
    metrics = {axis: dict(METRIC_VALUES) for axis in AXES}
    pairs = [
        Pair(
            first=name,
            second=NAMES[0],
            axis=axis,
            metric=metric,
            difference=-0.123,
            difference_ci95=ends,
            better=NAMES[0],
            p=0.0009,
            p_holm=0.0123,
        )
        for name, ends in zip(NAMES[1:], ((-0.345, 0.234), (None, 0.1), (-1.5, None)) * 3, strict=False)
        for axis in AXES
        for metric in COMPARED
    ]
    rows = [Row(name=name, metrics=metrics, calls=1234.5, calls_at=0.3) for name in NAMES]
    return Comparison(
        name="c", data="lab:test", seed=0, problems=1000, resamples=10_000, least_p=0.0002, rows=rows, pairs=pairs
    )


def printed_comparison(
    width: int = 80, *, wide: bool = False, summary: Summary | None = None, found: Comparison | None = None
) -> str:
    console = Console(width=width, file=StringIO())
    print_comparison(console, summary or full(), found or comparison(), wide=wide)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def cells(table: Table) -> list[str]:
    return [str(cell) for column in table.columns for cell in (column.header, *column.cells)]


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize("summary", [SUMMARY, UNREACHED, full(), full(UNREACHED)])
def test_the_narrow_tables_fit_the_terminal_and_cut_no_cell(summary: Summary, width: int) -> None:
    found = printed(summary, width)
    lines = found.splitlines()
    assert max(map(cell_len, lines)) <= width
    assert "…" not in found
    for cell in cells(points_table(summary)):
        assert any(cell in line for line in lines), cell
    names = [summary.policy, *(series.name for series in summary.baselines)]
    for label in (policy_label(name, "stepwise") for name in names):
        assert any(line.startswith(label) for line in lines), label


@pytest.mark.parametrize("width", [20, 80, 120, 300])
@pytest.mark.parametrize("table", [wide_points, wide_metrics])
def test_wide_tables_cut_no_cell_in_any_terminal(table: Callable[[Summary], Table | list[Table]], width: int) -> None:
    found = printed(full(), width, wide=True)
    lines = found.splitlines()
    assert "…" not in found
    made = table(full())
    for cell in [cell for each in (made if isinstance(made, list) else [made]) for cell in cells(each)]:
        assert any(cell in line for line in lines), cell


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize("wide", [False, True])
def test_a_comparison_cuts_no_cell(wide: bool, width: int) -> None:
    found = printed_comparison(width, wide=wide)
    assert "…" not in found
    if not wide:
        assert max(map(cell_len, found.splitlines())) <= width
    for name in NAMES:
        assert any(line.strip().startswith(policy_label(name, "stepwise")) for line in found.splitlines()), name
    for text in ("-0.123 [-0.345, +0.234]", "-0.123 [-∞, +0.100]", "0.012"):
        assert any(text in line for line in found.splitlines()), text


@pytest.mark.parametrize("wide", [False, True])
def test_a_comparison_names_policies_by_the_runs_strategy(wide: bool) -> None:
    cascade = replace(full(), settings={"route": {"strategy": "cascade"}})
    found = printed_comparison(wide=wide, summary=cascade)
    assert policy_label("threshold", "cascade") in found
    assert policy_label("threshold", "stepwise") not in found


@pytest.mark.parametrize("wide", [False, True])
def test_a_comparison_without_a_gap_says_why_and_compares_nothing(wide: bool) -> None:
    whole = comparison()
    hollow = replace(whole, pairs=[], rows=[replace(row, metrics={}) for row in whole.rows], note="no gap")
    found = printed_comparison(wide=wide, summary=replace(full(), metrics_note="there is no gap"), found=hollow)
    assert "there is no gap" in found
    assert "APGR minus" not in found
    assert "compared with" not in found


def test_the_first_line_is_the_headline() -> None:
    assert printed(SUMMARY).startswith("TRIM-Thr recovers 95 % of the accuracy gap between always-weak")
    assert printed_comparison().startswith("TRIM-Thr recovers 95 %")


def test_every_operating_point_has_tokens_and_dollars_with_intervals() -> None:
    lines = [" ".join(line.split()) for line in printed(UNREACHED).splitlines()]
    assert "gap recovered accuracy dollars [95 %] strong tokens [95 %] time" in lines
    assert "80 % 82.0 % 60.0 % [50.0, 70.0] 30.0 % [20.0, 40.0] 70.0 %" in lines
    assert "95 % 88.0 % not reached [60.0, ∞] not reached [40.0, ∞] –" in lines


def test_a_single_model_has_one_line_and_no_share_of_the_gap() -> None:
    single = SeriesSummary(name="single:mid", points=[POINT], metrics=METRIC_VALUES, operating_points=REACHED)
    lines = [" ".join(line.split()) for line in printed(replace(SUMMARY, baselines=[single])).splitlines()]
    assert lines[lines.index("always mid") + 1] == "– 70.0 % 50.0 % 25.0 % 100.0 %"
    assert sum(line.startswith("95 %") for line in lines) == 1


def test_points_and_anchors_have_a_row_each() -> None:
    rows = [" ".join(line.split()) for line in printed(SUMMARY).splitlines()]
    assert "knob accuracy gap $/1000 dollars tokens time seconds" in rows
    assert "0.5 70.0 % 50.0 % $0.1230 50.0 % 25.0 % 100.0 % 0.50" in rows
    assert "always weak 50.0 % 0.0 % $0.05000 20.3 % 0.0 % 100.0 % 0.50" in rows
    assert "always strong 90.0 % 100.0 % $0.2460 100.0 % 100.0 % 100.0 % 0.50" in rows


def test_intervals_metrics_and_counts_come_with_wide_alone() -> None:
    narrow, wide = printed(SUMMARY), printed(SUMMARY, 200, wide=True)
    for text in ("70.0 % [65.0, 75.0]", "PRM read", "ΔIBC", "metrics by dollars"):
        assert text not in narrow
        assert text in wide


def test_models_without_a_price_have_no_share_of_dollars() -> None:
    free = replace(SUMMARY, strong=replace(SUMMARY.strong, cost_usd=0.0))
    found = printed(free)
    assert re.search(r"always strong +90.0 % +100.0 % +\$0 +100.0 % +– ", found)
    assert re.search(r"gap recovered +accuracy +strong tokens \[95 %\] +dollars \[95 %\]", found)
    assert "Always-strong has no price" in " ".join(found.split())
    assert "metrics by dollars" not in printed(free, 200, wide=True)


def test_models_that_take_no_time_have_no_share_of_it() -> None:
    still = replace(SUMMARY, strong=replace(SUMMARY.strong, latency_s=0.0))
    assert re.search(r"always strong +90.0 % .*100.0 % +– +–", printed(still))


def test_the_bill_distinguishes_paid_from_billed() -> None:
    shared = " ".join(printed(replace(SUMMARY, paid_usd=0.2)).split())
    assert "billed to routes $0.5000 and to interrupted attempts $0.01000, paid $0.2000 (shared steps once)" in shared


@given(st.lists(st.decimals(0, 1000, places=6), min_size=3, max_size=3))
def test_there_is_one_total_and_its_parts_add_up_to_it(usd: list[Decimal]) -> None:
    fields = dict(zip(("spent_usd", "interrupted_usd", "grading_usd"), map(float, usd), strict=True))
    total, *parts = map(float, re.findall(r"\$([\d.]+)", bill(replace(SUMMARY, paid_usd=None, **fields))))
    assert total == pytest.approx(float(sum(usd)), rel=0.001)
    assert sum(parts) == pytest.approx(total if sum(map(bool, usd)) > 1 else 0, rel=0.003)


def test_failures_and_interrupted_spending_are_reported() -> None:
    found = " ".join(printed(SUMMARY).split())
    assert "1 failed, 2 undecided (counted as not correct)" in found
    assert "paid $0.5100: $0.5000 for results, $0.01000 for interrupted attempts" in found
    assert "1 × prm: BackendUnavailable: prm-7b: status 503: <busy>, request 12. First: problem 'p'" in found


def test_only_the_most_frequent_reasons_are_printed() -> None:
    (group,) = SUMMARY.failures
    groups = [replace(group, count=9 - number, reason=f"reason {number}.") for number in range(7)]
    found = " ".join(printed(replace(SUMMARY, failures=groups)).split())
    assert [f"reason {number}." in found for number in range(7)] == [True] * 5 + [False] * 2
    assert "2 further reasons are in summary.json" in found


@pytest.mark.parametrize("text", [printed(SUMMARY), printed_comparison()], ids=["eval", "compare"])
def test_what_a_summary_is_made_of_is_printed(text: str) -> None:
    found = " ".join(text.split())
    assert "made of 11 problems × 1 seed × 5 routes: 15 solved now for $0.1000, 40 from before for $0.4000." in found
