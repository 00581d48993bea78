from decimal import Decimal

import pytest

from steproute.config import lab_roles
from steproute.core.errors import ConfigError
from steproute.core.usage import Price
from steproute.engine.roles import ModelRole, Roles
from steproute.learn.rewriters import SoloSolutions, priced_rewriters, relative_prices
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


def priced(**outputs: str) -> Roles:
    model = lab_roles().model("weak").model
    prices = {role: Price(input=Decimal(0), output=Decimal(output)) for role, output in outputs.items()}
    return Roles(models={role: ModelRole(model=model, price=price) for role, price in prices.items()})


def test_prices_are_relative_to_the_strong_models() -> None:
    roles = priced(weak="1", mid="4", strong="16", expert="32")
    assert relative_prices(roles, ("mid", "strong", "expert")) == {"mid": 0.25, "strong": 1.0, "expert": 2.0}


def test_the_strong_model_alone_needs_no_price() -> None:
    assert relative_prices(priced(weak="0", strong="0"), ("strong",)) == {"strong": 1.0}


def test_other_rewriters_than_a_free_strong_model_are_refused() -> None:
    with pytest.raises(ConfigError, match="roles: the strong model's output tokens cost nothing"):
        relative_prices(priced(weak="0", mid="1", strong="0"), ("mid", "strong"))
