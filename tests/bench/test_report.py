import re
from dataclasses import replace
from html import unescape
from pathlib import Path

from tests.bench.hand_made import SUMMARY

from steproute import Decision, Outcome, Problem, Step
from steproute.bench.answers import Verdict
from steproute.bench.headline import headlines
from steproute.bench.report import write_report
from steproute.bench.sweep import Graded
from steproute.core.trace import Trace

GOLDEN = Path(__file__).parent / "golden/report.html"
TRACE = Trace(
    problem_id="p",
    route="stepwise/threshold=0.5",
    steps=(
        Step(role="weak", text="first <script>alert(1)</script>", tokens=4, score=0.9, decision=Decision.ACCEPT),
        Step(
            role="strong", text="second", tokens=5, decision=Decision.REGENERATE, rejected="wrong", rejected_score=0.1
        ),
    ),
    answer="42",
    outcome=Outcome.ANSWERED,
    account=(),
    latency_s=0.1,
    seed=0,
)
PROBLEM = Problem(id="p", text="How many & why?", answer="42")


def page(tmp_path: Path, summary: object = SUMMARY, verdict: Verdict = Verdict.RIGHT) -> str:
    write_report(summary, [(PROBLEM, Graded(trace=TRACE, verdict=verdict))], tmp_path / "report.html")  # type: ignore[arg-type]
    return (tmp_path / "report.html").read_text()


def test_the_report_has_its_form(tmp_path: Path) -> None:
    """Delete the golden file and run again after a change that is meant."""
    found = re.sub(r"<svg.*?</svg>", "<svg/>", page(tmp_path), flags=re.DOTALL)
    if not GOLDEN.exists():
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(found)
    assert found == GOLDEN.read_text()


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
    assert body.index("accuracy, %, by strong tokens") < body.index("accuracy, %, by dollars") < body.index("<table")


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
    marks = {Verdict.RIGHT: "✓ correct", Verdict.WRONG: "✗ incorrect", Verdict.UNDECIDED: "undecided"}
    for verdict, mark in marks.items():
        heading = re.findall("<h3>(.*?)</h3>", page(tmp_path, verdict=verdict))
        assert [mark in each for each in heading] == [True]
