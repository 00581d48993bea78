"""Folding days into sums changes nothing that the ledger adds up."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.store.conftest import Clock
from tests.store.requests import line

from steproute.config.gateway import ServeSettings
from steproute.core.errors import ConfigError
from steproute.core.usage import Purpose
from steproute.serve.retention import clear_some
from steproute.store import Period, Principal, ReservationLost, Selection, Store, open_store

DAY_S = 86400
_tenants = count()
units = st.integers(0, 10**12).map(lambda number: Decimal(number).scaleb(-12))
calls = st.lists(st.tuples(units, st.sampled_from(["weak", "strong"]), st.sampled_from(list(Purpose))), max_size=3)
request = st.tuples(calls, units, st.sampled_from(["closed", "crashed", "open"]), st.sampled_from(["auto", "cheap"]))
histories = st.lists(st.tuples(st.lists(request, max_size=3), st.sampled_from([1, 9, 31])), min_size=1, max_size=5)

LEASE_S = 10


@dataclass
class Shared:
    """One database for all examples, each of which has a tenant of its own."""

    store: Store
    clock: Clock
    run: Callable[..., object]


@pytest.fixture
def shared(url: str, clock: Clock):
    with asyncio.Runner() as runner:
        store = runner.run(open_store(url, lease_s=LEASE_S, clock=clock))
        yield Shared(store, clock, runner.run)
        runner.run(store.close())


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(histories, st.integers(1, 4))
def test_sums_are_the_same_before_and_after(shared: Shared, history: list, most: int) -> None:
    shared.run(lived(shared, history, most))


async def lived(shared: Shared, history: list, most: int) -> None:
    store, tenant = shared.store, f"tenant{next(_tenants)}"
    await store.tenants.create(tenant)
    for day, (asked, days) in enumerate(history):
        for number, each in enumerate(asked):
            await answered(store, tenant, f"{tenant}-{day}-{number}", *each)
        shared.clock.now_s += days * DAY_S
        await released(store, shared.clock)
    before = await sums(store, tenant)
    today = datetime.fromtimestamp(shared.clock.now_s, UTC).date()
    while await store.fold(today, most=most):
        assert await sums(store, tenant) == before
        assert await store.ledger.audit() == []
    first = datetime(today.year, today.month, 1, tzinfo=UTC).date()
    kept = [each async for each in store.ledger.lines(tenant)]
    assert all(each.day >= first for each in kept)


async def released(store: Store, clock: Clock) -> None:
    """Release what nobody extends: its lease ends, and so does the time for its bills."""
    for _ in range(2):
        await store.ledger.expire()
        clock.now_s += LEASE_S


async def answered(
    store: Store, tenant: str, name: str, calls: list, baseline_usd: Decimal, end: str, route: str
) -> None:
    principal = Principal(tenant=tenant, key_id="k")
    reservation = await store.ledger.reserve(principal, request_id=name, route=route, usd=Decimal(4), tokens=100)
    account = [line(usd, role=role, purpose=purpose, request_id=str(n)) for n, (usd, role, purpose) in enumerate(calls)]
    await reservation.settle(account)
    if end == "closed":
        await reservation.close(account, baseline_usd=baseline_usd)


async def sums(store: Store, tenant: str) -> list[object]:
    ledger = store.ledger
    return [
        await ledger.balances(tenant),
        await ledger.totals(("day", "route", "role", "model", "purpose", "key_id"), tenant),
        await ledger.savings(Selection(tenant=tenant)),
        await ledger.savings(Selection(tenant=tenant, route="cheap")),
        await ledger.unaccounted_usd(tenant),
        await ledger.unaccounted_usd(tenant, Period(last=datetime(2026, 11, 26, tzinfo=UTC).date())),
    ]


def test_the_current_month_and_open_requests_stay(url: str, clock: Clock) -> None:
    async def use() -> None:
        store = await open_store(url, lease_s=100 * DAY_S, clock=clock)
        await store.tenants.create("acme")
        await answered(store, "acme", "old", [(Decimal(1), "weak", Purpose.ACCEPTED)], Decimal(2), "closed", "auto")
        reservation = await store.ledger.reserve(
            Principal(tenant="acme", key_id="k"), request_id="open", route="auto", usd=Decimal(1), tokens=1
        )
        tomorrow = (datetime.fromtimestamp(clock.now_s, UTC) + timedelta(days=1)).date()
        assert await store.fold(tomorrow) == 0
        clock.now_s += 32 * DAY_S
        later = datetime.fromtimestamp(clock.now_s, UTC).date()
        assert [await store.fold(later), await store.fold(later)] == [1, 0]
        await reservation.close([line("0.5")])
        assert [(each.request_id, each.line.cost_usd) async for each in store.ledger.lines()] == [
            ("open", Decimal("0.5"))
        ]
        assert [each.group for each in await store.ledger.totals(("request_id",))] == [("",), ("open",)]
        assert await store.ledger.audit() == []
        await store.close()

    asyncio.run(use())


def test_a_bill_that_comes_after_its_request_was_folded_is_refused(url: str, clock: Clock) -> None:
    async def use() -> None:
        store = await open_store(url, lease_s=LEASE_S, clock=clock)
        await store.tenants.create("acme")
        reservation = await store.ledger.reserve(
            Principal(tenant="acme", key_id="k"), request_id="a", route="auto", usd=Decimal(1), tokens=1
        )
        clock.now_s += 40 * DAY_S
        await released(store, clock)
        assert await store.fold(datetime.fromtimestamp(clock.now_s, UTC).date()) == 1
        with pytest.raises(ReservationLost):
            await reservation.settle([line("0.5")])
        assert await store.ledger.unaccounted_usd() == 1
        await store.close()

    asyncio.run(use())


def test_a_gateway_clears_in_small_steps(url: str, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.store.test_traces import trace

    async def use() -> None:
        store = await open_store(url, clock=clock)
        await store.tenants.create("acme")
        for name in "ab":
            await answered(store, "acme", name, [], Decimal(1), "closed", "auto")
            await store.traces.keep(name, "acme", trace())
        keeping = ServeSettings(retention_days=30, ledger_days=40)
        clock.now_s += 41 * DAY_S
        now, steps = datetime.fromtimestamp(clock.now_s, UTC), 0
        while await clear_some(store, keeping, now):
            steps += 1
        assert steps == 2  # the traces, then the requests
        assert await store.traces.newest("acme") == []
        (saved,) = await store.ledger.savings()
        assert (saved.requests, saved.baseline_usd) == (2, 2)
        await store.close()

    asyncio.run(use())


@pytest.mark.parametrize("fields", [{"ledger_days": 31}, {"ledger_days": 40, "retention_days": 50}])
def test_lines_outlive_budgets_and_traces(fields: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="ledger_days: "):
        ServeSettings(**fields)
