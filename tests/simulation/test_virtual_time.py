import asyncio
import time

import pytest

from steproute.simulation.virtual_time import run_virtually


def test_an_hour_of_sleep_takes_no_time_and_timers_come_in_order() -> None:
    seen: list[tuple[str, float]] = []

    async def sleep(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        seen.append((name, asyncio.get_running_loop().time()))

    async def main() -> float:
        async with asyncio.TaskGroup() as group:
            for name, seconds in (("c", 3600.0), ("a", 0.5), ("b", 7.25)):
                group.create_task(sleep(name, seconds))
        return asyncio.get_running_loop().time()

    began = time.monotonic()
    assert run_virtually(main()) == 3600.0
    assert time.monotonic() - began < 5
    assert seen == [("a", 0.5), ("b", 7.25), ("c", 3600.0)]


def test_a_deadline_is_one_of_virtual_time() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(90):
                await asyncio.sleep(3600)
        return asyncio.get_running_loop().time()

    assert run_virtually(main()) == 90


def test_waiting_for_what_never_comes_is_an_error_and_not_a_hang() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="would wait forever"):
        run_virtually(main())
