import struct
from dataclasses import replace
from itertools import pairwise
from math import nan
from pathlib import Path
from xml.etree.ElementTree import Element, fromstring

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.evaluation.hand_made import METRIC_VALUES, POINT, REACHED, SUMMARY, UNREACHED

from steproute.evaluation.canvas import ticks
from steproute.evaluation.metrics import METRICS
from steproute.evaluation.plot import legend, panel_svg, pareto_svg, plot_pareto
from steproute.evaluation.summary import Axis, SeriesSummary, Summary

SVG = "{http://www.w3.org/2000/svg}"
MANY = replace(
    SUMMARY,
    baselines=[
        SeriesSummary(
            name=name, points=[POINT, replace(POINT, accuracy=0.8)], metrics=METRIC_VALUES, operating_points=REACHED
        )
        for name in ("lab-agg", "random", "oracle", "single:mid", "confidence", "runs/a", "runs/b", "runs/c", "runs/d")
    ],
)


def drawn(summary: Summary, axis: Axis = "tokens") -> list[str]:
    """What the dots of a panel say when pointed at."""
    return [title.text or "" for title in fromstring(panel_svg(summary, axis)).iterfind(f".//{SVG}circle/{SVG}title")]


def dots(root: Element, label: str) -> list[Element]:
    return [c for c in root.iterfind(f".//{SVG}circle") if (c.findtext(f"{SVG}title") or "").startswith(label)]


def test_what_is_drawn_is_the_data_on_both_axes() -> None:
    assert drawn(SUMMARY) == [
        "always weak: 50.0 % at 0.0 %",
        "always strong: 90.0 % at 100.0 %",
        "oracle (knows the checker): 92.0 % at 25.0 %",
        "TRIM-Thr: 70.0 % at 25.0 %",
        "TRIM-Thr: 88.0 % at 75.0 %",
        "95 % of the gap: 88.0 % at 45.0 %",
    ]
    assert drawn(SUMMARY, "usd") == [
        "always weak: 50.0 % at 20.3 %",
        "always strong: 90.0 % at 100.0 %",
        "oracle (knows the checker): 92.0 % at 50.0 %",
        "TRIM-Thr: 70.0 % at 50.0 %",
        "TRIM-Thr: 88.0 % at 81.3 %",
        "95 % of the gap: 88.0 % at 75.0 %",
    ]


def test_the_picture_holds_both_panels() -> None:
    root = fromstring(pareto_svg(SUMMARY))
    assert len(dots(root, "TRIM-Thr")) == 4
    assert [t.text for t in root.iterfind(f".//{SVG}text") if "accuracy, %" in (t.text or "")] == [
        "accuracy, %, by dollars", "accuracy, %, by strong tokens"
    ]  # fmt: skip


@pytest.mark.parametrize("axis", ["tokens", "usd"])
def test_dots_are_placed_by_the_axes(axis: Axis) -> None:
    root = fromstring(panel_svg(SUMMARY, axis))
    first, second = dots(root, "TRIM-Thr")
    numbers = {t.text: t for t in root.iterfind(f".//{SVG}text") if t.get("text-anchor") == "middle"}
    pixels_a_share = (float(numbers["80"].get("x", "")) - float(numbers["20"].get("x", ""))) / 0.6
    apart = 0.5 if axis == "tokens" else (0.0002 - 0.000123) / 0.000246
    assert float(second.get("cx", "")) - float(first.get("cx", "")) == pytest.approx(apart * pixels_a_share, abs=0.3)
    assert float(second.get("cy", "")) < float(first.get("cy", ""))


@pytest.mark.parametrize("summary", [SUMMARY, MANY, UNREACHED])
def test_the_legend_lies_below_every_curve_and_its_entries_do_not_touch(summary: Summary) -> None:
    root = fromstring(pareto_svg(summary))
    panels, rest = [each for each in root if each.tag == f"{SVG}g"], [each for each in root if each.tag == f"{SVG}text"]
    lowest = 52 + max(float(t.get("y", "")) for panel in panels for t in panel.iterfind(f"{SVG}text"))
    keys = [text for text in rest if text.text != f"{summary.name}: {summary.problems} problems of {summary.data}"]
    assert [text.text for text in keys] == [style.label for style in legend(summary)]
    assert min(float(text.get("y", "")) for text in keys) > lowest
    assert max(float(text.get("y", "")) for text in keys) < float(root.get("height", ""))
    places = [(float(text.get("y", "")), float(text.get("x", "")), text.text or "") for text in keys]
    for (y, x, words), (next_y, next_x, _) in pairwise(places):
        assert next_y > y or next_x > x + 9 * len(words) + 50


@pytest.mark.parametrize(
    "summary",
    [
        SUMMARY,
        UNREACHED,
        MANY,
        replace(SUMMARY, baselines=[]),
        replace(SUMMARY, metrics=dict.fromkeys(METRICS), points=SUMMARY.points[:1], operating_points=[]),
        replace(SUMMARY, strong=replace(SUMMARY.strong, cost_usd=0.0)),
        replace(SUMMARY, strong=replace(SUMMARY.strong, strong_share=nan), points=[replace(POINT, strong_share=nan)]),
    ],
)
def test_the_picture_is_a_png_of_its_width(summary: Summary, tmp_path: Path) -> None:
    plot_pareto(summary, tmp_path / "pareto.png")
    data = (tmp_path / "pareto.png").read_bytes()
    assert data.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", data[16:24])
    assert (width, height) == (1200, int(fromstring(pareto_svg(summary)).get("height", "")))
    assert "nan" not in pareto_svg(summary)


def test_models_without_a_price_have_one_panel() -> None:
    free = replace(SUMMARY, strong=replace(SUMMARY.strong, cost_usd=0.0))
    assert "by dollars" not in pareto_svg(free)


def test_a_share_that_is_not_reached_is_not_marked() -> None:
    assert [text for text in drawn(UNREACHED) if text.startswith("95 %")] == []


def test_names_are_escaped() -> None:
    assert "<script" not in pareto_svg(replace(SUMMARY, policy="<script>"))


@given(st.floats(0, 1), st.floats(0.03, 1e6))
def test_axes_have_a_few_round_numbers(low: float, width: float) -> None:
    values = list(ticks(low, low + width))
    assert 1 <= len(values) <= 10
    assert all(low - 1e-6 * (1 + width) <= value <= low + width + 1e-6 * width for value in values)


def test_a_panel_marks_where_dollars_exceed_always_strong() -> None:
    dear = replace(SUMMARY, points=[replace(POINT, cost_usd=9 * SUMMARY.strong.cost_usd)])
    texts = {t.text: t for t in fromstring(panel_svg(dear, "usd")).iterfind(f".//{SVG}text")}
    assert "costs more than always strong" in texts
    assert float(texts["always weak 50.0 %"].get("x", "")) > 300
    for axis in ("usd", "tokens"):
        assert "costs more than always strong" not in panel_svg(SUMMARY, axis)  # type: ignore[arg-type]
