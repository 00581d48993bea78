import asyncio

import pytest

from steproute.core.concurrency import gather_or_cancel, map_concurrently


async def give(value: int) -> int:
    await asyncio.sleep(0)
    return value


async def fail() -> int:
    raise ValueError("one failed")


async def linger(ended: list[str], go: asyncio.Event) -> int:
    try:
        await asyncio.Event().wait()
    finally:
        await go.wait()
        ended.append("lingering")
    raise AssertionError("unreachable")


def test_results_come_in_the_order_of_the_calls() -> None:
    assert asyncio.run(gather_or_cancel(*(give(n) for n in (3, 1, 2)))) == [3, 1, 2]
    assert asyncio.run(gather_or_cancel()) == []


def test_a_concurrent_map_keeps_the_order_and_its_limit() -> None:
    running: list[int] = []

    async def multiply(first: int, second: int) -> tuple[int, int]:
        running.append(first)
        await asyncio.sleep(0)
        at_once = len(running)
        running.remove(first)
        return first * second, at_once

    results = asyncio.run(map_concurrently(multiply, range(1, 6), [7] * 5, in_flight=2))
    assert [product for product, _ in results] == [7, 14, 21, 28, 35]
    assert max(at_once for _, at_once in results) == 2


def test_the_first_failure_is_raised_once_the_others_have_ended() -> None:
    ended: list[str] = []

    async def run() -> None:
        go = asyncio.Event()
        asyncio.get_running_loop().call_later(0.01, go.set)
        await gather_or_cancel(linger(ended, go), fail())

    with pytest.raises(ValueError, match="one failed"):
        asyncio.run(run())
    assert ended == ["lingering"]


def test_a_cancellation_is_not_lost_if_a_call_fails_at_the_same_time() -> None:
    async def run() -> None:
        go = asyncio.Event()
        task = asyncio.create_task(gather_or_cancel(linger([], go), fail()))
        for _ in range(5):
            await asyncio.sleep(0)
        task.cancel()
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())


def test_a_failure_that_was_caught_hides_no_later_deadline() -> None:
    async def run() -> None:
        go = asyncio.Event()
        go.set()
        async with asyncio.timeout(0.01):
            with pytest.raises(ValueError, match="one failed"):
                await gather_or_cancel(linger([], go), fail())
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        asyncio.run(run())
