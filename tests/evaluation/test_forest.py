"""The picture of a comparison."""

from pathlib import Path
from xml.etree.ElementTree import fromstring

from tests.evaluation.test_compare import compared

from steproute.evaluation.forest import comparison_svg, plot_comparison

SVG = "{http://www.w3.org/2000/svg}"


def test_there_is_a_row_per_policy_with_the_best_on_top_and_a_panel_per_kind_of_cost(tmp_path: Path) -> None:
    comparison = compared(0.1)
    root = fromstring(comparison_svg(comparison, "stepwise"))
    texts = [each.text for each in root.iterfind(f".//{SVG}text")]
    assert [each for each in texts if each in ("one", "two", "three")] == ["one", "two", "three"]
    assert [each for each in texts if each and each.startswith("by ")] == ["by dollars", "by strong tokens"]
    dots = [each.get("fill") for each in root.iterfind(f".//{SVG}g/{SVG}circle")]
    assert dots == ["#222222", "#8a8a8a", "#D55E00"] * 2
    plot_comparison(comparison, "stepwise", tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_without_a_gap_there_is_none(tmp_path: Path) -> None:
    plot_comparison(compared(0.1, weak_right=9), "stepwise", tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []
