import asyncio
from collections.abc import Sequence
from decimal import Decimal

import pytest

from steproute.core.errors import StorageError
from steproute.core.usage import AccountLine, Purpose, Usage
from steproute.serve.billing import Billing
from steproute.store import ReservationLost

LINE = AccountLine(
    role="weak",
    model="weak",
    purpose=Purpose.ACCEPTED,
    usage=Usage(),
    cost_usd=Decimal(0),
    price_table="",
    latency_s=0.0,
)


class Recorded:
    """A reservation that records what is asked of it. failure: of each extension. answers: whether one ever ends."""

    request_id = "r"

    def __init__(self, failure: Exception | None = None, *, answers: bool = True) -> None:
        self.failure, self.answers = failure, answers
        self.extended = 0
        self.settled: list[int] = []
        self.closed: list[int] = []

    async def settle(self, lines: Sequence[AccountLine]) -> None:
        self.settled.append(len(lines))

    async def extend(self) -> None:
        self.extended += 1
        if not self.answers:
            await asyncio.sleep(self.lease_s * 2)
        if self.failure is not None:
            raise self.failure
        self.lease_ends_s = asyncio.get_running_loop().time() + self.lease_s

    async def close(self, account: Sequence[AccountLine], *, baseline_usd: Decimal) -> None:
        self.closed.append(len(account))


def billed(reservation: Recorded, *, lines: int, pause_s: float, lease_s: float) -> bool:
    """Whether the request was told to stop."""
    lost = False

    def stop() -> None:
        nonlocal lost
        lost = True

    async def nothing() -> None: ...

    async def run() -> None:
        reservation.lease_s, reservation.lease_ends_s = lease_s, asyncio.get_running_loop().time() + lease_s
        async with Billing(reservation, on_lost=stop, at_end=nothing) as billing:  # type: ignore[arg-type]
            for _ in range(lines):
                billing.enter(LINE)
                await asyncio.sleep(pause_s)
            billing.finish([LINE] * lines, Decimal(0))

    asyncio.run(run())
    return lost


def test_a_lease_is_extended_however_often_lines_come() -> None:
    reservation = Recorded()
    assert not billed(reservation, lines=30, pause_s=0.02, lease_s=0.4)
    assert reservation.extended >= 2


def test_lines_that_come_together_are_settled_together() -> None:
    reservation = Recorded()
    billed(reservation, lines=30, pause_s=0.02, lease_s=60)
    assert 1 <= len(reservation.settled) <= 4
    assert reservation.closed == [30]


@pytest.mark.parametrize(
    ("reservation", "is_lost"),
    [
        (Recorded(ReservationLost("gone.")), True),
        (Recorded(StorageError("the database is down.")), True),
        (Recorded(answers=False), True),
        (Recorded(), False),
    ],
    ids=["released", "refused", "hanging", "extended"],
)
def test_a_request_whose_lease_ends_is_stopped(reservation: Recorded, is_lost: bool) -> None:
    assert billed(reservation, lines=40, pause_s=0.02, lease_s=0.4) is is_lost


def test_a_request_that_has_ended_is_not_stopped_by_its_bills() -> None:
    """Its answer is there. What the ledger refuses then is in the log."""

    class Gone(Recorded):
        async def settle(self, lines: Sequence[AccountLine]) -> None:
            raise ReservationLost("gone.")

        async def close(self, account: Sequence[AccountLine], *, baseline_usd: Decimal) -> None:
            raise ReservationLost("gone.")

    assert not billed(Gone(), lines=1, pause_s=0, lease_s=60)


def test_a_request_that_is_cancelled_again_while_it_closes_is_closed_all_the_same() -> None:
    class Slow(Recorded):
        async def close(self, account: Sequence[AccountLine], *, baseline_usd: Decimal) -> None:
            closing.set()
            await may_close.wait()
            await super().close(account, baseline_usd=baseline_usd)

    async def nothing() -> None: ...

    async def request(reservation: Recorded) -> None:
        reservation.lease_s, reservation.lease_ends_s = 60, asyncio.get_running_loop().time() + 60
        async with Billing(reservation, on_lost=lambda: None, at_end=nothing):  # type: ignore[arg-type]
            await asyncio.Event().wait()

    async def run() -> None:
        reservation = Slow()
        task = asyncio.create_task(request(reservation))
        await asyncio.sleep(0)
        task.cancel()
        await closing.wait()
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
        may_close.set()
        await asyncio.wait({task})
        assert task.cancelled()
        assert reservation.closed == [0]

    closing, may_close = asyncio.Event(), asyncio.Event()
    asyncio.run(run())
