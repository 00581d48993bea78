"""A suspended tenant starts nothing, and what it has started ends as usual."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from decimal import Decimal

import pytest
from sqlalchemy import event
from tests.store.conftest import Clock
from tests.store.requests import PRINCIPAL, line, reserve
from typer.testing import CliRunner

from steproute.cli.main import app
from steproute.core.errors import ConfigError
from steproute.store import Budgets, Store, TenantSuspended, open_store


def run(url: str, use: Callable[[Store], Awaitable[None]], clock: Clock | None = None) -> None:
    async def use_it() -> None:
        store = await open_store(url, clock=clock)
        try:
            await use(store)
        finally:
            await store.close()

    asyncio.run(use_it())


def test_a_suspended_tenant_reserves_nothing_and_its_open_request_ends(url: str, clock: Clock) -> None:
    async def use(store: Store) -> None:
        await store.tenants.create("acme", Budgets(usd_per_day=Decimal(1)))
        key = await store.tenants.new_key("acme", "laptop")
        reservation = await reserve(store, "open", "0.5")
        assert (await store.tenants.suspend("acme")).suspended is not None
        since = (await store.tenants.get("acme")).suspended
        clock.now_s += 5
        assert (await store.tenants.suspend("acme")).suspended == since
        for refused in (
            store.tenants.authenticate(key),
            store.tenants.principal("acme"),
            reserve(store, "new", "0.1"),
        ):
            with pytest.raises(TenantSuspended, match="tenant 'acme': is suspended"):
                await refused
        await reservation.settle([line("0.2")])
        await reservation.extend()
        await reservation.close([line("0.2"), line("0.1")])
        day, _ = await store.ledger.balances("acme")
        assert (day.spent_usd, day.reserved_usd, day.requests) == (Decimal("0.3"), 0, 1)
        assert (await store.tenants.suspend("acme", False)).suspended is None
        await (await reserve(store, "new", "0.1")).close()
        assert (await store.tenants.authenticate(key)).tenant == PRINCIPAL.tenant
        with pytest.raises(ConfigError, match="tenant 'x': is unknown"):
            await store.tenants.suspend("x")

    run(url, use, clock)


def test_balances_of_all_tenants_take_one_statement(url: str, clock: Clock) -> None:
    async def use(store: Store) -> None:
        for number in range(5):
            await store.tenants.create(f"t{number}", Budgets(tokens_per_month=10 * number))
        await store.tenants.create("acme", Budgets(usd_per_day=Decimal(1)))
        await reserve(store, "a", "0.25", tokens=7)
        statements: list[str] = []
        driver = store._database._driver
        engine = driver._engine if store._database.is_sqlite else driver._engine.sync_engine  # type: ignore[attr-defined]
        event.listen(engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
        balances = await store.ledger.balances()
        assert len([each for each in statements if "windows" in each]) == 1
        assert [(each.tenant, each.window) for each in balances[:3]] == [
            ("acme", "day"),
            ("acme", "month"),
            ("t0", "day"),
        ]
        assert balances[0].left_usd == Decimal("0.75")
        assert [each.left_tokens for each in balances if each.window == "month"] == [None, 0, 10, 20, 30, 40]
        assert balances[:2] == await store.ledger.balances("acme")
        clock.now_s += 86400
        assert [each.reserved_usd for each in await store.ledger.balances("acme")] == [0, Decimal("0.25")]

    run(url, use, clock)


def steproute(url: str, *words: str) -> str:
    result = CliRunner().invoke(app, [*words, "--database", url], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_list_says_what_is_spent_and_left_and_who_is_suspended(url: str) -> None:
    async def use(store: Store) -> None:
        await store.tenants.create("acme", Budgets(usd_per_day=Decimal(1), tokens_per_month=100, requests_per_minute=3))
        await store.tenants.create("zoo")
        await (await reserve(store, "a", "0.5", tokens=20)).close([line("0.2")])

    run(url, use)
    steproute(url, "tenants", "change", "acme", "--suspended")
    shown = steproute(url, "tenants", "list")
    for words in ("acme (suspended)", "$0.200000 spent, $0.800000 left", "5 tokens, 95 left", "3 requests per minute"):
        assert words in shown
    assert "$0.000000 spent" in shown
    first, second = json.loads(steproute(url, "tenants", "list", "--json"))
    assert [each["window"] for each in first["windows"]] == ["day", "month"]
    assert (first["windows"][0]["left_usd"], first["windows"][1]["left_tokens"]) == ("0.800000000000", 95)
    assert (first["suspended"] is None, second["suspended"]) == (False, None)
    steproute(url, "tenants", "change", "acme", "--active")
    assert "suspended" not in steproute(url, "tenants", "list")


def test_the_keys_of_an_unknown_tenant_are_an_error(url: str) -> None:
    run(url, lambda store: store.tenants.create("acme"))
    assert json.loads(steproute(url, "keys", "list", "acme", "--json")) == []
    result = CliRunner().invoke(app, ["keys", "list", "acmee", "--database", url])
    assert isinstance(result.exception, ConfigError)
    assert "tenant 'acmee': is unknown. Create it first" in str(result.exception)
