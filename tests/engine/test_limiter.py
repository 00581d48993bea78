import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steproute.core.errors import (
    BackendError,
    BackendTimeout,
    BackendUnavailable,
    BudgetExceeded,
    CircuitOpen,
    ConfigError,
    RateLimited,
    SteprouteError,
)
from steproute.core.solution import Meter
from steproute.core.usage import Usage
from steproute.engine.limiter import Limiter, LimiterSettings
from steproute.simulation.virtual_time import run_virtually


async def call(limiter: Limiter, work: Callable[[], Awaitable[None]], tokens: int = 0) -> float:
    meter = Meter()
    async with limiter.slot(meter):
        await work()
        meter.usage = Usage(output_tokens=tokens)
    return meter.wait_s


async def nothing() -> None:
    await asyncio.sleep(0)


def failing(error: SteprouteError) -> Callable[[], Awaitable[None]]:
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
        limiter = Limiter(LimiterSettings(in_flight=most, failures_to_open=1000))
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

            task = asyncio.ensure_future(call(limiter, work))
            if fate.startswith("cancelled"):
                for _ in range(int(fate[-1])):
                    await asyncio.sleep(0)
                task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        async with asyncio.timeout(10):
            await asyncio.gather(*(one(fate) for fate in fates))
            assert limiter.under_way == 0
            assert 1 <= limiter.limit <= most
            await call(limiter, nothing)

    asyncio.run(run())


@pytest.mark.parametrize("turn_is_given", [False, True])
def test_a_waiter_that_is_cancelled_before_or_just_as_its_turn_is_given_hands_it_on(turn_is_given: bool) -> None:
    async def run() -> None:
        limiter = Limiter(LimiterSettings(in_flight=1))
        free = asyncio.Event()

        async def hold() -> None:
            await free.wait()

        first = asyncio.ensure_future(call(limiter, hold))
        await asyncio.sleep(0)
        second, third = (asyncio.ensure_future(call(limiter, nothing)) for _ in range(2))
        await asyncio.sleep(0)
        free.set()
        if turn_is_given:
            await asyncio.sleep(0)
            assert (first.done(), limiter.under_way) == (True, 1), "the second's slot, which has not run yet"
        second.cancel()
        assert isinstance((await asyncio.gather(second, return_exceptions=True))[0], asyncio.CancelledError)
        async with asyncio.timeout(10):
            await asyncio.gather(first, third)
        assert limiter.under_way == 0

    asyncio.run(run())


def test_those_who_wait_get_their_turns_in_the_order_in_which_they_came() -> None:
    async def run() -> None:
        limiter, served = Limiter(LimiterSettings(in_flight=2)), list[int]()

        async def one(number: int) -> None:
            async def work() -> None:
                served.append(number)
                await asyncio.sleep(1.0)

            await call(limiter, work)

        await asyncio.gather(*(one(number) for number in range(9)))
        assert served == list(range(9))

    run_virtually(run())


def test_it_grows_by_one_a_round_and_only_where_all_its_turns_are_taken() -> None:
    async def run() -> None:
        limiter = Limiter(LimiterSettings(in_flight=20))
        for _ in range(5):
            await asyncio.gather(*(call(limiter, nothing) for _ in range(7)))
        assert limiter.limit == 8
        await asyncio.gather(*(call(limiter, nothing) for _ in range(8)))
        assert limiter.limit == pytest.approx(8 + 1 / 8), "the first of them came back while all were under way"
        before = limiter.limit
        await asyncio.gather(*(call(limiter, nothing) for _ in range(15)))
        assert limiter.limit == pytest.approx(before + 1, abs=0.1), "eight came back while others waited"

    asyncio.run(run())


def test_it_grows_while_all_goes_well_and_a_429_cuts_a_fifth_once() -> None:
    async def run() -> None:
        limiter = Limiter(LimiterSettings(in_flight=20))
        assert limiter.limit == 8
        for _ in range(60):
            await asyncio.gather(*(call(limiter, nothing) for _ in range(20)))
        assert limiter.limit == 20
        limited = failing(RateLimited("429"))
        await asyncio.gather(*(call(limiter, limited) for _ in range(20)), return_exceptions=True)
        assert limiter.limit == pytest.approx(16)
        await asyncio.gather(
            *(call(limiter, failing(BackendUnavailable("500"))) for _ in range(3)), return_exceptions=True
        )
        assert limiter.limit == pytest.approx(16), "server errors do not shrink it"

    asyncio.run(run())


def test_retry_after_holds_new_calls_back_and_the_wait_is_measured() -> None:
    async def run() -> None:
        limiter = Limiter()
        with pytest.raises(RateLimited):
            await call(limiter, failing(RateLimited("429", retry_after_s=0.05)))
        assert await call(limiter, nothing) >= 0.04

    asyncio.run(run())


def test_a_call_that_does_not_wait_takes_a_free_turn_of_a_backend_that_is_well_or_none() -> None:
    async def taken(limiter: Limiter) -> bool:
        try:
            async with limiter.slot(Meter(speculative=True)):
                return True
        except BackendUnavailable:
            return False

    async def run() -> None:
        limiter = Limiter(LimiterSettings(in_flight=1, tokens_per_minute=1000))
        assert await taken(limiter)
        async with limiter.slot(Meter(Usage(output_tokens=1000))):
            assert not await taken(limiter)
        assert not await taken(limiter), "that call has used up this minute's tokens"
        healthy = Limiter()
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
        limiter, entered = Limiter(LimiterSettings(in_flight=2)), 0

        async def in_vain() -> None:
            nonlocal entered
            async with limiter.slot(Meter(speculative=True)):
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
        limiter = Limiter(LimiterSettings(in_flight=1, failures_to_open=1, cooldown_s=60.0, tokens_per_minute=6000))
        calls = [call(limiter, failing(BackendUnavailable("500"))), *(call(limiter, nothing) for _ in range(4))]
        refused = await asyncio.gather(*calls, return_exceptions=True)
        assert ["circuit open" in str(each) for each in refused] == [False, True, True, True, True]
        assert limiter._tokens == pytest.approx(6000, abs=200)

    asyncio.run(run())


@pytest.mark.parametrize("error", [BackendUnavailable("500"), BackendTimeout("no answer in time")])
def test_the_circuit_opens_after_failures_in_a_row_and_closes_after_a_probe(error: BackendError) -> None:
    async def run() -> None:
        limiter = Limiter(LimiterSettings(failures_to_open=3, cooldown_s=10.0))
        await fail(limiter, error, error, error)
        assert await refused_for(limiter) == 10.0
        await asyncio.sleep(10.0)
        probe = asyncio.ensure_future(call(limiter, lambda: asyncio.sleep(2.0)))
        await asyncio.sleep(1.0)
        assert await refused_for(limiter) == 0.1, "the probe is under way"
        await probe
        await call(limiter, nothing)

    run_virtually(run())


def test_a_probe_that_fails_opens_the_circuit_again_for_as_long() -> None:
    async def run() -> None:
        down = BackendUnavailable("500")
        limiter = Limiter(LimiterSettings(failures_to_open=3, cooldown_s=10.0))
        await fail(limiter, down, down, down)
        for _ in range(2):
            await asyncio.sleep(10.0)
            await fail(limiter, down)
            assert await refused_for(limiter) == 10.0
        await asyncio.sleep(10.0)
        await call(limiter, nothing)
        await fail(limiter, down, down)
        await call(limiter, nothing)

    run_virtually(run())


def test_an_open_circuit_says_what_opened_it_and_how_many_probes_failed_since() -> None:
    async def refusal(limiter: Limiter) -> CircuitOpen:
        with pytest.raises(CircuitOpen) as caught:
            await call(limiter, nothing)
        return caught.value

    async def run() -> None:
        limiter = Limiter(LimiterSettings(failures_to_open=2, cooldown_s=10.0))
        await fail(limiter, BackendTimeout("weak: no answer in time"), BackendUnavailable("weak: ReadError"))
        assert "of which the last was: weak: ReadError." in str(await refusal(limiter))
        probes = []
        for _ in range(3):
            probes.append((await refusal(limiter)).failed_probes)
            await asyncio.sleep(10.0)
            await fail(limiter, BackendUnavailable("weak: status 503"))
        assert probes == [0, 1, 2]
        assert "the last was: weak: status 503." in str(await refusal(limiter))
        await asyncio.sleep(10.0)
        await call(limiter, nothing)
        await fail(limiter, BackendUnavailable("500"), BackendUnavailable("500"))
        assert (await refusal(limiter)).failed_probes == 0, "an answer came between"

    run_virtually(run())


def test_a_probe_that_is_cancelled_leaves_the_next_call_to_probe() -> None:
    async def run() -> None:
        limiter = Limiter(LimiterSettings(failures_to_open=1, cooldown_s=10.0))
        await fail(limiter, BackendUnavailable("500"))
        await asyncio.sleep(10.0)
        probe = asyncio.ensure_future(call(limiter, lambda: asyncio.sleep(60.0)))
        await asyncio.sleep(1.0)
        probe.cancel()
        await asyncio.gather(probe, return_exceptions=True)
        await call(limiter, nothing)

    run_virtually(run())


def test_a_call_that_was_never_made_says_nothing_about_the_backend() -> None:
    async def run() -> None:
        down = BackendUnavailable("500")
        limiter = Limiter(LimiterSettings(failures_to_open=3, cooldown_s=10.0))
        await fail(limiter, down, down, BudgetExceeded("spent"), down)
        assert await refused_for(limiter) == 10.0

    run_virtually(run())


def test_refusals_for_too_many_requests_do_not_open_the_circuit() -> None:
    async def run() -> None:
        limited, down = RateLimited("429"), BackendUnavailable("500")
        limiter = Limiter(LimiterSettings(failures_to_open=2))
        await fail(limiter, *[limited] * 5, down, limited, down)
        await call(limiter, nothing)

    run_virtually(run())


async def fail(limiter: Limiter, *errors: SteprouteError) -> None:
    """Calls that end so, one after the other."""
    for error in errors:
        with pytest.raises(type(error), match=str(error)):
            await call(limiter, failing(error))


async def refused_for(limiter: Limiter) -> float | None:
    """How long the open circuit asks to wait."""
    with pytest.raises(CircuitOpen, match="circuit open after [1-9] failures in a row") as caught:
        await call(limiter, nothing)
    return caught.value.retry_after_s


def test_an_answer_that_is_no_failure_of_the_server_closes_the_circuit() -> None:
    async def run() -> None:
        limiter = Limiter(LimiterSettings(failures_to_open=2))
        for error in (BackendUnavailable("500"), BackendError("400"), BackendUnavailable("500")):
            with pytest.raises(BackendError):
                await call(limiter, failing(error))
        await call(limiter, nothing)

    asyncio.run(run())


def test_a_minutes_tokens_once_spent_hold_the_next_call_back() -> None:
    async def run() -> None:
        limiter = Limiter(LimiterSettings(tokens_per_minute=6000))
        await call(limiter, nothing, tokens=3000)
        await call(limiter, nothing, tokens=3000)
        third = asyncio.ensure_future(call(limiter, nothing))
        done, _ = await asyncio.wait([third], timeout=0.1)
        assert not done
        third.cancel()
        await asyncio.gather(third, return_exceptions=True)
        assert limiter.under_way == 0

    asyncio.run(run())


def test_the_size_of_calls_is_learnt_so_that_small_ones_use_a_minutes_tokens_to_the_end() -> None:
    async def run() -> None:
        limiter = Limiter(LimiterSettings(tokens_per_minute=6000))
        waits = [await call(limiter, nothing, tokens=100) for _ in range(90)]
        assert waits[:57] == [0.0] * 57
        assert waits[70:] == [pytest.approx(1.0, abs=0.01)] * 20, "a hundred tokens come back in a second"

    run_virtually(run())


@pytest.mark.parametrize(
    "wrong", [{"in_flight": 0}, {"tokens_per_minute": 0}, {"failures_to_open": 0}, {"cooldown_s": 0.0}]
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=f"^{next(iter(wrong))}"):
        LimiterSettings(**wrong)  # type: ignore[arg-type]
