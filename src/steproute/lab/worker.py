"""One thread a lab model: it owns the network and serves all problems in flight, joining their tokens into batches."""

import asyncio
import queue
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np

from steproute.core.arrays import F32, F64
from steproute.core.errors import BackendError, ContextOverflow
from steproute.core.solution import Meter, Sampling, Stop
from steproute.core.usage import Usage
from steproute.lab.kv_cache import Session
from steproute.lab.network import Network

_R = TypeVar("_R")


@dataclass(slots=True)
class Job(Generic[_R]):
    """Work on one session; `meter` follows what it has used, `done` gets its result."""

    session: str
    tokens: list[int]
    meter: Meter
    done: "Future[_R]" = field(default_factory=Future)
    cancelled: bool = False

    async def result(self) -> _R:
        """The result. A cancelled wait first lets the thread put the job down, so that the meter is final."""
        done = asyncio.wrap_future(self.done)
        try:
            return await asyncio.shield(done)
        except asyncio.CancelledError:
            self.cancelled = True
            await asyncio.wait([done])
            raise


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Generated token ids (closing token included), their log-probabilities and the entropy of the first one's
    distribution (nats, temperature 1), why they ended, and what they took."""

    tokens: list[int]
    logprobs: list[float]
    first_entropy: float
    stop: Stop
    usage: Usage


@dataclass(slots=True, kw_only=True)
class WriteJob(Job[Written]):
    """Generate up to the stop token, the end, the token limit or the context limit.

    leader: a job submitted before, of the same tokens and session: it reads them for both, and keeps the session.
    """

    sampling: Sampling
    stop_token: int | None
    rng: np.random.Generator
    leader: "WriteJob | None" = None
    written: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    first_entropy: float = 0.0
    kept: Session | None = None
    first: F32 | None = None
    pending: F32 | None = None


@dataclass(slots=True, kw_only=True)
class ReadJob(Job[tuple[F32, Usage]]):
    """Read tokens and give the network's outputs after each of them, (token, output)."""


class Worker:
    """The thread, started with the first job."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._jobs: queue.SimpleQueue[WriteJob | ReadJob] = queue.SimpleQueue()
        self._rows: list[WriteJob] = []
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def submit(self, job: WriteJob | ReadJob) -> None:
        """Queue a job."""
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="steproute-lab", daemon=True)
                self._thread.start()
        self._jobs.put(job)

    def _serve(self) -> None:
        while True:
            self._admit()
            try:
                self._advance()
            except Exception as failure:  # goes to everyone whose row was under way
                rows, self._rows = self._rows, []
                for job in rows:
                    job.done.set_exception(failure)

    def _admit(self) -> None:
        """Take in new jobs; wait for one only while no row is under way."""
        while len(self._rows) < self.network.batch:
            try:
                job = self._jobs.get(block=not self._rows)
            except queue.Empty:
                return
            try:
                self._begin(job)
            except Exception as failure:  # goes to whoever awaits the job
                job.done.set_exception(failure)

    def _begin(self, job: WriteJob | ReadJob) -> None:
        if len(job.tokens) >= self.network.context:
            raise ContextOverflow(
                f"lab model: {len(job.tokens)} tokens leave no room in a context of {self.network.context}. "
                "Use a shorter problem or fewer steps."
            )
        row = len(self._rows)
        if isinstance(job, ReadJob):
            outputs, cached = self.network.read(job.session, job.tokens, row)
            job.meter.usage = Usage(input_tokens=len(job.tokens) - cached, cache_read_tokens=cached)
            job.done.set_result((outputs, job.meter.usage))
            return
        if job.leader is None:
            job.kept, cached, job.first = self.network.start(job.session, job.tokens, row)
            job.meter.usage = Usage(input_tokens=len(job.tokens) - cached, cache_read_tokens=cached)
        else:
            self._follow(job, job.leader, row)
        job.pending = job.first
        self._rows.append(job)

    def _follow(self, job: WriteJob, leader: WriteJob, row: int) -> None:
        """Begin where the leader began: in a copy of its row, or in a session that is used once if that has ended."""
        if leader.first is None:
            raise BackendError("lab model: the first draft of the call failed.")
        source = next((number for number, other in enumerate(self._rows) if other is leader), None)
        if source is None:
            self.network.start(f"{job.session}#again", job.tokens, row)
        else:
            self.network.move_row(source, row)
        job.first = leader.first

    def _advance(self) -> None:
        """Draw one token for every row, put finished rows down, and feed the others on."""
        if not self._rows:
            return
        outputs = np.stack([job.pending for job in self._rows if job.pending is not None])
        logprobs = log_softmax(outputs)
        for row, (job, token) in enumerate(zip(self._rows, draw(outputs, self._rows), strict=True)):
            if not job.cancelled:
                if not job.written:
                    job.first_entropy = -float(np.exp(logprobs[row]) @ logprobs[row])
                job.written.append(int(token))
                job.logprobs.append(float(logprobs[row, token]))
                job.meter.usage = job.meter.usage + Usage(output_tokens=1)
        for row in reversed(range(len(self._rows))):
            stop = self._stop(self._rows[row])
            if stop is not None or self._rows[row].cancelled:
                self._put_down(row, stop or Stop.LENGTH)
        if self._rows:
            lengths = [len(job.tokens) + len(job.written) - 1 for job in self._rows]
            outputs = self.network.step([job.written[-1] for job in self._rows], lengths)
            for job, output in zip(self._rows, outputs, strict=True):
                job.pending = output

    def _stop(self, job: WriteJob) -> Stop | None:
        if not job.written:
            return None
        if job.written[-1] == self.network.tokenizer.end:
            return Stop.END
        if job.written[-1] == job.stop_token:
            return Stop.SEPARATOR
        if len(job.written) >= job.sampling.max_tokens:
            return Stop.LENGTH
        return Stop.CONTEXT if len(job.tokens) + len(job.written) >= self.network.context else None

    def _put_down(self, row: int, stop: Stop) -> None:
        job = self._rows[row]
        if job.kept is not None and job.kept.tokens == job.tokens:
            self.network.store_row(row, job.kept, job.written[:-1])
        last = len(self._rows) - 1
        if row != last:
            self.network.move_row(last, row)
            self._rows[row] = self._rows[last]
        self._rows.pop()
        job.done.set_result(
            Written(
                tokens=job.written,
                logprobs=job.logprobs,
                first_entropy=job.first_entropy,
                stop=stop,
                usage=job.meter.usage,
            )
        )


def log_softmax(logits: F32) -> F64:
    """Log-probabilities at temperature 1, over the last axis."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    answer: F64 = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return answer


def draw(logits: F32, jobs: list[WriteJob]) -> list[int]:
    """One token id per row: temperature, then top-k, then top-p, then the row's own random number.

    logits: (row, vocabulary). Temperature 0 takes the most likely token.
    """
    order = np.argsort(-logits, axis=1, kind="stable")
    ranked = np.take_along_axis(logits, order, axis=1).astype(np.float64)
    temperature = np.array([[max(job.sampling.temperature, 1e-6)] for job in jobs])
    weights = np.exp((ranked - ranked[:, :1]) / temperature)
    ranks = np.arange(logits.shape[1])
    top_k = np.array([[job.sampling.top_k or logits.shape[1]] for job in jobs])
    weights[ranks[None] >= top_k] = 0.0
    before = np.cumsum(weights, axis=1) - weights
    total = weights.sum(axis=1, keepdims=True)
    weights[before >= np.array([[job.sampling.top_p] for job in jobs]) * total] = 0.0
    cumulative = np.cumsum(weights, axis=1)
    points = np.array([[job.rng.random()] for job in jobs]) * cumulative[:, -1:]
    chosen = np.minimum((cumulative <= points).sum(axis=1), (weights > 0).sum(axis=1) - 1)
    return [int(token) for token in order[np.arange(len(jobs)), chosen]]
