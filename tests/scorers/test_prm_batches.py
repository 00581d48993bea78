"""The thread that joins calls to batches, around a network that only counts."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from steproute.core.errors import ConfigError, ScorerError
from steproute.core.problem import Problem
from steproute.core.solution import Meter, Prefix, Step
from steproute.core.usage import Usage
from steproute.scorers.prm_batches import PrmWorker, Reading


def prefix_of(tokens: int, steps: int = 1) -> Prefix:
    problem = Problem.ask(id="p", text="x" * tokens)
    return Prefix(problem=problem, steps=tuple(Step(role="w", text=".", tokens=1) for _ in range(steps)))


class Counting:
    """Reads a token a letter of the problem and keeps the size of each batch; held up until `go` is set."""

    def __init__(self, max_batch_tokens: int) -> None:
        self.max_batch_tokens = max_batch_tokens
        self.batches: list[list[int]] = []
        self.go, self.computing = threading.Event(), threading.Event()

    def read(self, prefix: Prefix) -> Reading:
        if len(prefix.problem.text) == 99:
            raise ScorerError("too long")
        return Reading([0] * len(prefix.problem.text), [0] * len(prefix.steps))

    def scores(self, batch: Sequence[Reading]) -> list[tuple[float, ...]]:
        self.batches.append([len(reading.tokens) for reading in batch])
        self.computing.set()
        assert self.go.wait(10)
        if any(len(reading.tokens) == 13 for reading in batch):
            raise MemoryError("13")
        return [(len(reading.tokens) / 100,) * len(reading.judged) for reading in batch]


async def under_way(network: Counting) -> None:
    await asyncio.to_thread(network.computing.wait, 10)


def test_calls_that_wait_become_batches_of_like_length_within_the_limit() -> None:
    network = Counting(40)
    worker = PrmWorker(lambda: network)

    async def run() -> list[tuple[float, ...]]:
        first = asyncio.create_task(worker.scores(prefix_of(1), Meter()))
        await under_way(network)
        rest = [asyncio.create_task(worker.scores(prefix_of(n, 2), Meter())) for n in (10, 90, 9, 20, 10, 19)]
        await asyncio.sleep(0)
        network.go.set()
        return list(await asyncio.gather(first, *rest))

    assert asyncio.run(run()) == [(0.01,), *((n / 100,) * 2 for n in (10, 90, 9, 20, 10, 19))]
    assert network.batches == [[1], [9, 10, 10], [19, 20], [90]]


def test_a_call_that_is_cancelled_while_it_waits_is_never_computed_and_uses_nothing() -> None:
    network = Counting(40)
    worker = PrmWorker(lambda: network)

    async def run() -> tuple[Usage, Usage]:
        running, waiting = Meter(), Meter()
        first = asyncio.create_task(worker.scores(prefix_of(5), running))
        await under_way(network)
        second = asyncio.create_task(worker.scores(prefix_of(7), waiting))
        await asyncio.sleep(0)
        first.cancel()
        second.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
        network.go.set()
        assert await worker.scores(prefix_of(3), Meter()) == (0.03,)
        return running.usage, waiting.usage

    assert asyncio.run(run()) == (Usage(input_tokens=5), Usage())
    assert network.batches == [[5], [3]]


def test_what_fails_fails_for_its_own_callers_alone() -> None:
    network = Counting(20)
    network.go.set()
    worker = PrmWorker(lambda: network)

    async def run() -> list[object]:
        calls = (worker.scores(prefix_of(n), Meter()) for n in (99, 13, 5, 15))
        return list(await asyncio.gather(*calls, return_exceptions=True))

    unread, failed, *sound = asyncio.run(run())
    assert isinstance(unread, ScorerError)
    assert isinstance(failed, ScorerError)
    assert "13" in str(failed)
    assert sound == [(0.05,), (0.15,)]


def test_every_caller_gets_the_loading_error() -> None:
    def load() -> Counting:
        raise ConfigError("model: 'x' cannot be loaded")

    worker = PrmWorker(load)
    for _ in range(2):
        with pytest.raises(ConfigError, match="cannot be loaded"):
            asyncio.run(worker.scores(prefix_of(3), Meter()))


class Faulty(Counting):
    """Its first batch meets a fault: an error that is raised, or, where there is none, a result too few."""

    def __init__(self, fault: BaseException | None) -> None:
        super().__init__(40)
        self.go.set()
        self._fault = fault

    def scores(self, batch: Sequence[Reading]) -> list[tuple[float, ...]]:
        each = super().scores(batch)
        if len(self.batches) > 1:
            return each
        if self._fault is not None:
            raise self._fault
        return each[:-1]


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        (None, ValueError, "zip"),
        (AssertionError("a fault of the program"), AssertionError, "^a fault of the program$"),
        (ScorerError("no probabilities"), ScorerError, "^no probabilities$"),
        (RuntimeError("out of memory"), ScorerError, "a batch of 2 texts failed .out of memory.. If memory ran out"),
    ],
)
def test_an_error_reaches_the_whole_batch_and_later_calls_work(
    fault: BaseException | None, error: type[Exception], message: str
) -> None:
    worker = PrmWorker(lambda: Faulty(fault))

    async def run() -> list[object]:
        async with asyncio.timeout(10):
            told = await asyncio.gather(
                *(worker.scores(prefix_of(5), Meter()) for _ in range(2)), return_exceptions=True
            )
            assert await worker.scores(prefix_of(3), Meter()) == (0.03,)
            return list(told)

    for failure in asyncio.run(run()):
        assert isinstance(failure, error)
        with pytest.raises(error, match=message):
            raise failure


def test_an_unusable_network_fails_every_call() -> None:
    network = Counting(40)
    network.go.set()
    del network.max_batch_tokens
    worker = PrmWorker(lambda: network)

    async def run() -> None:
        async with asyncio.timeout(10):
            for _ in range(2):
                with pytest.raises(AttributeError, match="max_batch_tokens"):
                    await worker.scores(prefix_of(5), Meter())

    asyncio.run(run())
