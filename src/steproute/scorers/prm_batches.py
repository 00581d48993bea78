"""One thread a reward model in process: what waits while it computes, of all problems, becomes its next batches."""

import asyncio
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol

from steproute.core.errors import ScorerError
from steproute.core.solution import Meter, Prefix
from steproute.core.usage import Usage


@dataclass(frozen=True, slots=True)
class Reading:
    """What the model reads: token ids, and the places in them where it judges, one per step."""

    tokens: list[int]
    judged: list[int]


class PrmNetwork(Protocol):
    """A loaded reward model; `max_batch_tokens` bounds one pass, padding included."""

    max_batch_tokens: int

    def read(self, prefix: Prefix) -> Reading:
        """The prefix as tokens. Raises ScorerError if they do not fit or the markers are not one per step."""
        ...

    def scores(self, batch: Sequence[Reading]) -> list[tuple[float, ...]]:
        """For each reading one score per step, computed in one pass."""
        ...


@dataclass(slots=True)
class _Call:
    prefix: Prefix
    meter: Meter
    done: "Future[tuple[float, ...]]" = field(default_factory=Future)
    reading: Reading = field(default_factory=lambda: Reading([], []))


class PrmWorker:
    """The thread, started with the first call. It loads the model; if that fails, every call says so."""

    def __init__(self, load: Callable[[], PrmNetwork]) -> None:
        self._load = load
        self._calls: queue.SimpleQueue[_Call] = queue.SimpleQueue()
        self._network: PrmNetwork | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    async def scores(self, prefix: Prefix, meter: Meter) -> tuple[float, ...]:
        """One score per step; a call that is cancelled before its batch runs is dropped, and uses nothing."""
        call = _Call(prefix, meter)
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="steproute-prm", daemon=True)
                self._thread.start()
        self._calls.put(call)
        try:
            return await asyncio.wrap_future(call.done)
        except asyncio.CancelledError:
            with self._lock:
                call.done.cancel()
            raise

    def _serve(self) -> None:
        while True:
            waiting = [self._calls.get()]
            while not self._calls.empty():
                waiting.append(self._calls.get())
            try:
                network = self._network = self._network or self._load()
                for batch in _batches(_read(network, waiting), network.max_batch_tokens):
                    self._run(network, batch)
            except BaseException as failure:  # goes to all who still wait; the next call tries again
                _fail(waiting, failure)

    def _run(self, network: PrmNetwork, batch: Sequence[_Call]) -> None:
        with self._lock:
            calls = [call for call in batch if call.done.set_running_or_notify_cancel()]
            for call in calls:
                call.meter.usage = Usage(input_tokens=len(call.reading.tokens))
        if not calls:
            return
        try:
            each = network.scores([call.reading for call in calls])
            answers = list(zip(calls, each, strict=True))
        except (RuntimeError, MemoryError) as failure:  # the device's; goes to everyone whose text is in the batch
            told = f"a batch of {len(calls)} texts failed ({failure}). If memory ran out, lower max_batch_tokens."
            _fail(calls, ScorerError(told))
        except BaseException as failure:  # as it is
            _fail(calls, failure)
        else:
            for call, scores in answers:
                call.done.set_result(scores)


def _fail(calls: Sequence[_Call], failure: BaseException) -> None:
    """Tell those who have had no answer yet."""
    for call in calls:
        if call.done.running() or (not call.done.done() and call.done.set_running_or_notify_cancel()):
            call.done.set_exception(failure)


def _read(network: PrmNetwork, calls: Sequence[_Call]) -> list[_Call]:
    """Those that can be computed, with what the model reads; the others get their error."""
    able = []
    for call in calls:
        try:
            call.reading = network.read(call.prefix)
        except Exception as failure:  # goes to whoever awaits the call
            _fail([call], failure)
        else:
            able.append(call)
    return able


def _batches(calls: Sequence[_Call], most: int) -> Iterator[list[_Call]]:
    """Calls of like length together, each batch of at most `most` tokens with its padding, or of one call."""
    batch: list[_Call] = []
    for call in sorted(calls, key=lambda call: len(call.reading.tokens)):
        if batch and (len(batch) + 1) * len(call.reading.tokens) > most:
            yield batch
            batch = []
        batch.append(call)
    if batch:
        yield batch
