import asyncio

import pytest

from steproute.core.concurrency import KeyedLock


class Work:
    """Who is at work under each key, and the most who ever were at once."""

    def __init__(self) -> None:
        self.turns, self.go = KeyedLock(), asyncio.Event()
        self.most, self.done, self._now = 0, list[str](), dict[str, int]()

    async def do(self, key: str, who: str) -> None:
        async with self.turns.hold(key):
            self._now[key] = self._now.get(key, 0) + 1
            self.most = max(self.most, self._now[key])
            try:
                await self.go.wait()
                self.done.append(who)
            finally:
                self._now[key] -= 1

    async def started(self, key: str, who: str) -> "asyncio.Task[None]":
        task = asyncio.create_task(self.do(key, who))
        await settle()
        return task


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_key_is_worked_on_in_the_order_of_asking() -> None:
    async def run() -> Work:
        work = Work()
        tasks = [await work.started("a", who) for who in "123"]
        work.go.set()
        await asyncio.gather(*tasks)
        return work

    work = asyncio.run(run())
    assert (work.most, work.done, len(work.turns)) == (1, ["1", "2", "3"], 0)


def test_keys_do_not_wait_for_each_other() -> None:
    async def run() -> None:
        work = Work()
        held = await work.started("a", "1")
        async with work.turns.hold("b"):
            assert not held.done()
        work.go.set()
        await held

    asyncio.run(run())


@pytest.mark.parametrize("cancelled", [0, 1])
def test_a_cancellation_keeps_the_order_of_the_waiters(cancelled: int) -> None:
    async def run() -> Work:
        work = Work()
        tasks = [await work.started("a", "1"), await work.started("a", "2")]
        tasks[cancelled].cancel()
        await settle()
        tasks.append(await work.started("a", "3"))
        work.go.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        return work

    work = asyncio.run(run())
    assert (work.most, len(work.done), work.done[-1], len(work.turns)) == (1, 2, "3", 0)


def test_a_failure_gives_the_key_to_the_next() -> None:
    async def run() -> None:
        turns = KeyedLock()
        with pytest.raises(ValueError, match="failed"):
            async with turns.hold("a"):
                raise ValueError("failed")
        assert not len(turns)
        async with turns.hold("a"):
            pass

    asyncio.run(run())
