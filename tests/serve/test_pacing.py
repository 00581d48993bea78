"""The knob of a paced route follows the budget and the time that remain."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.serve.test_passthrough import CONFIG

from steproute.config import read_setup
from steproute.core.errors import ConfigError
from steproute.serve.gateway import served_routes
from steproute.serve.pacing import paced_knob
from steproute.store import Balance

START = datetime(2026, 11, 26, tzinfo=UTC)
KNOBS = (0.6, 0.1)


def balance(spent: float, limit: float | None = 1.0, reserved: float = 0.0) -> Balance:
    return Balance(
        tenant="acme",
        window="day",
        starts=START,
        ends=START + timedelta(days=1),
        limit_usd=None if limit is None else Decimal(str(limit)),
        spent_usd=Decimal(str(spent)),
        reserved_usd=Decimal(str(reserved)),
        limit_tokens=None,
        spent_tokens=0,
        reserved_tokens=0,
        requests=0,
    )


@pytest.mark.parametrize(
    ("spent", "hour", "knob"),
    [(0.0, 0, 0.6), (0.5, 12, 0.6), (0.2, 12, 0.6), (0.75, 12, 0.35), (1.0, 12, 0.1), (0.5, 0, 0.35)],
)
def test_a_tenant_ahead_of_time_is_answered_more_cheaply(spent: float, hour: int, knob: float) -> None:
    assert paced_knob(KNOBS, [balance(spent)], START + timedelta(hours=hour)) == pytest.approx(knob)


def test_without_a_budget_nothing_is_paced_and_the_tightest_window_counts() -> None:
    assert paced_knob(KNOBS, [balance(5, None)], START) == 0.6
    assert paced_knob(KNOBS, [balance(0), balance(1)], START) == pytest.approx(0.1)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 0.999))
def test_whoever_has_spent_more_never_gets_the_more_expensive_knob(a: float, b: float, day: float) -> None:
    less, more = sorted((a, b))
    now = START + timedelta(days=day)
    assert paced_knob(KNOBS, [balance(less)], now) >= paced_knob(KNOBS, [balance(more)], now) - 1e-12


def test_a_gateway_does_not_start_with_a_pace_that_its_policy_cannot_run_at(tmp_path: Path) -> None:
    route = '\n[serve.routes.r]\npolicy = "random"\npaced = [0.1, 1.5]\n'
    (tmp_path / "steproute.toml").write_text(CONFIG.format(url="http://127.0.0.1:1/v1") + route)
    with pytest.raises(ConfigError) as failure:
        served_routes(read_setup(tmp_path / "steproute.toml"))
    assert str(failure.value.where).startswith("serve.routes.r.paced")
