import warnings

import numpy as np
import pytest

from steproute.core.logistic import logistic


def test_it_is_exact_in_the_middle_and_quiet_at_the_ends() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [float(logistic(x)) for x in (-1e4, 0.0, 1e4)] == [0.0, 0.5, 1.0]
        np.testing.assert_array_equal(logistic(np.array([-1e4, 1e4])), [0.0, 1.0])
    assert float(logistic(1.0)) == pytest.approx(0.7310585786300049)
