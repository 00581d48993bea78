"""Upper bounds of what one call can use, known before it is made."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from steproute.core.chat_images import data_of, is_image, most_image_tokens, parts_of
from steproute.core.ports import (
    CAPABILITIES,
    BoundedModel,
    BoundedScorer,
    NewestStepScorer,
    StepModel,
    StepScorer,
)
from steproute.core.problem import Message, attachments_of
from steproute.core.solution import Prefix, Sampling
from steproute.core.usage import Usage

TEMPLATE_TOKENS: Final = 1024
"""Room for what a chat template and a continuation mode put around the texts of a request."""
_ATTACHMENT_TOKENS: Final = 20_000
"""Room for a part that is no text and no image, beside its bytes. It is no bound: a short file may have many pages."""


def most_written(model: StepModel, prefix: Prefix, n: int, sampling: Sampling) -> Usage:
    """The most that `propose` can use, all input as uncached tokens.

    A BoundedModel knows it better. Otherwise the input is at most one token per
    UTF-8 byte of problem and steps, since no token of a byte-level vocabulary is shorter, and TEMPLATE_TOKENS.
    """
    if isinstance(model, BoundedModel):
        most = model.most_usage(prefix, n, sampling)
    else:
        most = Usage(input_tokens=n * most_read(prefix), output_tokens=n * sampling.max_tokens)
    asks = not prefix.problem.is_plain and asks_for_an_hour(prefix.problem.canonical)
    return written_for_an_hour(most) if asks or CAPABILITIES.of(model).hour_writes else most


def asks_for_an_hour(request: str) -> bool:
    """Whether a request, or a part of it, as JSON may have a cache keep its prompt for an hour, which costs more."""
    return '"1h"' in request


def written_for_an_hour(most: Usage) -> Usage:
    """The same usage with all input written to a cache for an hour."""
    read = most.read_tokens
    return replace(most, input_tokens=0, cache_read_tokens=0, cache_write_tokens=read, cache_write_1h_tokens=read)


def most_scored(scorer: StepScorer, prefix: Prefix) -> Usage:
    """The most that `score`, or `score_newest`, can use, all input as uncached tokens.

    A BoundedScorer knows it better. Otherwise it reads the texts once and writes nothing.
    """
    if isinstance(scorer, BoundedScorer):
        return scorer.most_usage(prefix)
    return Usage(input_tokens=most_read(prefix))


def readings(scorer: StepScorer, prefix: Prefix) -> list[Prefix]:
    """What `score` may read: the prefix once, or each step's own prefix if the scorer judges each by a call."""
    if not (isinstance(scorer, NewestStepScorer) and scorer.judges_newest_alone):
        return [prefix]
    return [replace(prefix, steps=prefix.steps[:count]) for count in range(1, len(prefix.steps) + 1)]


def most_read(prefix: Prefix, *further: str) -> int:
    """Tokens of a request that quotes problem, steps and `further` texts once, at most.

    An image counts by its size in pixels (`core.chat_images`), not by its bytes.
    """
    steps = (step.text + prefix.separator for step in prefix.steps)
    attached = sum(_attached(message) for message in prefix.problem.messages)
    return byte_count([prefix.problem.canonical, *prefix.advice.texts, *steps, *further]) + attached + TEMPLATE_TOKENS


def _attached(message: Message) -> int:
    """What a message's images and other parts come to, less the bytes of the images' data."""
    images = [part for _, part in parts_of(message) if is_image(part)]
    others = attachments_of(message) - len(images)
    return sum(most_image_tokens(each) - len(data_of(each)) for each in images) + others * _ATTACHMENT_TOKENS


def byte_count(texts: Iterable[str]) -> int:
    """UTF-8 bytes of the texts, those of half a character included."""
    return sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
