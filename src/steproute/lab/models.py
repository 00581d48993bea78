"""The lab's step models and process reward model, behind the ports."""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib.resources import as_file, files
from itertools import pairwise
from typing import Any, ClassVar, Final, Literal

import numpy as np
from numpy.typing import NDArray

from steproute.core.arrays import F32
from steproute.core.concurrency import gather_or_cancel
from steproute.core.errors import BackendError, ConfigError, DatasetError, ScorerError
from steproute.core.logistic import logistic
from steproute.core.ports import ModelCapabilities
from steproute.core.settings import settings_of
from steproute.core.solution import Draft, Meter, Prefix, Sampling, Scores, Stop
from steproute.core.usage import Price, Usage
from steproute.lab.examples import as_read
from steproute.lab.network import Network
from steproute.lab.story import MAX_VALUE
from steproute.lab.tokenizer import SEPARATOR
from steproute.lab.worker import ReadJob, Worker, WriteJob, Written, log_softmax

LabWriter = Literal["lab-weak", "lab-mid", "lab-strong", "lab-weak-hinted", "lab-weak-merge"]
LabScorerName = Literal["lab-verifier", "lab-prm-place"]
LabName = Literal[LabWriter, LabScorerName]
Servable = Literal["lab-weak", "lab-mid", "lab-strong", "lab-prm-place"]
_NUMBER: Final = re.compile(r"\d+")
_LABEL: Final = re.compile(r"\(\d+\)")
_TABLE: Final = "steproute-lab 2026-11"
_READER: Final = {"example": "lab-weak-hinted", "plans": "lab-weak-merge"}

PRICES: Final[Mapping[LabName, Price]] = {
    "lab-weak": Price(input=Decimal("0.05"), cache_read=Decimal("0.005"), output=Decimal("0.20"), table=_TABLE),
    "lab-weak-hinted": Price(input=Decimal("0.05"), cache_read=Decimal("0.005"), output=Decimal("0.20"), table=_TABLE),
    "lab-weak-merge": Price(input=Decimal("0.05"), cache_read=Decimal("0.005"), output=Decimal("0.20"), table=_TABLE),
    "lab-mid": Price(input=Decimal("0.25"), cache_read=Decimal("0.025"), output=Decimal("1.00"), table=_TABLE),
    "lab-strong": Price(input=Decimal("1.00"), cache_read=Decimal("0.10"), output=Decimal("4.00"), table=_TABLE),
    "lab-verifier": Price(input=Decimal("0.05"), cache_read=Decimal("0.005"), output=Decimal(0), table=_TABLE),
    "lab-prm-place": Price(input=Decimal("0.05"), cache_read=Decimal("0.005"), output=Decimal(0), table=_TABLE),
}
LAB_SAMPLING: Final = Sampling(temperature=0.7, top_p=1.0, top_k=0)


@cache
def worker(name: LabName) -> Worker:
    """The one worker of a shipped model; raises ArtifactError if its weights are missing."""
    with as_file(files("steproute.lab") / "weights" / f"{name}.onnx") as path:
        return Worker(Network(path))


@dataclass(frozen=True, slots=True, kw_only=True)
class LabSettings:
    """Which of the lab's language models it is."""

    name: LabWriter


class LabModel:
    """A lab language model as a step model. Raises BackendError for text outside the lab's language."""

    only_reads: ClassVar[str] = "lab"

    def __init__(self, name: LabName, source: Worker | None = None) -> None:
        self.name: str = name
        self._worker = source or worker(name)
        self.capabilities = ModelCapabilities(
            example=self._worker.network.reads == "example", plans=self._worker.network.reads == "plans"
        )

    @classmethod
    def from_settings(cls, name: str, table: Mapping[str, Any]) -> "LabModel":
        """From a table of `steproute.toml`: the fields of LabSettings. Raises ConfigError."""
        return cls(settings_of(table, LabSettings).name)

    def most_usage(self, prefix: Prefix, n: int, sampling: Sampling) -> Usage:
        """The prompt's tokens and what the context leaves for the output; see `core.usage_bounds`."""
        read, context = len(self._prompt(prefix)), self._worker.network.context
        return Usage(input_tokens=read, output_tokens=n * min(sampling.max_tokens, max(0, context - read)))

    async def propose(
        self, prefix: Prefix, n: int = 1, sampling: Sampling = LAB_SAMPLING, meter: Meter | None = None
    ) -> list[Draft]:
        """`n` drafts, which share one reading of the prompt: it is in the first one's usage. See StepModel.propose."""
        began = time.monotonic()
        meter = meter or Meter()
        meters = [meter, *(Meter() for _ in range(n - 1))]
        jobs = self._jobs(prefix, sampling, meters)
        try:
            written = await gather_or_cancel(*map(self._written, jobs))
        finally:
            meter.usage = sum((each.usage for each in meters), Usage())
        return [self._draft(each, self._opening(prefix), time.monotonic() - began) for each in written]

    def _prompt(self, prefix: Prefix) -> list[int]:
        """What it reads; raises ConfigError for advice that it was not trained for."""
        advice = prefix.advice
        for kind in ("example", "plans"):
            if getattr(advice, kind) and self._worker.network.reads != kind:
                raise ConfigError(
                    f"{self.name} was not trained to read {'an example' if kind == 'example' else kind}.",
                    where="model",
                    remedy=f"Use {_READER[kind]}, or a model that reads English.",
                )
        before = (as_read(advice.example),) if advice.example else ()
        after = ("", *advice.plans, "") if advice.plans else ()
        return [*_prompt(self._worker, prefix, before, after), *self._opening(prefix)]

    def _opening(self, prefix: Prefix) -> list[int]:
        """The label of the assigned sub-task, with which the step begins: all that it reads of sub-tasks."""
        advice = prefix.advice
        label = _LABEL.match(advice.subtasks[advice.assigned[0] - 1]) if advice.subtasks else None
        return self._worker.network.tokenizer.encode(label[0]) if label else []

    async def _written(self, job: WriteJob) -> Written:
        self._worker.submit(job)
        return await job.result()

    def _jobs(self, prefix: Prefix, sampling: Sampling, meters: Sequence[Meter]) -> list[WriteJob]:
        """One job per meter, led by the first."""
        tokens, jobs = self._prompt(prefix), list[WriteJob]()
        for index, meter in enumerate(meters):
            job = WriteJob(
                session=f"{prefix.session}{'/advised' if prefix.advice.example else ''}",  # an example stands in front
                tokens=tokens,
                meter=meter,
                sampling=sampling,
                stop_token=self._worker.network.tokenizer.separator if sampling.stop == SEPARATOR else None,
                rng=np.random.default_rng([sampling.seed, index]),
                leader=jobs[0] if jobs else None,
            )
            jobs.append(job)
        return jobs

    def _draft(self, written: Written, opening: list[int], latency_s: float) -> Draft:
        tokenizer = self._worker.network.tokenizer
        tokens = written.tokens[:-1] if written.stop is Stop.SEPARATOR else written.tokens
        return Draft(
            model=self.name,
            text=tokenizer.decode([*opening, *tokens]),
            stop=written.stop,
            usage=written.usage,
            step_tokens=_step_tokens(written, tokenizer.separator),
            logprobs=tuple(written.logprobs),
            first_token_entropy=written.first_entropy if written.tokens else None,
            latency_s=latency_s,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LabScorerSettings:
    """Which of the lab's process reward models it is."""

    name: LabScorerName = "lab-verifier"


class LabPrm:
    """A process reward model of the lab as a step scorer. Raises ScorerError for text outside the lab's language.

    lab-verifier gives P(step is correct | the steps before it are correct); it compares the step with its prefix.
    lab-prm-place gives P(every step so far is correct); it knows little but where lab-weak tends to fail, and is kept
    for null checks.
    """

    only_reads: ClassVar[str] = "lab"

    def __init__(self, name: LabScorerName = "lab-verifier", source: Worker | None = None) -> None:
        self.name: str = name
        self._worker = source or worker(name)

    @classmethod
    def from_settings(cls, name: str, table: Mapping[str, Any]) -> "LabPrm":
        """From a table of `steproute.toml`: the fields of LabScorerSettings. Raises ConfigError."""
        return cls(settings_of(table, LabScorerSettings).name)

    def most_usage(self, prefix: Prefix) -> Usage:
        """All tokens of the prefix; see `core.usage_bounds`."""
        return _all_read(self._worker, prefix)

    async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
        """The network's probability after each step, (step,)."""
        began = time.monotonic()
        tokens, outputs, usage = await _read(self._worker, prefix, prefix.session, meter)
        ends = _ends(self._worker, tokens, prefix)
        values = logistic(outputs[ends[1:], 0].astype(np.float64))
        return Scores(values=tuple(values.tolist()), model=self.name, usage=usage, latency_s=time.monotonic() - began)


class LabLikelihood:
    """A lab language model that reads the steps of another one: the probability of each step's least likely token.

    Stands in for a language model that is asked for a grade, which the lab's models cannot give. Raises ScorerError for
    text outside the lab's language.
    """

    only_reads: ClassVar[str] = "lab"

    def __init__(self, name: LabName, source: Worker | None = None) -> None:
        self.name = f"{name}-likelihood"
        self._worker = source or worker(name)

    def most_usage(self, prefix: Prefix) -> Usage:
        """All tokens of the prefix; see `core.usage_bounds`."""
        return _all_read(self._worker, prefix)

    async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
        """One probability per step, its closing separator not counted."""
        began = time.monotonic()
        tokens, outputs, usage = await _read(self._worker, prefix, f"{prefix.session}/{self.name}", meter)
        given = np.take_along_axis(log_softmax(outputs[:-1]), np.array(tokens[1:])[:, None], axis=1)[:, 0]
        ends = _ends(self._worker, tokens, prefix)
        values = tuple(float(np.exp(given[start : end - 1].min(initial=0.0))) for start, end in pairwise(ends))
        return Scores(values=values, model=self.name, usage=usage, latency_s=time.monotonic() - began)


async def _read(source: Worker, prefix: Prefix, session: str, meter: Meter | None) -> tuple[list[int], F32, Usage]:
    """Tokens of the problem and its steps, the network's outputs after each, (token, output), and what it took."""
    tokens = _judged(source, prefix)
    job = ReadJob(session=session, tokens=tokens, meter=meter or Meter())
    source.submit(job)
    outputs, usage = await job.result()
    return tokens, outputs, usage


def _ends(source: Worker, tokens: Sequence[int], prefix: Prefix) -> NDArray[np.int64]:
    """Where the separators are that close the problem and each step, (step + 1,). An answer of an environment has put
    further ones into its step."""
    closing: NDArray[np.int64] = np.flatnonzero(np.array(tokens) == source.network.tokenizer.separator)
    texts = (prefix.problem.text, *prefix.texts)
    ends: NDArray[np.int64] = closing[np.cumsum([text.count(SEPARATOR) + 1 for text in texts]) - 1]
    return ends


def _all_read(source: Worker, prefix: Prefix) -> Usage:
    return Usage(input_tokens=len(_judged(source, prefix)))


def _judged(source: Worker, prefix: Prefix) -> list[int]:
    """The prompt of a scorer."""
    try:
        return _prompt(source, prefix)
    except BackendError as failure:
        raise ScorerError(str(failure)) from None


def _prompt(source: Worker, prefix: Prefix, before: Sequence[str] = (), after: Sequence[str] = ()) -> list[int]:
    """Problem and steps between other texts, each closed by the separator."""
    if prefix.separator != SEPARATOR:
        raise ConfigError(
            f"{prefix.separator!r} is not the lab's. Its models end a step with a blank line.", where="separator"
        )
    tokenizer = source.network.tokenizer
    if (number := next((int(n) for n in _NUMBER.findall(prefix.problem.text) if int(n) > MAX_VALUE), None)) is not None:
        raise BackendError(
            f"lab problem: {number} is above {MAX_VALUE}, the greatest number that the lab's models know."
        )
    try:
        parts = [tokenizer.encode(text) for text in (*before, prefix.problem.text, *prefix.texts, *after)]
    except DatasetError as failure:
        raise BackendError(str(failure)) from None
    return [token for part in parts for token in (*part, tokenizer.separator)]


def _step_tokens(written: Written, separator: int) -> tuple[int, ...]:
    """Output tokens of each step, its closing separator included."""
    ends = [i + 1 for i, token in enumerate(written.tokens) if token == separator]
    if written.stop is not Stop.SEPARATOR:
        ends.append(len(written.tokens))
    return tuple(end - start for start, end in zip([0, *ends], ends, strict=False))
