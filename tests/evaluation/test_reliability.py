from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steproute.core.errors import ConfigError
from steproute.evaluation.reliability import (
    brier_score,
    expected_calibration_error,
    plot_reliability,
    reliability,
    reliability_svg,
)

ITEMS = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60)


def test_both_errors_by_hand() -> None:
    scores, labels = [0.9, 0.9, 0.2, 0.2], [True, False, False, False]
    # bins of 1/15: 0.9 holds two items, half right; 0.2 holds two, none right
    assert expected_calibration_error(scores, labels) == pytest.approx(0.5 * 0.4 + 0.5 * 0.2)
    assert brier_score(scores, labels) == pytest.approx((0.01 + 0.81 + 0.04 + 0.04) / 4)


@given(ITEMS)
def test_errors_lie_in_the_unit_interval_and_no_item_is_lost(items: list[tuple[float, bool]]) -> None:
    scores, labels = [score for score, _ in items], [label for _, label in items]
    bins = reliability(scores, labels)
    assert sum(each.count for each in bins) == len(items)
    assert sum(each.count * each.right for each in bins) == pytest.approx(sum(labels))
    assert all(each.low <= each.mean_score <= each.high + 1e-12 for each in bins)
    assert 0 <= expected_calibration_error(scores, labels) <= 1
    assert 0 <= brier_score(scores, labels) <= 1


def test_labels_drawn_by_their_scores_are_calibrated() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random(40_000)
    assert expected_calibration_error(scores, rng.random(40_000) < scores) < 0.01


@pytest.mark.parametrize("scores", [[], [0.5, 0.5], [1.2], [float("nan")]])
def test_scores_outside_the_unit_interval_are_rejected(scores: list[float]) -> None:
    with pytest.raises(ConfigError, match="scores"):
        reliability(scores, [True] * min(1, len(scores)))


def test_the_diagram_has_a_dot_a_bin(tmp_path: Path) -> None:
    bins = reliability([0.1, 0.5, 0.9], [False, True, True])
    svg = ElementTree.fromstring(reliability_svg({"raw": bins}, "title"))
    assert len(svg.findall(".//{http://www.w3.org/2000/svg}circle")) == len(bins) + 1
    plot_reliability({"raw": bins}, tmp_path / "a.png", "title")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
