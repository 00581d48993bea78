"""What changes the ledger: each operation is applied to a locked batch, whole or not at all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from steproute.core.errors import ConfigError
from steproute.store.admission import Demand, fits, shortage
from steproute.store.batch import Batch
from steproute.store.records import HELD, LineRow, Request
from steproute.store.refusal import BudgetRefused, ReservationLost, TenantSuspended
from steproute.store.windows import WindowKey, day_start_s, month_start_s


class Operation(Protocol):
    """One change of the tenants in `tenants`, which reads the requests in `ids`.

    asks: whether it takes money, so that it comes after those of the same batch that release some.
    """

    asks: ClassVar[bool]

    @property
    def tenants(self) -> Sequence[str]:
        """Whose rows are locked."""
        ...

    @property
    def ids(self) -> Sequence[str]:
        """Which requests are read."""
        ...

    def apply(self, batch: Batch) -> Any:
        """Change the batch and return the result. Whoever raises has changed nothing."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _OfRequest:
    id: str
    tenant: str

    @property
    def tenants(self) -> Sequence[str]:
        return (self.tenant,)

    @property
    def ids(self) -> Sequence[str]:
        return (self.id,)

    def found(self, batch: Batch) -> Request:
        request = batch.requests.get(self.id)
        if request is None:
            raise ReservationLost("has no reservation.", where=f"request {self.id!r}", remedy="Reserve it again.")
        return request


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve(_OfRequest):
    """Hold what a request may cost; returns when the lease ends, in milliseconds. Raises BudgetRefused."""

    asks: ClassVar[bool] = True
    key_id: str
    route: str
    worker: str
    usd: int
    tokens: int
    ttl_ms: int

    def apply(self, batch: Batch) -> int:
        """Check every limit, then hold the amounts in every window."""
        if self.tenant not in batch.tenants:
            raise ConfigError("is unknown.", where=f"tenant {self.tenant!r}", remedy="Create it first.")
        if batch.tenants[self.tenant]["suspended_ms"] is not None:
            raise TenantSuspended(self.tenant)
        if self.id in batch.requests:
            raise ConfigError("is in use.", where=f"request id {self.id!r}", remedy="Give each request its own.")
        month = WindowKey(self.tenant, "month", month_start_s(batch.now_s))
        day = WindowKey(self.tenant, "day", day_start_s(batch.now_s))
        short = shortage(batch, Demand(self.tenant, self.usd, self.tokens), (month, day))
        if short is not None:
            raise BudgetRefused(self.tenant, short)
        request = self._request(batch, month, day)
        for key in (month, day, WindowKey(self.tenant, "second", batch.now_s)):
            batch.window(key).reserve(self.usd, self.tokens)
        batch.add(request)
        return request.expires_ms

    def _request(self, batch: Batch, month: WindowKey, day: WindowKey) -> Request:
        return Request(
            id=self.id,
            tenant=self.tenant,
            key_id=self.key_id,
            route=self.route,
            worker=self.worker,
            state="open",
            month_s=month.start_s,
            day_s=day.start_s,
            second_s=batch.now_s,
            asked_usd=self.usd,
            asked_tokens=self.tokens,
            reserved_usd=self.usd,
            reserved_tokens=self.tokens,
            created_ms=batch.now_ms,
            expires_ms=batch.now_ms + self.ttl_ms,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settle(_OfRequest):
    """Enter billed calls, the first of which has the number `first`; those already entered are left out.

    Raises ReservationLost if the reservation was released and the budget has no room for them any more.
    """

    asks: ClassVar[bool] = False
    first: int
    lines: Sequence[LineRow]

    def apply(self, batch: Batch) -> None:
        """Enter the lines."""
        settle(batch, self.found(batch), self.first, self.lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Close(Settle):
    """Enter the rest of the calls, say what became of the earlier ones, and release what is still reserved."""

    purposes: Mapping[int, str]
    baseline_usd: int

    def apply(self, batch: Batch) -> None:
        """Enter the lines, then release the rest, once."""
        request = self.found(batch)
        settle(batch, request, self.first, self.lines)
        for number, purpose in self.purposes.items():
            if number < request.lines:
                batch.purposes.append({"of_request": self.id, "of_number": number, "new_purpose": purpose})
        if request.state != "closed":
            release(batch, request)
            request.state, request.closed_ms, request.unaccounted_usd = "closed", batch.now_ms, 0
            request.baseline_usd = self.baseline_usd


@dataclass(frozen=True, slots=True, kw_only=True)
class Extend(_OfRequest):
    """Let the lease begin again; returns when it ends, in milliseconds. Raises ReservationLost if it was released."""

    asks: ClassVar[bool] = False
    ttl_ms: int

    def apply(self, batch: Batch) -> int:
        """Move the end of the lease."""
        request = self.found(batch)
        if request.state not in HELD:
            raise ReservationLost(
                f"its reservation is {request.state}.",
                where=f"request {self.id!r}",
                remedy="End the request: its money may be reserved by others.",
            )
        request.state, request.expires_ms = "open", batch.now_ms + self.ttl_ms
        batch.changed.add(self.id)
        return request.expires_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Touch:
    """Lock tenants; every batch releases the orphans of its tenants."""

    asks: ClassVar[bool] = False
    tenants: Sequence[str]
    ids: Sequence[str] = ()

    def apply(self, batch: Batch) -> None:
        """Nothing of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepTrace:
    """Keep or replace the trace of a request."""

    asks: ClassVar[bool] = False
    id: str
    tenant: str
    trace: bytes
    messages: bytes | None

    @property
    def tenants(self) -> Sequence[str]:
        """Whose trace it is."""
        return (self.tenant,)

    @property
    def ids(self) -> Sequence[str]:
        """None: a trace stands for itself."""
        return ()

    def apply(self, batch: Batch) -> None:
        """Add the row."""
        row = {"request_id": self.id, "tenant": self.tenant, "created_ms": batch.now_ms}
        batch.traces[self.id] = row | {"trace": self.trace, "messages": self.messages}


def settle(batch: Batch, request: Request, first: int, lines: Sequence[LineRow]) -> None:
    """Count each line that is not yet entered as spent, and no longer as reserved."""
    new = lines[max(0, request.lines - first) :]
    if request.state not in HELD:
        _check_room(batch, request, new)
    for line in new:
        release(batch, request, line.cost_usd, line.tokens)
        request.unaccounted_usd = max(0, request.unaccounted_usd - line.cost_usd)
        batch.enter(request, line)
        for window in batch.windows_of(request):
            window.spend(line.cost_usd, line.tokens)


def _check_room(batch: Batch, request: Request, lines: Sequence[LineRow]) -> None:
    """What comes after the release may only take what nobody else has taken meanwhile."""
    demand = Demand(request.tenant, sum(each.cost_usd for each in lines), sum(each.tokens for each in lines))
    month = WindowKey(request.tenant, "month", request.month_s)
    day = WindowKey(request.tenant, "day", request.day_s)
    if not fits(batch, demand, (month, day)):
        raise ReservationLost(
            "its reservation was released, and the budget has no room for its late calls, which stay unaccounted.",
            where=f"request {request.id!r}",
            remedy="Raise lease_s above the time for which the database may be out of reach.",
        )


def release(batch: Batch, request: Request, usd: int | None = None, tokens: int | None = None) -> None:
    """Give up at most so much of what is reserved for a request, or all of it."""
    usd = request.reserved_usd if usd is None else min(usd, request.reserved_usd)
    tokens = request.reserved_tokens if tokens is None else min(tokens, request.reserved_tokens)
    request.reserved_usd -= usd
    request.reserved_tokens -= tokens
    batch.changed.add(request.id)
    for window in batch.windows_of(request):
        window.release(usd, tokens)


def release_orphans(batch: Batch, grace_ms: int) -> None:
    """Release what is overdue, and keep what it never accounted for.

    A lease that has ended is overdue from the first transaction that sees it, for as long as grace_ms. So after an
    outage, however long, owners that live have that time to come back.
    """
    for request in batch.due:
        if request.state == "open":
            request.state, request.expires_ms = "overdue", batch.now_ms + grace_ms
            batch.changed.add(request.id)
            continue
        request.unaccounted_usd += request.reserved_usd
        release(batch, request)
        request.state = "expired"
