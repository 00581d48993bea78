"""A process reward model behind vLLM's pooling endpoint."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from steproute.backends.http.connection import Connection
from steproute.backends.http.server import Server
from steproute.core.errors import ScorerError
from steproute.core.recording import estimated_tokens
from steproute.core.settings import settings_of
from steproute.core.solution import Meter, Prefix, Scores
from steproute.core.usage import Usage
from steproute.scorers.step_text import QWEN_MARKER, QWEN_PRM, StepText


class _Pooled(msgspec.Struct):
    data: list[list[float]]


class _Counts(msgspec.Struct):
    prompt_tokens: int = 0


class _Answer(msgspec.Struct):
    data: list[_Pooled] = []
    usage: _Counts | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolingSettings(StepText):
    """The server, its model and what the model reads, by default as Qwen2.5-Math-PRM does. Raises ConfigError."""

    model: str
    server: Server
    text: str = QWEN_PRM
    marker: str = QWEN_MARKER


class VllmPoolingScorer:
    """A StepScorer: one [p_bad, p_good] pair a marker, of which p_good is the step's score."""

    def __init__(self, name: str, settings: PoolingSettings) -> None:
        self.name, self.settings = name, settings
        self.connection = Connection(name, settings.server)

    @classmethod
    def from_settings(cls, name: str, table: Mapping[str, Any]) -> "VllmPoolingScorer":
        """From a table of `steproute.toml`: the fields of PoolingSettings and Server. Raises ConfigError."""
        return cls(name, settings_of(table, PoolingSettings))

    def most_usage(self, prefix: Prefix) -> Usage:
        """One reading of its text; see `core.usage_bounds`."""
        return self.settings.most_usage(prefix)

    async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
        """One score per step.

        Raises ScorerError if the answer does not hold one sound pair for each step, BackendError if there is
        none.
        """
        settings, meter, began = self.settings, meter or Meter(), time.monotonic()
        text = settings.written(prefix)
        asked = {"model": settings.model, "input": text}
        meter.usage = Usage(input_tokens=estimated_tokens(text), estimated=True)
        answer = await self.connection.post("/pooling", asked, _Answer, unpaid=meter.clear)
        if answer.usage is not None and answer.usage.prompt_tokens > 0:
            meter.usage = Usage(input_tokens=answer.usage.prompt_tokens)
        pairs = answer.data[0].data if answer.data else []
        if len(pairs) != len(prefix.steps):
            raise ScorerError(
                f"{len(pairs)} pairs for {len(prefix.steps)} steps.",
                where=self.name,
                remedy="Set marker to the step tag that the server was started with (--pooler-config step_tag_id). "
                f"Is {settings.marker!r} in the problem's text?",
            )
        for pair in pairs:
            if len(pair) != 2 or not all(0 <= share <= 1 for share in pair):
                raise ScorerError(
                    f"{pair} is no pair of probabilities.",
                    where=self.name,
                    remedy=f"Is {settings.model} a process reward model with two classes, and does the server's "
                    "pooling end in a softmax?",
                )
        return Scores(
            values=tuple(pair[1] for pair in pairs),
            model=self.name,
            usage=meter.usage,
            latency_s=time.monotonic() - began,
        )
