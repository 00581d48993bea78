"""The pauses between a call's tries, and one call for the engine that is several for the backend."""

import asyncio
import random
from collections.abc import Iterator
from itertools import pairwise

import pytest

from steproute.core.errors import BackendError, BackendUnavailable, RateLimited
from steproute.core.solution import Meter
from steproute.core.usage import FREE, AccountLine, Purpose, Usage
from steproute.engine.account import Account
from steproute.engine.limiter import Limiter, LimiterSettings
from steproute.engine.metering import Bill, MeteredCalls, now
from steproute.simulation.virtual_time import run_virtually


def made(fails: bool) -> list[AccountLine]:
    """The lines of two requests in one call, which waited for its turn."""
    lines: list[AccountLine] = []
    limiter, bill = Limiter(LimiterSettings(in_flight=1)), Bill(role="weak", model="m", price=FREE)

    async def twice(meter: Meter) -> None:
        for tokens in (3, 4):
            await asyncio.sleep(0.01)
            meter.part().usage = Usage(output_tokens=tokens)
        if fails:
            raise BackendError("no")

    async def run() -> None:
        calls = MeteredCalls(Account(lines.append), retries=0)
        async with limiter.slot(Meter()):
            calling = asyncio.create_task(calls.make(bill, limiter, twice))
            await asyncio.sleep(0.02)
        if fails:
            with pytest.raises(BackendError):
                await calling
            return
        await calling
        lines.extend(bill.line(Purpose.ACCEPTED, Usage(output_tokens=tokens), 0.01) for tokens in (3, 4))

    asyncio.run(run())
    return lines


@pytest.mark.parametrize("fails", [False, True])
def test_the_wait_for_a_turn_stands_on_the_first_line_alone(fails: bool) -> None:
    first, second = made(fails)
    assert (first.usage.output_tokens, second.usage.output_tokens) == (3, 4)
    assert first.wait_s > 0
    assert second.wait_s == 0


def test_the_time_of_a_failed_call_stands_on_the_first_line_alone() -> None:
    first, second = made(fails=True)
    assert first.latency_s > 0
    assert second.latency_s == 0


@pytest.fixture
def _seeded() -> Iterator[None]:
    before = random.getstate()
    random.seed(7)
    yield
    random.setstate(before)


def pauses(retries: int, retry_after_s: float | None = None, problems: int = 1) -> list[list[float]]:
    """For each of the problems that fail together, the virtual seconds between its tries."""

    async def alone() -> list[float]:
        tries: list[float] = []

        async def limited(meter: Meter) -> None:
            tries.append(now())
            raise RateLimited("429", retry_after_s=retry_after_s)

        calls = MeteredCalls(Account(lambda line: None), retries)
        with pytest.raises(RateLimited):
            await calls.make(Bill(role="weak", model="m", price=FREE), None, limited)
        return [after - before for before, after in pairwise(tries)]

    async def gather_or_cancel() -> list[list[float]]:
        return list(await asyncio.gather(*(alone() for _ in range(problems))))

    return run_virtually(gather_or_cancel())


def test_a_pause_is_a_part_of_a_time_that_doubles_up_to_half_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "random", lambda: 1.0)
    doubling = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert pauses(retries=8) == [pytest.approx(doubling)]
    monkeypatch.setattr(random, "random", lambda: 0.25)
    assert pauses(retries=8) == [pytest.approx([longest / 4 for longest in doubling])]


def test_what_the_backend_asks_for_is_the_least_pause_before_every_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "random", lambda: 0.0)
    assert pauses(retries=3, retry_after_s=90.0) == [pytest.approx([90.0, 90.0, 90.0])]
    monkeypatch.setattr(random, "random", lambda: 1.0)
    assert pauses(retries=3, retry_after_s=90.0) == [pytest.approx([90.5, 91.0, 92.0])]


@pytest.mark.usefixtures("_seeded")
def test_problems_that_fail_together_do_not_come_back_together() -> None:
    firsts = sorted(first for (first,) in pauses(retries=1, retry_after_s=3.0, problems=20))
    assert all(3.0 <= first <= 3.5 for first in firsts)
    assert len(set(firsts)) == 20
    assert firsts[-1] - firsts[0] > 0.25


def outage(lasts_s: float, retries: int) -> tuple[list[str], int]:
    """How 40 problems' calls end at a server that is down for so long from the start, and how often it was asked."""
    asked = 0

    async def answered(meter: Meter) -> str:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.1)
        if now() < lasts_s:
            raise BackendUnavailable("weak: status 503")
        return "answer"

    async def gather_or_cancel() -> list[str]:
        calls, limiter = MeteredCalls(Account(lambda line: None), retries), Limiter()
        bill = Bill(role="weak", model="m", price=FREE)
        ends = await asyncio.gather(*(calls.make(bill, limiter, answered) for _ in range(40)), return_exceptions=True)
        return [str(end) for end in ends]

    return run_virtually(gather_or_cancel()), asked


@pytest.mark.usefixtures("_seeded")
def test_calls_outlast_an_outage_of_as_many_probes_as_they_have_further_tries() -> None:
    ends, _ = outage(15.0, retries=2)
    assert ends == ["answer"] * 40


@pytest.mark.usefixtures("_seeded")
@pytest.mark.parametrize(("retries", "asked"), [(0, 8), (1, 9), (2, 10)])
def test_a_server_that_stays_down_is_asked_no_more_than_that_and_its_failure_is_named(retries: int, asked: int) -> None:
    ends, times = outage(10_000.0, retries)
    assert all("status 503" in end for end in ends)
    assert times == asked
