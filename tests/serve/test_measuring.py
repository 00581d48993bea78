"""The measured baseline: who pays for it, what it adds up to, and how sure it is."""

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import Any

import httpx2
import numpy as np
import pytest
from tests.serve.running import PROBLEM

from steproute.config.gateway import GatewaySettings, RouteFields
from steproute.core.errors import ConfigError
from steproute.serve.app import application
from steproute.serve.gateway import Gateway
from steproute.serve.run import gateway_setup
from steproute.serve.savings import measured_baseline, report
from steproute.store import Measured, Savings

REQUESTS = 30
ASK = {"model": "default", "messages": [{"role": "user", "content": PROBLEM}]}


def test_measuring_is_paid_by_the_operator_to_the_last_unit(database: str) -> None:
    asyncio.run(measured(database))


async def measured(database: str) -> None:
    setup = gateway_setup(None, {})
    routes = {"default": {"baseline_share": 1.0}, "plain": {}}
    app = application(replace(setup, gateway=GatewaySettings(serve=setup.gateway.serve, routes=routes)), database)
    async with app.router.lifespan_context(app):
        gateway: Gateway = app.state.gateway
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://gateway") as client:
            for seed in range(REQUESTS):
                await ask(client, gateway, ASK | {"seed": seed})
            await ask(client, gateway, ASK | {"model": "plain"})
            mine = (await client.get("/v1/savings")).json()
        ledger = gateway.store.ledger
        by_purpose = {total.group: total for total in await ledger.totals(("tenant", "purpose"))}
        paid = by_purpose["baseline", "baseline"]
        assert {tenant for tenant, purpose in by_purpose if purpose == "baseline"} == {"baseline"}
        assert {purpose for tenant, purpose in by_purpose if tenant == "baseline"} == {"baseline"}
        (sample,) = await gateway.store.baselines.measured()
        assert (sample.tenant, sample.route, sample.requests) == ("local", "default", REQUESTS)
        assert sample.measured_usd == paid.cost_usd > 0
        saved = await ledger.savings()
        assert sum(each.spent_usd for each in saved) == sum(total.cost_usd for total in by_purpose.values())
        assert [(each.tenant, each.route) for each in saved] == [
            ("baseline", "default"),
            ("local", "default"),
            ("local", "plain"),
        ]
        shown = report(saved, [sample])["routes"][1]["measured"]
        assert shown["requests"] == REQUESTS
        assert Decimal(shown["sample_usd"]) == paid.cost_usd
        assert shown["baseline_usd"] == pytest.approx(float(paid.cost_usd))  # every request was drawn
        assert shown["low_usd"] <= shown["baseline_usd"] <= shown["high_usd"]
        assert {each["tenant"] for each in mine["routes"]} == {"local"}
        assert mine["routes"][0]["measured"] == shown
        assert await ledger.audit() == []


async def ask(client: httpx2.AsyncClient, gateway: Gateway, body: dict[str, Any]) -> None:
    assert (await client.post("/v1/chat/completions", json=body)).status_code == 200
    if gateway.measurements:
        await asyncio.wait(gateway.measurements)


def test_a_suspended_baseline_measures_nothing_and_answers_go_on(database: str) -> None:
    async def use() -> None:
        setup = gateway_setup(None, {})
        routes = {"default": {"baseline_share": 1.0}}
        app = application(replace(setup, gateway=GatewaySettings(serve=setup.gateway.serve, routes=routes)), database)
        async with app.router.lifespan_context(app):
            gateway: Gateway = app.state.gateway
            await gateway.store.tenants.suspend("baseline")
            transport = httpx2.ASGITransport(app=app)
            async with httpx2.AsyncClient(transport=transport, base_url="http://gateway") as client:
                await ask(client, gateway, ASK)
            assert await gateway.store.baselines.measured() == []
            assert {each.tenant for each in await gateway.store.ledger.savings()} == {"local"}

    asyncio.run(use())


def test_the_interval_covers_the_truth_in_95_of_100_samples() -> None:
    """Costs are skewed, and the model is off by a factor that varies from request to request."""
    rng, covered, population, drawn = np.random.default_rng(5), 0, 20_000, 200
    modelled = rng.lognormal(-6, 0.8, population)
    real = modelled * 1.3 * rng.lognormal(0, 0.5, population)
    for _ in range(400):
        chosen = rng.choice(population, drawn, replace=False)
        found = measured_baseline(saved(modelled.sum()), sample_of(modelled[chosen], real[chosen]))
        assert found is not None
        covered += (found.low_usd or 0) <= real.sum() <= (found.high_usd or 0)
    assert 0.92 <= covered / 400 <= 0.98


def test_few_requests_have_no_interval_and_none_no_estimate() -> None:
    few = np.full(29, 0.5)
    found = measured_baseline(saved(100), sample_of(few, 2 * few))
    assert found is not None
    assert (found.requests, found.baseline_usd, found.low_usd, found.high_usd) == (29, 200, None, None)
    assert measured_baseline(saved(100), sample_of(0 * few, few)) is None
    assert report([saved(100)])["routes"][0]["measured"] is None


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_a_share_is_between_0_and_1(share: float) -> None:
    with pytest.raises(ConfigError, match="baseline_share: "):
        RouteFields(baseline_share=share)


def saved(modelled: float) -> Savings:
    usd = Decimal(str(modelled))
    return Savings(tenant="t", route="r", requests=1, baseline_usd=usd, spent_usd=Decimal(0))


def sample_of(modelled: Any, real: Any) -> Measured:
    return Measured(
        tenant="t",
        route="r",
        requests=len(real),
        spent_usd=Decimal(0),
        modelled_usd=Decimal(str(modelled.sum())),
        measured_usd=Decimal(str(real.sum())),
        measured_squares=float((real**2).sum()),
        modelled_squares=float((modelled**2).sum()),
        products=float((real * modelled).sum()),
    )
