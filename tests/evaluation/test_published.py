from dataclasses import replace
from io import StringIO
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest
from rich.console import Console
from tests.evaluation.hand_made import SUMMARY

from steproute.cli.tables import print_summary
from steproute.evaluation.curve_file import read_curve
from steproute.evaluation.metrics import measure
from steproute.evaluation.plot import panel_svg
from steproute.evaluation.published import published_curves
from steproute.evaluation.summary import Axis

SVG = "{http://www.w3.org/2000/svg}"
CURVES = {"TRIM-Thr": "trim_thr_math500_qwen2.5-1.5b_7b", "TRIM-POMDP": "trim_pomdp_math500_qwen2.5-1.5b_7b"}
COMPARED = replace(SUMMARY, published=published_curves("trim-world"))


@pytest.mark.parametrize("data", ["trim-world", "trim-world:test", "trim-world:validation/spread"])
def test_a_run_in_trims_world_has_the_published_curves_beside_it(data: str) -> None:
    thr, pomdp = published_curves(data)
    assert [round(100 * (thr.metrics[name] or 0), 1) for name in ("cpt50", "cpt80", "cpt95")] == [19.7, 32.8, 44.2]
    assert [round(100 * (pomdp.metrics[name] or 0), 1) for name in ("cpt50", "cpt80")] == [14.9, 25.3]
    assert pomdp.metrics["cpt95"] is None
    assert (thr.points[0].accuracy, thr.points[-1].accuracy, thr.points[-1].strong_share) == (0.364, 0.73, 1.0)


@pytest.mark.parametrize("data", ["lab", "lab:test/hard", "math500", "trim-worlds", "trim-world.jsonl"])
def test_other_runs_have_none(data: str) -> None:
    assert published_curves(data) == []


def test_the_curves_are_those_of_the_data_folder(data_folder: Path) -> None:
    path = data_folder / "trim_reference/published_curves.json"
    for curve in published_curves("trim-world"):
        there = read_curve(path, CURVES[curve.name], anchors_from=CURVES["TRIM-Thr"])
        assert [(p.knob, p.accuracy, p.strong_tokens) for p in curve.points] == [
            (p.knob, p.accuracy, p.strong_tokens) for p in there.points
        ]
        assert curve.metrics["apgr"] == measure(there)["apgr"]


@pytest.mark.parametrize(("axis", "drawn"), [("tokens", 29), ("usd", 0)])
def test_the_plot_draws_them_by_tokens(axis: Axis, drawn: int) -> None:
    root = fromstring(panel_svg(COMPARED, axis))
    titles = [title.text or "" for title in root.iterfind(f"{SVG}circle/{SVG}title")]
    assert len([title for title in titles if title.startswith("published TRIM")]) == drawn
    if drawn:
        assert "published TRIM-Thr: 36.4 % at 0.0 %" in titles
        dots = [float(c.get("cy", "0")) for c in root.iterfind(f"{SVG}circle") if c.find(f"{SVG}title") is not None]
        numbers = [float(t.get("y", "0")) for t in root.iterfind(f"{SVG}text") if t.get("text-anchor") == "middle"]
        assert max(dots) < min(numbers)  # above the numbers of the horizontal axis


def test_the_table_shows_them_and_what_they_do_not_reach() -> None:
    console = Console(width=160, file=StringIO())
    print_summary(console, COMPARED, wide=True)
    assert isinstance(console.file, StringIO)
    text = console.file.getvalue()
    thr, pomdp = (
        next(line for line in text.splitlines() if f"published {name}" in line) for name in ("TRIM-Thr", "TRIM-POMDP")
    )
    assert "32.8 %" in thr
    assert "44.2 %" in thr
    assert "not reached" in pomdp
