"""Measurements belong to the requests that they are of, and outlive their lines."""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from tests.store.conftest import Clock
from tests.store.requests import PRINCIPAL, line, reserve

from steproute.store import Selection, open_store


def test_samples_add_up_and_stay_when_days_are_folded(url: str, clock: Clock) -> None:
    async def use() -> None:
        store = await open_store(url, clock=clock)
        await store.tenants.create(PRINCIPAL.tenant)
        for name, spent, modelled, measured in (("a", "0.1", "0.4", "0.3"), ("b", "0.000000000001", "0.2", "0.5")):
            reservation = await reserve(store, name, "1")
            await reservation.close([line(spent)], baseline_usd=Decimal(modelled))
            await store.baselines.keep(name, Decimal(measured))
        await store.baselines.keep("nobody's", Decimal(1))
        before = await store.baselines.measured()
        (sample,) = before
        assert (sample.tenant, sample.route, sample.requests) == ("acme", "auto", 2)
        assert (sample.spent_usd, sample.modelled_usd) == (Decimal("0.100000000001"), Decimal("0.6"))
        assert sample.measured_usd == Decimal("0.8")
        squares = (sample.measured_squares, sample.modelled_squares, sample.products)
        assert squares == pytest.approx((0.09 + 0.25, 0.16 + 0.04, 0.12 + 0.1))
        assert await store.baselines.measured(Selection(tenant="zoo")) == []
        clock.now_s += 40 * 86400
        assert await store.fold(datetime.fromtimestamp(clock.now_s, UTC).date()) == 2
        assert await store.baselines.measured(Selection(tenant="acme", route="auto")) == before
        await store.close()

    asyncio.run(use())
