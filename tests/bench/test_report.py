import re
from dataclasses import replace
from pathlib import Path

from tests.bench.hand_made import SUMMARY, UNREACHED

from steproute import Decision, Outcome, Problem, Step
from steproute.bench.bootstrap import METRICS
from steproute.bench.report import headline, write_report
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


def page(tmp_path: Path, summary: object = SUMMARY) -> str:
    write_report(summary, [(PROBLEM, TRACE)], tmp_path / "report.html")  # type: ignore[arg-type]
    return (tmp_path / "report.html").read_text()


def test_the_report_has_its_form(tmp_path: Path) -> None:
    """Delete the golden file and run again after a change that is meant."""
    found = re.sub(r"<svg.*</svg>", "<svg/>", page(tmp_path), flags=re.DOTALL)
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


def test_the_headline_says_what_happened() -> None:
    assert headline(SUMMARY) == "threshold recovers 95 % of the gap for 30.0 % [20.0, 40.0] of strong tokens"
    assert headline(UNREACHED) == "threshold does not recover 95 % of the gap between weak and strong"
    nothing = replace(SUMMARY, metrics=dict.fromkeys(METRICS), metrics_note="no gap")
    assert "no gap to recover" in headline(nothing)
