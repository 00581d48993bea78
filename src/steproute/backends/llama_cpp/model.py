"""A step model in this process: a GGUF file, computed by llama.cpp in a thread of its own."""

import asyncio
import codecs
import time
from bisect import bisect_left
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, Literal

import numpy as np

from steproute.backends.draw import draw, log_softmax
from steproute.backends.llama_cpp.gguf import Call, Chunks, Gguf, Interrupted
from steproute.backends.prompts import instructed_by, plain_question, question, tools_of
from steproute.backends.reasoning import Thinking, opens_reasoning, with_reasoning_closed
from steproute.backends.step_cutter import StepCutter
from steproute.core.errors import ConfigError, ContextOverflow
from steproute.core.ports import ModelCapabilities
from steproute.core.settings import settings_of
from steproute.core.solution import Draft, Meter, Prefix, Sampling, Stop
from steproute.core.splitting import step_spans
from steproute.core.usage import Usage
from steproute.core.usage_bounds import most_read


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaCppSettings:
    """How to run one GGUF file.

    path: the file. n_ctx: tokens of the context. threads: 0 for half of the processor's, so that weak and strong
    can compute at the same time. gpu_layers: how many layers a build with a GPU puts there, -1 for all. template:
    the prompt is rendered by the file's chat template, or with `none` is the bare problem. thinking: reasoning is
    kept as steps, hidden (and paid for), or switched off by the template. sessions: how many problems' caches are
    kept, each as large as what was read of the problem.

    Raises ConfigError for numbers that cannot be.
    """

    path: str
    n_ctx: int = 4096
    threads: int = 0
    gpu_layers: int = 0
    template: Literal["gguf", "none"] = "gguf"
    instructions: str | None = None
    thinking: Thinking = "keep"
    sessions: int = 32

    def __post_init__(self) -> None:
        for name, least in (("n_ctx", 1), ("threads", 0), ("gpu_layers", -1), ("sessions", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"{getattr(self, name)} is below {least}.", where=name)


class LlamaCppModel:
    """A StepModel over a GGUF file. Calls queue for its one thread; a draft depends on prefix, sampling and nothing
    that ran before. All token counts are exact; a draft's latency begins with its turn."""

    def __init__(self, name: str, settings: LlamaCppSettings) -> None:
        self.name, self.settings = name, settings
        self._gguf = Gguf(
            settings.path,
            n_ctx=settings.n_ctx,
            threads=settings.threads,
            gpu_layers=settings.gpu_layers,
            sessions=settings.sessions,
        )
        self._template = self._gguf.template if settings.template == "gguf" else None
        if settings.template == "gguf" and self._template is None:
            raise ConfigError(
                f"{settings.path} holds no chat template.", where="template", remedy="Set template to 'none'."
            )
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"steproute-llama-{name}")

    @classmethod
    def from_settings(cls, name: str, table: Mapping[str, Any]) -> "LlamaCppModel":
        """From a table of `steproute.toml`: the fields of LlamaCppSettings. Raises ConfigError."""
        return cls(name, settings_of(table, LlamaCppSettings))

    @property
    def capabilities(self) -> ModelCapabilities:
        """As its settings say."""
        settings = self.settings
        return ModelCapabilities(tools=settings.template != "none", hides_reasoning=settings.thinking == "hide")

    def most_usage(self, prefix: Prefix, n: int, sampling: Sampling) -> Usage:
        """No more than the context holds; see `core.usage_bounds`."""
        context = self.settings.n_ctx
        read = min(context, most_read(prefix, instructed_by(prefix, self.settings.instructions)))
        return Usage(input_tokens=n * read, output_tokens=n * min(context, sampling.max_tokens))

    async def propose(
        self, prefix: Prefix, n: int = 1, sampling: Sampling = Sampling(), meter: Meter | None = None
    ) -> list[Draft]:
        """`n` drafts, one after the other. Raises ContextOverflow, BackendError; see StepModel.propose.

        A cancelled call first lets the thread put it down, so that the meter is final: within a token, or a batch of
        the prompt.
        """
        call = Call(meter or Meter())
        future = self._thread.submit(self._write, call, prefix, n, sampling)
        done = asyncio.wrap_future(future)
        try:
            return await asyncio.shield(done)
        except asyncio.CancelledError:
            call.cancelled = True
            if not future.cancel():
                await asyncio.gather(done, return_exceptions=True)
            raise

    def _write(self, call: Call, prefix: Prefix, n: int, sampling: Sampling) -> list[Draft]:
        prompt = self._prompt(prefix)
        chunks = self._gguf.chunks([prompt, *(step.text + prefix.separator for step in prefix.steps)])
        length = sum(map(len, chunks))
        if length >= self._gguf.n_ctx:
            raise ContextOverflow(
                f"{self.name}: {length} tokens leave no room in a context of {self._gguf.n_ctx}. Raise n_ctx."
            )
        try:
            begins_in_reasoning = opens_reasoning(prompt)
            return [
                _Writing(self, call, prefix, chunks, sampling, index, begins_in_reasoning).draft() for index in range(n)
            ]
        except Interrupted:
            return []

    def _prompt(self, prefix: Prefix) -> str:
        if self._template is None:
            return plain_question(prefix, self.name) + prefix.separator
        off = {"enable_thinking": False} if self.settings.thinking == "off" else {}
        messages = question(prefix, self.settings.instructions)
        prompt = self._template.prompt(messages, **tools_of(prefix), **off)
        return with_reasoning_closed(prompt, self.settings.thinking, bool(prefix.steps))


class _Writing:
    """A draft while it is written."""

    def __init__(
        self,
        model: LlamaCppModel,
        call: Call,
        prefix: Prefix,
        chunks: Chunks,
        sampling: Sampling,
        index: int,
        begins_in_reasoning: bool | None,
    ) -> None:
        self._model, self._call, self._sampling, self._prefix = model, call, sampling, prefix
        self._began, self._gguf, call.draft = time.monotonic(), model._gguf, Usage()
        self._room = self._gguf.n_ctx - sum(map(len, chunks))
        self._logits = self._gguf.read(call, prefix.session, chunks)
        self._rng = np.random.default_rng([sampling.seed, index])
        self._cutter = StepCutter(
            prefix.separator,
            to_end=sampling.stop is None,
            hide_reasoning=model.settings.thinking != "keep",
            begins_in_reasoning=begins_in_reasoning,
        )
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._logprobs: list[float] = []
        self._pieces: list[str] = []

    def draft(self) -> Draft:
        """Write to the separator, the end, the token limit or the end of the context. Raises Interrupted."""
        distribution = log_softmax(self._logits)
        entropy = -float(np.exp(distribution) @ distribution)
        while True:
            token = draw(self._logits, self._sampling, self._rng.random())
            self._call.use(Usage(output_tokens=1))
            self._logprobs.append(float(distribution[token]))
            if (stop := self._stop(token)) is not None:
                break
            self._logits = self._gguf.compute(self._call, [token])
            distribution = log_softmax(self._logits)
        return Draft(
            model=self._model.name,
            text=self._cutter.text,
            stop=stop,
            usage=self._call.draft,
            step_tokens=self._step_tokens(),
            logprobs=tuple(self._logprobs),
            first_token_entropy=entropy,
            latency_s=time.monotonic() - self._began,
        )

    def _stop(self, token: int) -> Stop | None:
        ended = self._gguf.ends(token)
        piece = self._decoder.decode(b"" if ended else self._gguf.piece(token), final=ended)
        self._pieces.append(piece)
        if self._cutter.feed(piece):
            return Stop.SEPARATOR
        if ended:
            return Stop.END
        if len(self._logprobs) >= self._sampling.max_tokens:
            return Stop.LENGTH
        return Stop.CONTEXT if len(self._logprobs) >= self._room else None

    def _step_tokens(self) -> tuple[int, ...] | None:
        """Tokens of each step; one that ends a step and begins the next belongs to the former."""
        if self._sampling.stop is not None:
            return (len(self._pieces),)
        if self._cutter.left_out:
            return None
        starts = list(accumulate(map(len, self._pieces[:-1]), initial=0))
        spans = step_spans("".join(self._pieces), self._prefix.separator)
        marks = [0, *(bisect_left(starts, begin) for begin, _ in spans[1:]), len(starts)]
        return tuple(after - before for before, after in pairwise(marks))
