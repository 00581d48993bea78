import asyncio
from datetime import UTC, datetime
from decimal import Decimal

from tests.store.conftest import Clock
from tests.store.requests import line

from steproute.core.solution import Outcome
from steproute.core.trace import Trace
from steproute.store import Store, open_store

MESSAGES = ({"role": "user", "content": [{"type": "text", "text": "secret \0"}]},)


def trace(answer: str = "42") -> Trace:
    return Trace(
        problem_id="p",
        route="auto",
        steps=(),
        answer=answer,
        outcome=Outcome.ANSWERED,
        account=(line("0.01"),),
        latency_s=1.5,
        seed=0,
    )


def test_a_tenant_reads_its_own_traces_only(url: str) -> None:
    async def use(store: Store) -> None:
        await store.traces.keep("a", "acme", trace(), MESSAGES)
        kept = await store.traces.get("a", "acme")
        assert kept is not None
        assert (kept.trace, kept.messages) == (trace(), MESSAGES)
        assert kept.trace.cost_usd == Decimal("0.01")
        assert await store.traces.get("a", "zoo") is None
        assert await store.traces.get("b", "acme") is None
        assert await store.traces.newest("zoo") == []
        await store.traces.keep("a", "zoo", trace("stolen"))
        assert await store.traces.get("a", "zoo") is None
        assert (await store.traces.get("a", "acme")).trace == trace()

    _run(url, use)


def test_messages_are_kept_only_if_given(url: str) -> None:
    async def use(store: Store) -> None:
        await store.traces.keep("a", "acme", trace())
        assert (await store.traces.get("a", "acme")).messages is None
        await store.traces.keep("a", "acme", trace("43"))
        assert (await store.traces.get("a", "acme")).trace.answer == "43"

    _run(url, use)


def test_traces_are_listed_newest_first_and_deleted_by_age(url: str, clock: Clock) -> None:
    async def use(store: Store) -> None:
        for name in "abcd":
            await store.traces.keep(name, "acme", trace())
            clock.now_s += 1
        newest = await store.traces.newest("acme", limit=2)
        assert [each.request_id for each in newest] == ["d", "c"]
        older = await store.traces.newest("acme", before=newest[-1].created)
        assert [each.request_id for each in older] == ["b", "a"]
        assert await store.traces.delete_older(datetime.fromtimestamp(clock.now_s - 2, UTC)) == 2
        assert [each.request_id for each in await store.traces.newest("acme")] == ["d", "c"]

    _run(url, use, clock)


def _run(url: str, use: object, clock: Clock | None = None) -> None:
    async def use_it() -> None:
        store = await open_store(url, clock=clock)
        await store.tenants.create("acme")
        await store.tenants.create("zoo")
        await use(store)
        await store.close()

    asyncio.run(use_it())
