"""TrigReason: two events in weak's own step call the strong model, without a scorer."""

import re
from dataclasses import dataclass
from math import log
from typing import ClassVar, Final

from steproute.core.decision import Accept, Decision, Rewrite
from steproute.core.errors import ConfigError
from steproute.core.observation import Observation
from steproute.core.ports import Reading
from steproute.policies.baselines.confidence import token_logprobs

SURE: Final = 1.05
"""A token is sure if its perplexity is below this. Source: TrigReason."""
HESITATIONS: Final = ("wait", "hmm", "alternatively", "hold on", "let me check", "not sure")
"""The published list is not known in full: the first three are from it, the others are our choice."""
_HESITATES: Final = re.compile(rf"\b(?:{'|'.join(HESITATIONS)})\b", re.IGNORECASE)
PATIENCE: Final = 2
"""Hesitating steps in a row that call for help; the published number is not known, this is our choice."""


@dataclass(frozen=True, slots=True)
class TrigReason:
    """Regenerate a step if more than `share` of its tokens are sure, or if it is the second in a row that hesitates.

    Source: TrigReason (arXiv 2604.14847, read in a detailed note): cognitive offload, share 0.85 for R1-1.5B and 0.75
    for Qwen3-0.6B, and intervention request. Its priming is the strategy `primed`. That sure steps are the incorrect
    ones is a finding about reasoning models; look at the sign on labelled steps of your own models first. Raises
    ConfigError for a share outside [0, 1], and for a draft of a backend that gives no log-probabilities.
    """

    share: float
    knobs: ClassVar[tuple[float, ...]] = (
        *(1.0, 0.99, 0.97, 0.95, 0.93, 0.9, 0.87, 0.85, 0.8, 0.75, 0.7),
        *(0.65, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0),
    )
    reads: ClassVar[frozenset[Reading]] = frozenset({"confidence"})
    takes_over: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ConfigError(f"{self.share} is outside [0, 1].", where="share", remedy="Give a share of tokens.")

    @classmethod
    def at(cls, knob: float, seed: int) -> "TrigReason":
        """The policy with its knob, the share, at `knob`."""
        return cls(knob)

    def decide(self, observation: Observation) -> Decision:
        """Regenerate an overconfident step, and one that hesitates as the step before it did."""
        overconfident = sure_share(token_logprobs(observation)) > self.share
        return Rewrite("strong") if overconfident or _hesitates(observation) else Accept()


def sure_share(logprobs: tuple[float, ...]) -> float:
    """The share of a step's tokens whose perplexity is below SURE."""
    return sum(-logprob < log(SURE) for logprob in logprobs) / len(logprobs)


def _hesitates(observation: Observation) -> bool:
    newest = [*(step.text for step in observation.prefix.written), observation.draft.text][-PATIENCE:]
    return len(newest) == PATIENCE and all(_HESITATES.search(text) for text in newest)
