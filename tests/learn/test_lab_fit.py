import asyncio

import pytest

from steproute.config import lab_roles
from steproute.evaluation.datasets import load_problems
from steproute.learn.lab_fit import Labels, fit_on_lab


@pytest.mark.parametrize("labels", ["steps", "outcomes"])
def test_each_rewriter_of_the_lab_has_its_accuracy_and_its_price(labels: Labels) -> None:
    problems = load_problems("lab:train", 40, 0)
    model = asyncio.run(fit_on_lab(lab_roles(), problems, 0, labels, rewriters=("strong", "mid")))
    mid, strong = model.rewriters
    assert (mid.name, strong.name) == ("mid", "strong")
    assert model.weak_accuracy < mid.accuracy < strong.accuracy
    assert mid.relative_cost == pytest.approx(0.25, abs=0.02), "a quarter of the price, and steps of the same length"
    assert strong.relative_cost == 1
