"""Any interleaving of requests, crashes and time keeps the ledger exact and blocks nobody who has money left."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.store.conftest import Clock
from tests.store.requests import line

from steproute.core.usage import Purpose
from steproute.store import BudgetRefused, Budgets, Principal, Reservation, ReservationLost, Store, open_store

DAY_LIMIT, MONTH_LIMIT, LEASE_S = Decimal("1.00"), Decimal("1.50"), 10
_tenants = count()

cents = st.integers(0, 60).map(lambda number: Decimal(number) / 100)
which = st.integers(0, 5)
reserving = st.tuples(st.just("reserve"), cents)
moves = st.one_of(
    reserving,
    reserving,
    st.tuples(st.just("settle"), which, cents),
    st.tuples(st.just("close"), which, cents),
    st.tuples(st.sampled_from(["extend", "crash", "close_without_account"]), which),
    st.tuples(st.just("expire")),
)
together = st.lists(moves, min_size=1, max_size=6)
schedules = st.lists(st.tuples(together, st.sampled_from([0, 0, 1, 4, 11, 50_000])), min_size=3, max_size=12)


@dataclass
class Gateway:
    """Workers that share one tenant, and what they know for sure. A call costs at most what is still reserved."""

    store: Store
    clock: Clock
    tenant: str
    running: list[tuple[Reservation, list]] = field(default_factory=list)
    entered: dict[str, Decimal] = field(default_factory=dict)
    numbers: count = field(default_factory=count)
    refusals: list[BudgetRefused] = field(default_factory=list)

    async def play(self, move: tuple) -> None:
        name, *arguments = move
        await getattr(self, name)(*arguments)

    async def reserve(self, usd: Decimal) -> None:
        asked = {"request_id": f"{self.tenant}-{next(self.numbers)}", "route": "auto", "usd": usd, "tokens": 100}
        try:
            self.running.append(
                (await self.store.ledger.reserve(Principal(tenant=self.tenant, key_id="k"), **asked), [])
            )
        except BudgetRefused as refusal:
            self.refusals.append(refusal)

    async def settle(self, index: int, usd: Decimal) -> None:
        for reservation, billed in self.chosen(index):
            billed.append(self.affordable(reservation, billed, usd))
            with self.lost_if_refused(reservation, billed):
                await reservation.settle(billed[-1:])

    async def close(self, index: int, usd: Decimal) -> None:
        for reservation, billed in self.taken(index):
            billed.append(self.affordable(reservation, billed, usd))
            with self.lost_if_refused(reservation, billed):
                await reservation.close([replace(each, purpose=Purpose.ACCEPTED) for each in billed])

    async def close_without_account(self, index: int) -> None:
        for reservation, billed in self.taken(index):
            with self.lost_if_refused(reservation, billed):
                await reservation.close()

    async def extend(self, index: int) -> None:
        for reservation, _ in self.chosen(index):
            try:
                await reservation.extend()
            except ReservationLost:
                self.taken(index)

    async def crash(self, index: int) -> None:
        self.taken(index)

    async def expire(self) -> None:
        await self.store.ledger.expire()

    def taken(self, index: int) -> list[tuple[Reservation, list]]:
        taken = self.chosen(index)
        self.running = [each for each in self.running if each not in taken]
        return taken

    def chosen(self, index: int) -> list[tuple[Reservation, list]]:
        return [self.running[index % len(self.running)]] if self.running else []

    def affordable(self, reservation: Reservation, billed: list, usd: Decimal):
        left = reservation.usd - sum((each.cost_usd for each in billed), Decimal(0))
        return line(min(usd, left), purpose=Purpose.DISCARDED, request_id=str(len(billed)))

    @contextmanager
    def lost_if_refused(self, reservation: Reservation, billed: list) -> Iterator[None]:
        """Only what comes after the lease may be refused, and then it is as if the worker had been killed."""
        cost = sum((each.cost_usd for each in billed), Decimal(0))
        try:
            yield
        except ReservationLost:
            assert reservation.expires_at.timestamp() + LEASE_S / 2 <= self.clock.now_s
            self.running = [each for each in self.running if each[0] is not reservation]
        else:
            self.entered[reservation.request_id] = max(cost, self.entered.get(reservation.request_id, cost))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(schedules)
def test_every_interleaving_keeps_the_ledger_exact(shared: "Shared", schedule: list) -> None:
    shared.loop.run_until_complete(play(shared, schedule))


async def play(shared: "Shared", schedule: list) -> None:
    tenant = f"tenant{next(_tenants)}"
    await shared.store.tenants.create(tenant, Budgets(usd_per_day=DAY_LIMIT, usd_per_month=MONTH_LIMIT))
    gateway = Gateway(shared.store, shared.clock, tenant)
    for moves, passing_s in schedule:
        await asyncio.gather(*(gateway.play(move) for move in moves))
        await check(gateway)
        shared.clock.now_s += passing_s
    await nothing_stays_reserved(gateway)


async def check(gateway: Gateway) -> None:
    ledger = gateway.store.ledger
    for short in (refusal.shortage for refusal in gateway.refusals):
        assert short.spent + short.reserved + short.asked > short.limit
    assert await ledger.audit() == []
    for balance in await ledger.balances(gateway.tenant):
        assert balance.spent_usd + balance.reserved_usd <= balance.limit_usd
    assert sum((each.cost_usd for each in await ledger.totals(tenant=gateway.tenant)), Decimal(0)) == sum(
        gateway.entered.values()
    )


async def nothing_stays_reserved(gateway: Gateway) -> None:
    for _ in range(2):
        gateway.clock.now_s += LEASE_S / 2
        await gateway.store.ledger.expire()
    day, month = await gateway.store.ledger.balances(gateway.tenant)
    left = min(DAY_LIMIT - day.spent_usd, MONTH_LIMIT - month.spent_usd)
    asked = {"request_id": f"{gateway.tenant}-last", "route": "auto", "usd": left, "tokens": 1}
    await (await gateway.store.ledger.reserve(Principal(tenant=gateway.tenant, key_id="k"), **asked)).close()
    await gateway.store.ledger.expire()
    assert [each.reserved_usd for each in await gateway.store.ledger.balances(gateway.tenant)] == [0, 0]


@dataclass
class Shared:
    """One database for all schedules, each of which has a tenant of its own."""

    store: Store
    clock: Clock
    loop: asyncio.AbstractEventLoop


@pytest.fixture
def shared(url: str, clock: Clock):
    with asyncio.Runner() as runner:
        store = runner.run(open_store(url, lease_s=LEASE_S, clock=clock))
        yield Shared(store, clock, runner.get_loop())
        runner.run(store.close())
