"""A process reward model in this process, by PyTorch and transformers."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any, Final, Literal

from steproute.core.errors import ConfigError
from steproute.core.settings import settings_of
from steproute.core.solution import Meter, Prefix, Scores
from steproute.core.usage import Usage
from steproute.scorers.prm_batches import PrmWorker
from steproute.scorers.step_text import QWEN_MARKER, QWEN_PRM, StepText

Head = Literal["qwen-prm", "skywork", "marker-token", "router"]
_TEXTS: Final[Mapping[Head, StepText]] = {
    "qwen-prm": StepText(text=QWEN_PRM, marker=QWEN_MARKER),
    "skywork": StepText(text="{problem}\n{steps}", marker="\n"),
    "router": StepText(text="{problem}\n{steps}", marker="\n"),
    "marker-token": StepText(text="{problem} {steps}", marker=" ки", between="\n"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformersPrmSettings(StepText):
    """model: a local folder or the id of a repository on the Hugging Face hub, with weights as safetensors. Code that
    comes with a model is never run.

    head: what makes a score of the hidden state at a step's marker. `qwen-prm`: two layers and a softmax over
    (bad, good), as Qwen2.5-Math-PRM. `skywork`: a value head and a sigmoid, as Skywork-o1-Open-PRM, where each line of
    a step is closed by the marker and the last one's score counts. `marker-token`: a softmax over the logits of the
    tokens `good` and `bad`, as Math-Shepherd. `router`: Arbitrage's text router, a softmax over two labels, of which
    the second says that the strong model would write a better step; the score is the probability of the first. Each
    step begins with a tag of its author, `Model 0: ` for the weak model and `Model 1: ` for another.
    text, marker, between: what it reads; if left out, as the head's model was trained.
    max_batch_tokens: of one forward pass, padding included; a longer text is a batch of its own. Where left out, 16384
    on an accelerator and 1024 on a CPU, whose caches hold no more.

    Raises ConfigError for what StepText refuses, for batches below a token, and without its packages.
    """

    model: str
    head: Head = "qwen-prm"
    text: str = ""
    marker: str = ""
    good: str = "+"
    bad: str = "-"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: str = "auto"
    max_batch_tokens: int | None = None

    def __post_init__(self) -> None:
        own = _TEXTS[self.head]
        if not self.marker and not self.between:
            object.__setattr__(self, "between", own.between)
        object.__setattr__(self, "text", self.text or own.text)
        object.__setattr__(self, "marker", self.marker or own.marker)
        StepText.__post_init__(self)
        if self.max_batch_tokens is not None and self.max_batch_tokens < 1:
            raise ConfigError(f"{self.max_batch_tokens} is below 1.", where="max_batch_tokens")
        for package in ("torch", "transformers"):
            if find_spec(package) is None:
                raise ConfigError(f"transformers-prm needs {package}.", remedy="Run: pip install 'steproute[prm]'.")


class TransformersPrm:
    """A StepScorer. All that have the same settings share one model, loaded with the first call, and its batches."""

    def __init__(self, name: str, settings: TransformersPrmSettings) -> None:
        self.name, self.settings = name, settings
        self._worker = _worker(settings)

    @classmethod
    def from_settings(cls, name: str, table: Mapping[str, Any]) -> "TransformersPrm":
        """From a table of `steproute.toml`: the fields of TransformersPrmSettings. Raises ConfigError."""
        return cls(name, settings_of(table, TransformersPrmSettings))

    @property
    def reads_authors(self) -> bool:
        """Whether its head is that of a router, which reads tags of the authors."""
        return self.settings.head == "router"

    def most_usage(self, prefix: Prefix) -> Usage:
        """One reading of its text; see `core.usage_bounds`."""
        return self.settings.most_usage(prefix)

    async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
        """One score per step.

        Raises ScorerError if the text does not fit or its markers are not one per step, ConfigError for a model that
        cannot be loaded or has another head.
        """
        meter, began = meter or Meter(), time.monotonic()
        values = await self._worker.scores(prefix, meter)
        return Scores(values=values, model=self.name, usage=meter.usage, latency_s=time.monotonic() - began)


@cache
def _worker(settings: TransformersPrmSettings) -> PrmWorker:
    from steproute.scorers.prm_network import load

    return PrmWorker(lambda: load(settings))
