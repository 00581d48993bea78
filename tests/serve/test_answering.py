"""A request's bill does not depend on those who watch it."""

import asyncio
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType

import pytest
from tests.store.requests import PRINCIPAL, line

from steproute.config.gateway import ServeSettings
from steproute.core.events import Billed
from steproute.core.trace import Trace
from steproute.core.usage import FREE, Price
from steproute.serve.answering import Answer, Happening
from steproute.store import open_store

LINE = line("0.25")


class Called:
    """Work that makes one call."""

    trace_id, route, most_usd, most_tokens = "r1", "route", Decimal(1), 10
    messages: tuple[dict[str, str], ...] = ()
    prices: Mapping[str, Price] = MappingProxyType({})

    async def run(self, emit: Callable[[Happening], None]) -> Trace:
        emit(Billed(LINE))
        raise AssertionError("the watcher has failed")


def test_a_call_is_billed_though_a_watcher_fails(tmp_path: Path) -> None:
    def fails(happening: Happening) -> None:
        raise ValueError("a fault of the watcher")

    async def run() -> Decimal:
        store = await open_store(f"sqlite:///{tmp_path / 'g.db'}")
        try:
            await store.tenants.create(PRINCIPAL.tenant)
            answer = Answer(
                Called(),
                PRINCIPAL,
                store,
                route="default",
                settings=ServeSettings(),
                note="",
                alone=("strong", FREE),
                on_event=fails,
            )
            with pytest.raises(ValueError, match="watcher"):
                await answer.task
            return (await store.ledger.totals())[0].cost_usd
        finally:
            await store.close()

    assert asyncio.run(run()) == LINE.cost_usd
