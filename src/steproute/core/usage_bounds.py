"""Upper bounds of what one call can use, known before it is made."""

from collections.abc import Iterable
from typing import Final

from steproute.core.ports import BoundedModel, BoundedScorer, StepModel, StepScorer
from steproute.core.problem import attachments_of
from steproute.core.solution import Prefix, Sampling
from steproute.core.usage import Usage

TEMPLATE_TOKENS: Final = 1024
"""Room for what a chat template and a continuation mode put around the texts of a request."""
_ATTACHMENT_TOKENS: Final = 20_000
"""Room for an image or another part that is no text: above the most that a current model makes of one image."""


def most_written(model: StepModel, prefix: Prefix, n: int, sampling: Sampling) -> Usage:
    """The most that `propose` can use, all input as uncached tokens.

    A BoundedModel knows it better. Otherwise the input is at most one token per
    UTF-8 byte of problem and steps, since no token of a byte-level vocabulary is shorter, and TEMPLATE_TOKENS.
    """
    if isinstance(model, BoundedModel):
        return model.most_usage(prefix, n, sampling)
    return Usage(input_tokens=n * most_read(prefix), output_tokens=n * sampling.max_tokens)


def most_scored(scorer: StepScorer, prefix: Prefix) -> Usage:
    """The most that `score`, or `score_newest`, can use, all input as uncached tokens.

    A BoundedScorer knows it better. Otherwise it reads the texts once and writes nothing.
    """
    if isinstance(scorer, BoundedScorer):
        return scorer.most_usage(prefix)
    return Usage(input_tokens=most_read(prefix))


def most_read(prefix: Prefix, *further: str) -> int:
    """Tokens of a request that quotes problem, steps and `further` texts once, at most."""
    steps = (step.text + prefix.separator for step in prefix.steps)
    attached = sum(map(attachments_of, prefix.problem.messages)) * _ATTACHMENT_TOKENS
    advice = prefix.advice.example, *prefix.advice.plans
    return byte_count([prefix.problem.canonical, *advice, *steps, *further]) + attached + TEMPLATE_TOKENS


def byte_count(texts: Iterable[str]) -> int:
    """UTF-8 bytes of the texts, those of half a character included."""
    return sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
