import struct
from dataclasses import replace
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest
from tests.bench.hand_made import SUMMARY, UNREACHED

from steproute.bench.bootstrap import METRICS
from steproute.bench.plot import pareto_svg, plot_pareto
from steproute.bench.summary import Summary

SVG = "{http://www.w3.org/2000/svg}"


def drawn(summary: Summary) -> list[str]:
    """What the dots of a picture say when pointed at."""
    return [title.text or "" for title in fromstring(pareto_svg(summary)).iterfind(f"{SVG}circle/{SVG}title")]


def test_what_is_drawn_is_the_data() -> None:
    assert drawn(SUMMARY) == [
        "oracle (knows the checker): 92.0 % at 25.0 %",
        "threshold: 70.0 % at 25.0 %",
        "threshold: 88.0 % at 75.0 %",
        "CPT(95 %) = 30.0 %: 88.0 % at 30.0 %",
    ]


def test_dots_stand_where_the_axes_say() -> None:
    root = fromstring(pareto_svg(SUMMARY))
    first, second = (c for c in root.iterfind(f"{SVG}circle") if "threshold" in (c.findtext(f"{SVG}title") or ""))
    numbers = {t.text: t for t in root.iterfind(f"{SVG}text") if t.get("text-anchor") == "middle"}
    pixels_a_share = (float(numbers["80"].get("x", "")) - float(numbers["20"].get("x", ""))) / 0.6
    assert float(second.get("cx", "")) - float(first.get("cx", "")) == pytest.approx(0.5 * pixels_a_share, abs=0.3)
    assert float(second.get("cy", "")) < float(first.get("cy", ""))


@pytest.mark.parametrize(
    "summary",
    [
        SUMMARY,
        UNREACHED,
        replace(SUMMARY, baselines=[]),
        replace(SUMMARY, metrics=dict.fromkeys(METRICS), points=SUMMARY.points[:1]),
    ],
)
def test_the_picture_is_a_png_of_its_size(summary: Summary, tmp_path: Path) -> None:
    plot_pareto(summary, tmp_path / "pareto.png")
    data = (tmp_path / "pareto.png").read_bytes()
    assert data.startswith(b"\x89PNG")
    assert struct.unpack(">II", data[16:24]) == (1200, 800)


def test_a_cpt_that_is_not_reached_is_not_drawn() -> None:
    assert not [text for text in drawn(UNREACHED) if text.startswith("CPT")]


def test_names_are_escaped() -> None:
    assert "<script" not in pareto_svg(replace(SUMMARY, policy="<script>"))
