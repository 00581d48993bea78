"""A process reward model behind vLLM's pooling endpoint."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from steproute.core.errors import ConfigError, ScorerError
from steproute.core.settings import settings_of
from steproute.core.solution import Meter, Prefix, Scores
from steproute.core.usage import Usage
from steproute.remote.connection import Connection, Server

QWEN_PRM: Final = (
    "<|im_start|>system\nPlease reason step by step, and put your final answer within \\boxed{}.<|im_end|>\n"
    "<|im_start|>user\n{problem}<|im_end|>\n<|im_start|>assistant\n{steps}<|im_end|><|endoftext|>"
)


class _Pooled(msgspec.Struct):
    data: list[list[float]]


class _Counts(msgspec.Struct):
    prompt_tokens: int = 0


class _Answer(msgspec.Struct):
    data: list[_Pooled] = []
    usage: _Counts | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolingSettings:
    """text: what the model reads, with {problem} and {steps}; each step is closed by `marker`, where it is judged.

    The defaults are those of Qwen2.5-Math-PRM. Raises ConfigError for a text that lacks one of the two.
    """

    model: str
    server: Server
    text: str = QWEN_PRM
    marker: str = "<extra_0>"

    def __post_init__(self) -> None:
        for part in ("{problem}", "{steps}"):
            if part not in self.text:
                raise ConfigError(f"text: {self.text[:60]!r} lacks {part}. Put it where the model shall read it.")
        if not self.marker:
            raise ConfigError("marker: is empty. Give the token after which the model judges a step.")


class VllmPoolingScorer:
    """A StepScorer: one [p_bad, p_good] pair a marker, of which p_good is the step's score."""

    def __init__(self, name: str, settings: PoolingSettings) -> None:
        self.name, self.settings = name, settings
        self.connection = Connection(name, settings.server)

    @classmethod
    def configured(cls, name: str, table: Mapping[str, Any]) -> "VllmPoolingScorer":
        """From a table of `steproute.toml`: the fields of PoolingSettings and Server. Raises ConfigError."""
        return cls(name, settings_of(table, PoolingSettings))

    async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
        """One score a step.

        Raises ScorerError where the answer does not hold one sound pair for each step, BackendError where there is
        none.
        """
        settings, began = self.settings, time.monotonic()
        steps = "".join(step.text + settings.marker for step in prefix.steps)
        text = settings.text.replace("{problem}", prefix.problem.text).replace("{steps}", steps)
        answer = await self.connection.post("/pooling", {"model": settings.model, "input": text}, _Answer)
        pairs = answer.data[0].data if answer.data else []
        if len(pairs) != len(prefix.steps) or not all(len(p) == 2 and 0 <= p[1] <= 1 for p in pairs):
            raise ScorerError(
                f"{self.name}: {len(pairs)} pairs for {len(prefix.steps)} steps. Is the server's step_tag_id that of "
                f"{settings.marker!r}, and is {settings.marker!r} in no step's text?"
            )
        tokens = answer.usage.prompt_tokens if answer.usage else 0
        usage = Usage(input_tokens=tokens or -(-len(text) // 4), estimated=not tokens)
        return Scores(
            values=tuple(pair[1] for pair in pairs), model=self.name, usage=usage, latency_s=time.monotonic() - began
        )
