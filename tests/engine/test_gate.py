import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steproute.core.errors import BackendError, BackendUnavailable, ConfigError, RateLimited
from steproute.core.solution import Meter
from steproute.core.usage import Usage
from steproute.engine.gate import Gate, GateSettings


async def call(gate: Gate, work: Callable[[], Awaitable[None]], tokens: int = 0) -> float:
    meter = Meter()
    async with gate.turn(meter):
        await work()
        meter.usage = Usage(output_tokens=tokens)
    return meter.wait_s


async def nothing() -> None:
    await asyncio.sleep(0)


def failing(error: BackendError) -> Callable[[], Awaitable[None]]:
    async def fail() -> None:
        await asyncio.sleep(0)
        raise error

    return fail


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.sampled_from(["well", "limited", "down", "cancelled 1", "cancelled 3", "cancelled 6"]), max_size=120),
    st.integers(1, 12),
)
def test_no_more_than_the_limit_are_under_way_and_every_turn_is_given_back(fates: list[str], most: int) -> None:
    async def run() -> None:
        gate = Gate(GateSettings(in_flight=most, failures_to_open=1000))
        under_way = 0

        async def one(fate: str) -> None:
            nonlocal under_way

            async def work() -> None:
                nonlocal under_way
                under_way += 1
                assert under_way <= most
                try:
                    await asyncio.sleep(0)
                    if fate == "limited":
                        raise RateLimited("429")
                    if fate == "down":
                        raise BackendUnavailable("500")
                finally:
                    under_way -= 1

            task = asyncio.ensure_future(call(gate, work))
            if fate.startswith("cancelled"):
                for _ in range(int(fate[-1])):
                    await asyncio.sleep(0)
                task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        await asyncio.gather(*(one(fate) for fate in fates))
        assert gate.under_way == 0
        assert 1 <= gate.limit <= most
        await asyncio.wait_for(call(gate, nothing), 1)

    asyncio.run(run())


def test_a_waiter_that_is_cancelled_while_the_turn_comes_free_leaves_the_queue_in_order() -> None:
    async def run() -> None:
        gate = Gate(GateSettings(in_flight=1))
        free = asyncio.Event()

        async def hold() -> None:
            await free.wait()

        first = asyncio.ensure_future(call(gate, hold))
        await asyncio.sleep(0)
        second, third = (asyncio.ensure_future(call(gate, nothing)) for _ in range(2))
        await asyncio.sleep(0)
        free.set()
        second.cancel()
        assert isinstance((await asyncio.gather(second, return_exceptions=True))[0], asyncio.CancelledError)
        await asyncio.wait_for(asyncio.gather(first, third), 1)
        assert gate.under_way == 0

    asyncio.run(run())


def test_it_grows_while_all_goes_well_and_a_429_cuts_a_fifth_once() -> None:
    async def run() -> None:
        gate = Gate(GateSettings(in_flight=20))
        assert gate.limit == 8
        for _ in range(60):
            await asyncio.gather(*(call(gate, nothing) for _ in range(20)))
        assert gate.limit == 20
        limited = failing(RateLimited("429"))
        await asyncio.gather(*(call(gate, limited) for _ in range(20)), return_exceptions=True)
        assert gate.limit == pytest.approx(16)
        await asyncio.gather(
            *(call(gate, failing(BackendUnavailable("500"))) for _ in range(3)), return_exceptions=True
        )
        assert gate.limit == pytest.approx(16), "server errors do not shrink it"

    asyncio.run(run())


def test_retry_after_holds_new_calls_back_and_the_wait_is_measured() -> None:
    async def run() -> None:
        gate = Gate()
        with pytest.raises(RateLimited):
            await call(gate, failing(RateLimited("429", retry_after_s=0.05)))
        assert await call(gate, nothing) >= 0.04

    asyncio.run(run())


def test_a_call_that_does_not_wait_takes_a_free_turn_of_a_backend_that_is_well_or_none() -> None:
    async def taken(gate: Gate) -> bool:
        try:
            async with gate.turn(Meter(ahead=True)):
                return True
        except BackendUnavailable:
            return False

    async def run() -> None:
        gate = Gate(GateSettings(in_flight=1, tokens_per_minute=1000))
        assert await taken(gate)
        async with gate.turn(Meter(Usage(output_tokens=1000))):
            assert not await taken(gate)
        assert not await taken(gate), "that call has used up this minute's tokens"
        healthy = Gate()
        with pytest.raises(BackendUnavailable):
            await call(healthy, failing(BackendUnavailable("500")))
        assert not await taken(healthy)
        await call(healthy, nothing)
        assert await taken(healthy)
        with pytest.raises(RateLimited):
            await call(healthy, failing(RateLimited("429", retry_after_s=5.0)))
        assert not await taken(healthy)

    asyncio.run(run())


def test_however_many_come_at_once_none_that_does_not_wait_stands_in_the_queue() -> None:
    async def run() -> None:
        gate, entered = Gate(GateSettings(in_flight=2)), 0

        async def in_vain() -> None:
            nonlocal entered
            async with gate.turn(Meter(ahead=True)):
                entered += 1
                await asyncio.sleep(0.05)

        ahead = [asyncio.create_task(in_vain()) for _ in range(9)]
        await asyncio.sleep(0)
        assert entered == 2
        refused = await asyncio.gather(*ahead, return_exceptions=True)
        assert [type(each) for each in refused if each] == [BackendUnavailable] * 7

    asyncio.run(run())


def test_an_open_circuit_takes_no_tokens_of_the_minute() -> None:
    async def run() -> None:
        gate = Gate(GateSettings(in_flight=1, failures_to_open=1, open_s=60.0, tokens_per_minute=6000))
        calls = [call(gate, failing(BackendUnavailable("500"))), *(call(gate, nothing) for _ in range(4))]
        refused = await asyncio.gather(*calls, return_exceptions=True)
        assert ["circuit open" in str(each) for each in refused] == [False, True, True, True, True]
        assert gate._tokens == pytest.approx(6000, abs=200)

    asyncio.run(run())


def test_the_circuit_opens_after_failures_in_a_row_and_closes_after_a_probe() -> None:
    async def run() -> None:
        gate = Gate(GateSettings(failures_to_open=3, open_s=0.05))
        down = failing(BackendUnavailable("500"))
        for _ in range(3):
            with pytest.raises(BackendUnavailable, match="500"):
                await call(gate, down)
        with pytest.raises(BackendUnavailable, match="circuit open after 3 failures in a row") as caught:
            await call(gate, nothing)
        assert caught.value.retry_after_s is not None
        await asyncio.sleep(0.06)
        probe = asyncio.ensure_future(call(gate, lambda: asyncio.sleep(0.02)))
        await asyncio.sleep(0.005)
        with pytest.raises(BackendUnavailable, match="circuit open"):
            await call(gate, nothing)
        await probe
        await call(gate, nothing)

    asyncio.run(run())


def test_an_answer_that_is_no_failure_of_the_server_closes_the_circuit() -> None:
    async def run() -> None:
        gate = Gate(GateSettings(failures_to_open=2))
        for error in (BackendUnavailable("500"), BackendError("400"), BackendUnavailable("500")):
            with pytest.raises(BackendError):
                await call(gate, failing(error))
        await call(gate, nothing)

    asyncio.run(run())


def test_a_minutes_tokens_once_spent_hold_the_next_call_back() -> None:
    async def run() -> None:
        gate = Gate(GateSettings(tokens_per_minute=6000))
        await call(gate, nothing, tokens=3000)
        await call(gate, nothing, tokens=3000)
        third = asyncio.ensure_future(call(gate, nothing))
        done, _ = await asyncio.wait([third], timeout=0.1)
        assert not done
        third.cancel()
        await asyncio.gather(third, return_exceptions=True)
        assert gate.under_way == 0

    asyncio.run(run())


@pytest.mark.parametrize(
    "wrong", [{"in_flight": 0}, {"tokens_per_minute": 0}, {"failures_to_open": 0}, {"open_s": 0.0}]
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=f"^{next(iter(wrong))}"):
        GateSettings(**wrong)  # type: ignore[arg-type]
