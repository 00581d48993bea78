import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from tests.store.conftest import Clock

from steproute.core.errors import ConfigError
from steproute.store import Budgets, KeyRefused, Store, open_store


def run(url: str, use: Callable[[Store], Awaitable[None]], clock: Clock | None = None) -> None:
    async def use_it() -> None:
        store = await open_store(url, clock=clock)
        try:
            await use(store)
        finally:
            await store.close()

    asyncio.run(use_it())


async def reason(store: Store, key: str) -> str:
    with pytest.raises(KeyRefused) as refusal:
        await store.tenants.authenticate(key)
    assert str(refusal.value) == "The API key is not valid. Ask the operator of this gateway for a key."
    return refusal.value.reason


def test_tenants_keep_their_budgets(url: str) -> None:
    async def use(store: Store) -> None:
        budgets = Budgets(usd_per_day=Decimal("1.5"), tokens_per_month=10, requests_per_minute=0)
        created = await store.tenants.create("acme", budgets, priority=3)
        assert created.budgets == budgets
        await store.tenants.create("zoo")
        assert [each.name for each in await store.tenants.all()] == ["acme", "zoo"]
        assert await store.tenants.get("acme") == created
        changed = await store.tenants.change("acme", Budgets(tokens_per_day=7))
        assert (changed.budgets, changed.priority) == (Budgets(tokens_per_day=7), 3)

    run(url, use)


@pytest.mark.parametrize(
    ("budgets", "message"),
    [
        (Budgets(usd_per_day=Decimal(-1)), "usd_per_day: -1"),
        (Budgets(usd_per_day=Decimal("NaN")), "usd_per_day: NaN"),
        (Budgets(usd_per_month=Decimal("1e-13")), "usd_per_month: 1E-13"),
        (Budgets(tokens_per_day=-1), "tokens_per_day: -1 is no limit"),
        (Budgets(requests_per_minute=1.5), "requests_per_minute: 1.5 is no limit"),  # type: ignore[arg-type]
    ],
)
def test_wrong_limits_are_refused_by_name(url: str, budgets: Budgets, message: str) -> None:
    async def use(store: Store) -> None:
        with pytest.raises(ConfigError, match=message):
            await store.tenants.create("acme", budgets)

    run(url, use)


def test_names_are_taken_once_and_can_be_printed(url: str) -> None:
    async def use(store: Store) -> None:
        await store.tenants.create("acme")
        with pytest.raises(ConfigError, match="'acme': exists"):
            await store.tenants.create("acme")
        for name in ("", " ", "a\0b", "a\x1b[31m", "a" * 101):
            with pytest.raises(ConfigError, match="is no name"):
                await store.tenants.create(name)
        for unknown in (store.tenants.get("x"), store.tenants.change("x", Budgets()), store.tenants.new_key("x", "k")):
            with pytest.raises(ConfigError, match="tenant 'x': is unknown"):
                await unknown

    run(url, use)


def test_a_key_says_whose_it_is(url: str) -> None:
    async def use(store: Store) -> None:
        await store.tenants.create("acme", priority=2)
        key = await store.tenants.new_key("acme", "laptop")
        principal = await store.tenants.authenticate(key)
        (kept,) = await store.tenants.keys("acme")
        assert (principal.tenant, principal.key_id, principal.priority) == ("acme", kept.id, 2)
        assert (kept.name, kept.expires, kept.revoked) == ("laptop", None, None)
        assert await reason(store, key[:-1]) == "unknown"
        assert await reason(store, f"steproute_{'0' * 12}_x") == "unknown"
        for text in ("", "steproute_", "Bearer", key.upper(), f"{key}\0", f"{key}é", key + "a" * 1000):
            assert await reason(store, text) == "malformed"

    run(url, use)


def test_keys_expire_and_can_be_revoked(url: str, clock: Clock) -> None:
    async def use(store: Store) -> None:
        await store.tenants.create("acme")
        expires = datetime.fromtimestamp(clock.now_s, UTC) + timedelta(seconds=10)
        key = await store.tenants.new_key("acme", "short", expires)
        other = await store.tenants.new_key("acme", "long")
        clock.now_s += 9
        principal = await store.tenants.authenticate(key)
        clock.now_s += 1
        assert await reason(store, key) == "expired"
        await store.tenants.revoke((await store.tenants.authenticate(other)).key_id)
        assert await reason(store, other) == "revoked"
        with pytest.raises(ConfigError, match="has ended"):
            await store.tenants.rotate(principal.key_id)
        with pytest.raises(ConfigError, match="key 'x': is unknown"):
            await store.tenants.revoke("x")
        with pytest.raises(ConfigError, match="no time zone"):
            await store.tenants.new_key("acme", "naive", datetime(2027, 1, 1))

    run(url, use, clock)


def test_a_rotated_key_lives_for_its_grace(url: str, clock: Clock) -> None:
    async def use(store: Store) -> None:
        await store.tenants.create("acme")
        old = await store.tenants.new_key("acme", "laptop")
        key_id = (await store.tenants.authenticate(old)).key_id
        new = await store.tenants.rotate(key_id, grace_s=60)
        clock.now_s += 59
        assert (await store.tenants.authenticate(old)).key_id == key_id
        clock.now_s += 1
        assert await reason(store, old) == "expired"
        assert (await store.tenants.authenticate(new)).key_id != key_id
        newest = await store.tenants.rotate((await store.tenants.authenticate(new)).key_id)
        assert await reason(store, new) == "expired"
        assert (await store.tenants.authenticate(newest)).tenant == "acme"

    run(url, use, clock)


def test_the_database_file_holds_no_key_and_is_private(tmp_path: Path) -> None:
    async def use(store: Store) -> None:
        await store.tenants.create("acme")
        key = await store.tenants.new_key("acme", "laptop")
        key_id = (await store.tenants.authenticate(key)).key_id
        secrets = [text.split("_", 2)[2] for text in (key, await store.tenants.rotate(key_id))]
        kept, modes = _contents(tmp_path)
        assert key_id.encode() in kept
        assert not any(secret.encode() in kept for secret in secrets)
        assert min(map(len, secrets)) > 40
        assert modes == {0o600}

    run(f"sqlite:///{tmp_path / 'store.db'}", use)


def _contents(folder: Path) -> tuple[bytes, set[int]]:
    paths = list(folder.iterdir())
    return b"".join(path.read_bytes() for path in paths), {path.stat().st_mode & 0o777 for path in paths}
