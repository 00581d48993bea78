import re
from dataclasses import replace
from html import unescape
from pathlib import Path

from tests.evaluation.hand_made import METRIC_VALUES, POINT, REACHED, SUMMARY

from steproute import Accept, Outcome, Problem, Rewrite, Step
from steproute.core.grade import Verdict
from steproute.core.trace import Trace
from steproute.evaluation.compare import COMPARED, Comparison, Pair, Row
from steproute.evaluation.headline import headlines
from steproute.evaluation.report import write_report
from steproute.evaluation.summary import AXES, SeriesSummary

GOLDEN = Path(__file__).parent / "golden/report.html"
TRACE = Trace(
    problem_id="p",
    route="stepwise/threshold=0.5",
    steps=(
        Step(role="weak", text="first <script>alert(1)</script>", tokens=4, score=0.9, decision=Accept()),
        Step(role="strong", text="second", tokens=5, decision=Rewrite("strong"), rejected="wrong", rejected_score=0.1),
    ),
    answer="42",
    outcome=Outcome.ANSWERED,
    account=(),
    latency_s=0.1,
    seed=0,
)
PROBLEM = Problem.ask(id="p", text="How many & why?", answer="42")


def page(tmp_path: Path, summary: object = SUMMARY, verdict: Verdict = Verdict.CORRECT) -> str:
    write_report(summary, [(PROBLEM, replace(TRACE, verdict=verdict))], tmp_path / "report.html")  # type: ignore[arg-type]
    return (tmp_path / "report.html").read_text()


def test_the_report_has_its_form(tmp_path: Path) -> None:
    """Delete the golden file and run again after a change that is meant."""
    found = re.sub(r"<svg.*?</svg>", "<svg/>", page(tmp_path), flags=re.DOTALL)
    if not GOLDEN.exists():
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(found)
    assert found == GOLDEN.read_text()


def test_failures_and_contents_are_on_the_page(tmp_path: Path) -> None:
    found = page(tmp_path)
    assert "Made of 11 problems × 1 seed × 5 routes" in found
    assert "<td>prm</td><td>p</td>" in found
    assert "status 503: &lt;busy&gt;, request 12." in found
    assert "Why problems failed" not in page(tmp_path, replace(SUMMARY, failures=[]))


def test_the_report_shows_undecided_reasons_and_the_graders_bill(tmp_path: Path) -> None:
    reasons = {"the grader raised ValueError: <b>boom</b>": 2, "no reply": 1}
    found = page(tmp_path, replace(SUMMARY, undecided=3, undecided_reasons=reasons, grading_usd=0.25))
    assert (
        "Undecided: 3; these answers could not be graded and count as not correct, and the reasons are below." in found
    )
    assert (
        '<th scope="row">2</th><td class="reason">the grader raised ValueError: &lt;b&gt;boom&lt;/b&gt;</td>' in found
    )
    assert '<th scope="row">1</th><td class="reason">no reply</td>' in found
    assert (
        "paid $0.7600: $0.5000 for results, $0.01000 for interrupted attempts, $0.2500 for grading, which is no part "
        "of any route&#39;s cost."
    ) in found
    without = page(tmp_path)
    assert "in time" not in without
    assert "for grading" not in without
    assert "Why answers are undecided" not in without


def test_a_comparison_is_on_the_page_of_its_run(tmp_path: Path) -> None:
    assert "Compared with" not in page(tmp_path)
    metrics = {axis: dict(METRIC_VALUES) for axis in AXES}
    pairs = [
        Pair(
            first="oracle", second="threshold", axis=axis, metric=metric, difference=0.125, difference_ci95=(0.1, None),
            better=None, p=0.0001, p_holm=0.0004,
        )
        for axis in AXES
        for metric in COMPARED
    ]  # fmt: skip
    comparison = Comparison(
        name="c", data="lab", seed=0, problems=10, resamples=9999, least_p=0.0002, pairs=pairs,
        rows=[Row(name=name, metrics=metrics, calls=1.0, calls_at=0.3) for name in ("threshold", "oracle")],
    )  # fmt: skip
    write_report(SUMMARY, [], tmp_path / "report.html", comparison)
    found = (tmp_path / "report.html").read_text()
    assert found.count("+0.125 [+0.100, +∞]<br>") == len(AXES) * len(COMPARED)
    assert "level, p &lt; 0.0004" in found
    for text in ("Compared with TRIM-Thr", "By strong tokens", "By dollars", "for all 4 differences"):
        assert text in found


def test_texts_of_models_and_problems_are_escaped(tmp_path: Path) -> None:
    found = page(tmp_path)
    assert "<script" not in found
    assert "first &lt;script&gt;" in found
    assert "How many &amp; why?" in found


def test_the_page_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    assert not re.findall(r"(?:src|href)=\"(?!data:)", page(tmp_path))


def test_the_first_line_is_the_headline_and_the_pictures_follow(tmp_path: Path) -> None:
    body = unescape(page(tmp_path).partition("<body>")[2]).replace("\u00a0", " ")
    assert body.lstrip().startswith(f"<h1>{headlines(SUMMARY)[0]}</h1>")
    assert body.index("accuracy, %, by dollars") < body.index("accuracy, %, by strong tokens") < body.index("<table")


def test_a_single_model_has_one_row_and_no_share_of_the_gap(tmp_path: Path) -> None:
    single = SeriesSummary(name="single:mid", points=[POINT], metrics=METRIC_VALUES, operating_points=REACHED)
    found = page(tmp_path, replace(SUMMARY, baselines=[single])).replace("\u00a0", " ")
    assert '<th scope="row">–</th><td>70.0 %</td><td>50.0 %</td><td>25.0 %</td>' in found
    assert found.count('<th scope="row">95 %</th>') == 1


def test_models_without_a_price_have_one_picture_and_no_dollars(tmp_path: Path) -> None:
    points = [replace(p, cost_usd=None, cost_usd_ci95=(None, None)) for p in SUMMARY.operating_points]
    free = replace(SUMMARY, strong=replace(SUMMARY.strong, cost_usd=0.0), operating_points=points)
    found = page(tmp_path, free)
    assert found.count("accuracy, %, by ") == 1
    assert "of its dollars" not in found


def test_every_wide_table_scrolls_in_its_own_box(tmp_path: Path) -> None:
    """A phone shows 390 pixels: only the table of operating points is narrow enough to stand alone."""
    found = page(tmp_path)
    alone = [tag for tag in re.findall(r"(?:<div class=\"wide\">)?<table[^>]*>", found) if "wide" not in tag]
    assert alone == ['<table class="points">']
    assert ".wide { overflow-x: auto; }" in found


def test_an_example_says_whether_its_answer_is_correct(tmp_path: Path) -> None:
    marks = {Verdict.CORRECT: "✓ correct", Verdict.INCORRECT: "✗ incorrect", Verdict.UNDECIDED: "undecided"}
    for verdict, mark in marks.items():
        heading = re.findall("<h3>(.*?)</h3>", page(tmp_path, verdict=verdict))
        assert [mark in each for each in heading] == [True]
