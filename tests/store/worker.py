"""A gateway process in short, which a test starts and may kill: python worker.py TASK URL NAME [COUNT]."""

import asyncio
import sys

from tests.store.requests import line, reserve

from steproute.store import DEFAULT_LEASE_S, BudgetRefused, Store, open_store


async def hold(store: Store, name: str, count: int) -> int:
    """Reserve many times at once and keep what was admitted."""
    asked = (reserve(store, f"{name}-{number}", "0.01") for number in range(count))
    results = await asyncio.gather(*asked, return_exceptions=True)
    refused = [each for each in results if isinstance(each, BudgetRefused)]
    admitted = [each for each in results if not isinstance(each, BaseException)]
    assert len(refused) + len(admitted) == count, results
    return len(admitted)


async def spend(store: Store, name: str, count: int) -> int:
    """Solve many requests at once, each of which costs less than it reserves."""

    async def solve(number: int) -> bool:
        while True:
            try:
                reservation = await reserve(store, f"{name}-{number}", "0.01")
            except BudgetRefused as refusal:
                if refusal.kind == "budget":
                    return False
                await asyncio.sleep(0.01)
            else:
                await reservation.settle([line("0.004")])
                await reservation.close()
                return True

    return sum(await asyncio.gather(*(solve(number) for number in range(count))))


async def settle(store: Store, name: str, _count: int) -> int:
    """Settle for as long as it lives, several requests at once, and say what was reported as settled."""

    async def one(lane: int) -> None:
        number = 0
        while True:
            reservation = await reserve(store, f"{name}-{lane}-{number}", "0.03")
            for call in range(2):
                await reservation.settle([line("0.01", request_id=f"call-{call}")])
                print(reservation.request_id, call, flush=True)
            await reservation.close([line("0.01", request_id=f"call-{call}") for call in range(2)])
            number += 1

    await asyncio.gather(*(one(lane) for lane in range(4)))
    return 0


async def main(task: str, url: str, name: str, count: int = 0) -> None:
    store = await open_store(url, worker=name, lease_s=1 if task == "settle" else DEFAULT_LEASE_S)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    print(await {"hold": hold, "spend": spend, "settle": settle}[task](store, name, count), flush=True)
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4], *map(int, sys.argv[4:])))
