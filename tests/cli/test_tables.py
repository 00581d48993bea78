from io import StringIO

from rich.console import Console
from tests.bench.hand_made import SUMMARY, UNREACHED

from steproute.bench.summary import Summary
from steproute.cli.tables import summary_tables


def text(summary: Summary) -> str:
    console = Console(width=100, file=StringIO())
    console.print(summary_tables(summary))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_points_and_anchors_have_a_row_each() -> None:
    found = text(SUMMARY)
    assert "70.0 % [65.0, 75.0] │  50.0 % │  25.0 %" in found
    assert "always weak" in found
    assert "always strong" in found
    assert "$0.1230" in found


def test_metrics_have_intervals_and_say_what_is_not_reached() -> None:
    assert "30.0 % [20.0, 40.0]" in text(SUMMARY)
    assert "not reached [40.0, ∞]" in text(UNREACHED)


def test_failures_and_interrupted_spending_are_told() -> None:
    found = text(SUMMARY)
    assert "1 failed, 2 could not be graded" in found
    assert "interrupted attempts $0.01" in found
