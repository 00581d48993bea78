"""Reserve before a request is sent, settle each call as it is billed, close when it ends."""

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, select

from steproute.core.errors import ConfigError
from steproute.core.usage import AccountLine, Price, Purpose
from steproute.store.audit import Discrepancy, discrepancies
from steproute.store.balance import Balance, balances
from steproute.store.database import Database
from steproute.store.money import units_of_at_least, usd_of
from steproute.store.operations import Close, Extend, Reserve, Settle, Touch
from steproute.store.records import HELD, MOST_TOKENS, LineRow, PriceRow, plain
from steproute.store.refusal import ReservationLost
from steproute.store.schema import requests, windows
from steproute.store.tenants import Principal, instant
from steproute.store.totals import (
    ALL,
    ALL_DAYS,
    Field,
    LedgerLine,
    Period,
    Savings,
    Selection,
    Total,
    ledger_lines,
    savings,
    totals,
    unaccounted_usd,
)
from steproute.store.writer import Writer

_LOG: Final = logging.getLogger("steproute.store")
DEFAULT_LEASE_S: Final = 120.0
_SECONDS_KEPT_S: Final = 3600  # far more than the minute that counts, so that a clock set back finds them


class Ledger:
    """Tenants' money. Every method returns once its change is on disk and raises StorageError if it may not be.

    lease_s: how long a lease lasts unless it is extended.
    """

    def __init__(self, database: Database, writer: Writer, *, worker: str, lease_s: float):
        self._database, self._writer = database, writer
        self._worker, self._ttl_ms = plain(worker), int(lease_s * 1000)
        self._unfinished: dict[str, Reservation] = {}

    async def reserve(
        self,
        principal: Principal,
        *,
        request_id: str,
        route: str,
        usd: Decimal,
        tokens: int,
        prices: Mapping[str, Price] | None = None,
    ) -> "Reservation":
        """Hold the most that a request can cost, in all windows of its tenant or in none.

        usd is rounded up to 10^-12 dollars. tokens: generated, of all roles. prices: by role, as its calls
        will be billed; each line keeps them. Raises BudgetRefused, ConfigError if the request id is in use or a price
        has more than 6 decimals, and StorageError, on which the request must be refused. If the caller is cancelled
        meanwhile, nothing stays reserved.
        """
        if not 0 <= tokens <= MOST_TOKENS:
            raise ConfigError(f"{tokens} is no number of tokens.", where="tokens", remedy="Give a whole number from 0.")
        units = units_of_at_least(usd, "usd")
        rows = {role: PriceRow.of(price) for role, price in (prices or {}).items()}
        operation = Reserve(
            id=plain(request_id),
            tenant=principal.tenant,
            key_id=principal.key_id,
            route=plain(route),
            worker=self._worker,
            usd=units,
            tokens=tokens,
            ttl_ms=self._ttl_ms,
        )
        asked_s = _now_s()
        expires_ms = await self._reserve(operation)
        return Reservation(self._writer, operation, rows, expires_ms, self._unfinished, asked_s=asked_s)

    async def _reserve(self, operation: Reserve) -> int:
        result = self._writer.submit(operation)
        try:
            return int(await asyncio.shield(result))
        except asyncio.CancelledError:
            result.add_done_callback(lambda done: self._give_back(operation, done))
            raise

    def _give_back(self, operation: Reserve, done: "asyncio.Future[int]") -> None:
        if done.cancelled() or done.exception() is not None:
            return
        closing = Close(id=operation.id, tenant=operation.tenant, first=0, lines=(), purposes={}, baseline_usd=0)
        self._writer.submit(closing).add_done_callback(_forget)

    async def expire(self) -> int:
        """Release the reservations that nobody came back for, of all tenants, and return how many they were.

        Call it about every ten seconds: a lease is seen to have ended by one call, and released by a later one.
        `reserve` does the same for its own tenant. It also tries again to close the reservations of this process that
        could not be closed because the database failed.
        """
        for reservation in list(self._unfinished.values()):
            try:
                await reservation.close()
            except ReservationLost as lost:
                _LOG.error("%s", lost)
        due = await self._database.read(self._due)
        if due:
            await self._writer.submit(Touch(tenants=sorted({row.tenant for row in due})))
        if await self._database.read(self._has_old_seconds):
            await self._database.write(self._delete_old_seconds)
        return sum(row.state == "overdue" for row in due)

    def _due(self, connection: Connection) -> Sequence[Row[str, str]]:
        now_ms = self._database.now_ms(connection)
        due = (requests.c.state.in_(HELD), requests.c.expires_ms <= now_ms)
        return connection.execute(select(requests.c.tenant, requests.c.state).where(*due)).all()

    def _has_old_seconds(self, connection: Connection) -> bool:
        return connection.execute(select(windows.c.tenant).where(self._old(connection)).limit(1)).first() is not None

    def _delete_old_seconds(self, connection: Connection) -> None:
        connection.execute(delete(windows).where(self._old(connection)))

    def _old(self, connection: Connection) -> ColumnElement[bool]:
        newest_s = self._database.now_ms(connection) // 1000 - _SECONDS_KEPT_S
        return and_(windows.c.span == "second", windows.c.start_s < newest_s)

    async def balances(self, tenant: str | None = None) -> list[Balance]:
        """What a tenant has left today and this month, or every tenant by name. Raises ConfigError if it is unknown."""
        return await self._database.read(partial(balances, self._database, tenant))

    async def totals(
        self, by: Sequence[Field] = (), tenant: str | None = None, period: Period = ALL_DAYS
    ) -> list[Total]:
        """Exact sums of the lines per group, such as by `("tenant", "day", "role", "purpose")`."""
        return await self._database.read(partial(totals, by, Selection(tenant=tenant, period=period)))

    async def unaccounted_usd(self, tenant: str | None = None, period: Period = ALL_DAYS) -> Decimal:
        """What killed workers had reserved and never accounted for. It is not charged to the tenant.

        It is the most that the calls can have cost which they had in flight when they were killed.
        """
        return await self._database.read(partial(unaccounted_usd, Selection(tenant=tenant, period=period)))

    async def savings(self, selection: Selection = ALL) -> list[Savings]:
        """What was spent beside what it would have cost without routing, by tenant and route."""
        return await self._database.read(partial(savings, selection))

    def lines(self, tenant: str | None = None, period: Period = ALL_DAYS) -> AsyncIterator[LedgerLine]:
        """Every billed call, by request, for exports."""
        return ledger_lines(self._database, Selection(tenant=tenant, period=period))

    async def audit(self) -> list[Discrepancy]:
        """Windows whose counts differ from their rows; none in a sound ledger."""
        return await self._database.read(discrepancies)


class Reservation:
    """What is held for one request. Settle its calls, extend it while it runs, and always close it.

    usd, tokens: what was reserved. expires_at: when its lease ends by the database's clock, unless it is extended;
    lease_ends_s: the same or a little earlier, by the event loop's. No call may be in flight after that.
    """

    def __init__(
        self,
        writer: Writer,
        asked: Reserve,
        prices: Mapping[str, PriceRow],
        expires_ms: int,
        unfinished: "dict[str, Reservation]",
        *,
        asked_s: float,
    ) -> None:
        self.request_id, self.tenant = asked.id, asked.tenant
        self.usd, self.tokens = usd_of(asked.usd), asked.tokens
        self.expires_at: datetime = instant(expires_ms)
        self.lease_s = asked.ttl_ms / 1000
        self.lease_ends_s = asked_s + self.lease_s
        self._writer, self._prices, self._ttl_ms = writer, prices, asked.ttl_ms
        self._lines: list[AccountLine] = []
        self._purposes: dict[int, str] = {}
        self._saved = self._baseline = 0
        self._closed, self._unfinished = False, unfinished

    async def settle(self, lines: Sequence[AccountLine]) -> None:
        """Enter billed calls. What it has returned from, no crash loses.

        After a StorageError the lines are kept and entered by the next `settle` or `close`; none is entered twice.
        Raises ConfigError for a line that the ledger cannot hold, once all others are entered, and ReservationLost if
        it was released and the budget has no room for the lines any more.
        """
        held, failure = self._held(lines)
        self._lines.extend(held)
        await self._save(Settle(**self._unsaved()))
        if failure is not None:
            raise failure

    async def close(self, account: Sequence[AccountLine] | None = None, *, baseline_usd: Decimal = Decimal(0)) -> None:
        """End the request: enter calls of its account that were not settled, and release what is left.

        account: all its lines with their final purposes; without one, the lines keep the purposes that they have.
        baseline_usd: what the answer would have cost without routing, rounded up to 10^-12 dollars. After
        a StorageError, `Ledger.expire` tries again for as long as this process lives; so can the caller. Once it has
        succeeded, calling it again does nothing. Raises ConfigError for a line that the ledger cannot hold, once the
        request is closed with all others, and ReservationLost as `settle`.
        """
        if self._closed:
            return
        failure = None
        if account is not None:
            account, failure = self._held(account)
            self._reconcile(account)
            self._baseline = units_of_at_least(baseline_usd, "baseline_usd")
        self._unfinished[self.request_id] = self
        try:
            await self._save(Close(**self._unsaved(), purposes=dict(self._purposes), baseline_usd=self._baseline))
        except ReservationLost:
            self._unfinished.pop(self.request_id, None)
            raise
        self._closed = True
        self._unfinished.pop(self.request_id, None)
        if failure is not None:
            raise failure

    async def extend(self) -> None:
        """Begin the lease again. Raises ReservationLost if it was released: the request must stop sending calls."""
        asked_s = _now_s()
        extending = Extend(id=self.request_id, tenant=self.tenant, ttl_ms=self._ttl_ms)
        self.expires_at = instant(await self._writer.submit(extending))
        self.lease_ends_s = asked_s + self.lease_s

    async def _save(self, operation: Settle) -> None:
        await self._writer.submit(operation)
        self._saved = max(self._saved, operation.first + len(operation.lines))

    def _unsaved(self) -> dict[str, Any]:
        lines = self._rows(self._lines[self._saved :])
        return {"id": self.request_id, "tenant": self.tenant, "first": self._saved, "lines": lines}

    def _held(self, lines: Sequence[AccountLine]) -> tuple[list[AccountLine], ConfigError | None]:
        """The lines that the ledger can hold, and what is wrong with the first other one."""
        held, failure = list[AccountLine](), None
        for line in lines:
            try:
                self._rows([line])
                held.append(line)
            except ConfigError as refusal:
                failure = failure or refusal
        return held, failure

    def _rows(self, lines: Sequence[AccountLine]) -> list[LineRow]:
        return [LineRow.of(line, self._prices.get(line.role)) for line in lines]

    def _reconcile(self, account: Sequence[AccountLine]) -> None:
        """Match the account's lines with those settled, which may differ in their purpose alone."""
        numbers: dict[AccountLine, deque[int]] = defaultdict(deque)
        for number, line in enumerate(self._lines):
            numbers[_without_purpose(line)].append(number)
        for line in account:
            same = numbers[_without_purpose(line)]
            if not same:
                self._lines.append(line)
            elif self._lines[number := same.popleft()].purpose is not line.purpose:
                self._lines[number] = line
                self._purposes[number] = str(line.purpose)


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def _without_purpose(line: AccountLine) -> AccountLine:
    return replace(line, purpose=Purpose.DISCARDED)


def _forget(done: "asyncio.Future[Any]") -> None:
    if not done.cancelled():
        done.exception()
