"""Finished requests to look at later, each readable by its own tenant only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import delete, select

from steproute.core.problem import Message
from steproute.core.trace import Trace
from steproute.store.database import Database
from steproute.store.operations import KeepTrace
from steproute.store.records import plain
from steproute.store.schema import traces
from steproute.store.tenants import instant, milliseconds
from steproute.store.writer import Writer

_encoder: Final = msgspec.json.Encoder(decimal_format="string", enc_hook=dict)
_decoder: Final = msgspec.json.Decoder(Trace)
_MOST_LISTED: Final = 1000
_MOST_DELETED: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptTrace:
    """A trace and the messages it answered; messages is None if the gateway does not keep them."""

    request_id: str
    tenant: str
    created: datetime
    trace: Trace
    messages: tuple[Mapping[str, Any], ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceEntry:
    """A trace in a list."""

    request_id: str
    tenant: str
    created: datetime


class Traces:
    """The traces of one store. All methods raise StorageError."""

    def __init__(self, database: Database, writer: Writer) -> None:
        self._database, self._writer = database, writer

    async def keep(self, request_id: str, tenant: str, trace: Trace, messages: Sequence[Message] | None = None) -> None:
        """Keep or replace a trace. messages: None keeps no prompt; the texts of the trace are kept as they are."""
        shown = None if messages is None else _encoder.encode(list(messages))
        await self._writer.submit(
            KeepTrace(id=plain(request_id), tenant=tenant, trace=_encoder.encode(trace), messages=shown)
        )

    async def get(self, request_id: str, tenant: str) -> KeptTrace | None:
        """A tenant's own trace; None if it has none of that id, whoever else has."""
        statement = select(traces).where(traces.c.request_id == plain(request_id), traces.c.tenant == plain(tenant))
        row = await self._database.read(lambda connection: connection.execute(statement).one_or_none())
        if row is None:
            return None
        return KeptTrace(
            request_id=row.request_id,
            tenant=row.tenant,
            created=instant(row.created_ms),
            trace=_decoder.decode(row.trace),
            messages=None if row.messages is None else tuple(msgspec.json.decode(row.messages)),
        )

    async def newest(self, tenant: str, *, before: datetime | None = None, limit: int = 100) -> list[TraceEntry]:
        """A tenant's traces, newest first, at most 1000; `before` a time, to turn the page."""
        mine = [traces.c.tenant == plain(tenant)]
        if before is not None:
            mine.append(traces.c.created_ms < milliseconds(before, "before"))
        columns = (traces.c.request_id, traces.c.tenant, traces.c.created_ms)
        order = (traces.c.created_ms.desc(), traces.c.request_id)
        statement = select(*columns).where(*mine).order_by(*order).limit(min(limit, _MOST_LISTED))
        rows = await self._database.read(lambda connection: connection.execute(statement).all())
        return [
            TraceEntry(request_id=row.request_id, tenant=row.tenant, created=instant(row.created_ms)) for row in rows
        ]

    async def delete_older(self, than: datetime, *, most: int = _MOST_DELETED) -> int:
        """Delete some traces of all tenants from before a time; returns how many, 0 at the end. The ledger stays."""
        old = select(traces.c.request_id).where(traces.c.created_ms < milliseconds(than, "than")).limit(most)
        if await self._database.read(lambda connection: connection.execute(old).first()) is None:
            return 0
        statement = delete(traces).where(traces.c.request_id.in_(old))
        return await self._database.write(lambda connection: connection.execute(statement).rowcount)
