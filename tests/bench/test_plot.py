from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from tests.bench.hand_made import SUMMARY, UNREACHED

from steproute.bench.plot import pareto_figure, plot_pareto
from steproute.bench.summary import METRICS, Summary


def lines(summary: Summary) -> dict[str, np.ndarray]:
    (axes,) = pareto_figure(summary).axes
    return {str(line.get_label()): np.asarray(line.get_xydata()) for line in axes.lines}


def test_what_is_drawn_is_the_data() -> None:
    drawn = lines(SUMMARY)
    np.testing.assert_allclose(drawn["threshold"], [[25, 70], [75, 88]])
    np.testing.assert_allclose(drawn["random, per problem"], [[0, 50], [100, 90]])
    np.testing.assert_allclose(drawn["oracle (knows the checker)"], [[25, 92]])
    np.testing.assert_allclose(drawn["CPT(95 %) = 30.0 %"], [[30, 88]])


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
    assert imread(tmp_path / "pareto.png").shape[:2] == (800, 1200)


def test_a_cpt_that_is_not_reached_is_not_drawn() -> None:
    assert not [label for label in lines(UNREACHED) if label.startswith("CPT")]
