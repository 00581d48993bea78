from decimal import Decimal

import pytest

from steproute.core.errors import ConfigError
from steproute.core.usage import Price
from steproute.learn.rewriters import SoloSolutions, priced_rewriters
from steproute.policies.trim.pomdp_model import Rewriter


def solo(role: str, tokens: int, output: str = "0") -> SoloSolutions:
    return SoloSolutions(
        role=role, answers=[(6, True), (4, False)], tokens=tokens, price=Price(input=Decimal(0), output=Decimal(output))
    )


def test_rewriters_are_ordered_by_the_price_of_a_step() -> None:
    """A wordy model at a low token price can be the dearer one."""
    rewriters, step_tokens = priced_rewriters([solo("terse", 100, "4"), solo("wordy", 1000, "1")], [0.9, 0.8])
    assert rewriters == (Rewriter("terse", 0.9, 0.4), Rewriter("wordy", 0.8))
    assert step_tokens == 100


def test_a_single_rewriter_needs_no_price() -> None:
    assert priced_rewriters([solo("strong", 50)], [0.9]) == ((Rewriter("strong", 0.9),), 5.0)


def test_several_rewriters_that_cost_nothing_are_refused() -> None:
    with pytest.raises(ConfigError, match="roles: their output tokens cost nothing"):
        priced_rewriters([solo("mid", 50), solo("strong", 50)], [0.8, 0.9])
