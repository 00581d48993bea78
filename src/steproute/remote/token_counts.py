"""Token counts of one request, by the names of all servers, and what each token is billed as."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Final

from steproute.core.usage import Usage
from steproute.remote.json_fields import table, whole_number

_DETAILS_OF_PROMPT: Final = ("prompt_tokens_details", "input_tokens_details", "input_token_details")
_DETAILS_OF_COMPLETION: Final = ("completion_tokens_details", "output_tokens_details", "output_token_details")
_PROMPT: Final = ("prompt_tokens", "promptTokenCount")
_PROMPT_BESIDE_CACHE: Final = ("input_tokens", "inputTokens", "inputTokenCount")
_COMPLETION: Final = (
    "completion_tokens",
    "output_tokens",
    "outputTokens",
    "outputTokenCount",
    "candidatesTokenCount",
)
_TOTAL: Final = ("total_tokens", "totalTokens", "totalTokenCount")
_READ_BESIDE: Final = ("cache_read_input_tokens", "cacheReadInputTokens", "cacheReadInputTokenCount")
_READ: Final = (
    *_READ_BESIDE,
    "cached_tokens",
    "cache_read_tokens",
    "prompt_cache_hit_tokens",
    "cachedContentTokenCount",
    "cached_prompt_tokens",
)
_MISSED: Final = ("prompt_cache_miss_tokens",)
_WRITTEN_BESIDE: Final = (
    "cache_creation_input_tokens",
    "cacheWriteInputTokens",
    "cacheWriteInputTokenCount",
    "cacheCreationInputTokens",
)
_WRITTEN: Final = (*_WRITTEN_BESIDE, "cache_write_tokens", "cache_creation_tokens", "cache_write_input_tokens")
_IMPOSSIBLE: Final = 1_000_000_000
_REASONING: Final = ("reasoning_tokens", "thinking_tokens", "thoughtsTokenCount")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCounts:
    """Counts as a server reports them, None for those that it does not.

    beside: whether the names say that cached tokens are no part of `prompt`, as in Anthropic's and Amazon's APIs.
    """

    prompt: int | None = None
    completion: int | None = None
    total: int | None = None
    read: int | None = None
    missed: int | None = None
    written: int | None = None
    reasoning: int | None = None
    beside: bool = False

    @classmethod
    def of(cls, usage: Mapping[str, object]) -> "TokenCounts":
        """From a `usage` object of any server; a count that is null or no whole number is absent."""
        prompt = _first(usage, _PROMPT)
        ours = prompt is None and _first(usage, _PROMPT_BESIDE_CACHE) is not None
        beside = ours and _first(usage, (*_READ_BESIDE, *_WRITTEN_BESIDE)) is not None
        of_prompt = [usage, *(table(usage.get(name)) for name in _DETAILS_OF_PROMPT)]
        of_completion = [usage, *(table(usage.get(name)) for name in _DETAILS_OF_COMPLETION)]
        written = _greatest(of_prompt, _WRITTEN)
        return cls(
            prompt=_first(usage, _PROMPT_BESIDE_CACHE) if ours else prompt,
            completion=_first(usage, _COMPLETION),
            total=_first(usage, _TOTAL),
            read=_greatest(of_prompt, _READ),
            missed=_first(usage, _MISSED),
            written=_by_lifetime(usage) if written is None else written,
            reasoning=_greatest(of_completion, _REASONING),
            beside=beside,
        )

    @classmethod
    def of_timings(cls, timings: Mapping[str, object]) -> "TokenCounts":
        """From llama.cpp's `timings`, which count prompt tokens without those of its cache."""
        computed, cached = whole_number(timings.get("prompt_n")), whole_number(timings.get("cache_n"))
        return cls(
            prompt=None if computed is None else computed + (cached or 0),
            completion=whole_number(timings.get("predicted_n")),
            read=cached,
        )

    def updated(self, later: "TokenCounts") -> "TokenCounts":
        """With what a later chunk of the same answer reports; counts may be spread over chunks, with 0 for the rest."""
        pairs = {each.name: (getattr(self, each.name), getattr(later, each.name)) for each in fields(self)}
        return TokenCounts(**{name: new or (new if old is None else old) for name, (old, new) in pairs.items()})

    @property
    def possible(self) -> bool:
        """Whether none is negative or beyond what any model takes."""
        counts = (self.prompt, self.completion, self.read, self.missed, self.written, self.reasoning)
        return all(0 <= (count or 0) < _IMPOSSIBLE for count in counts)

    @property
    def input(self) -> Usage | None:
        """What the request read; None if the server did not say, or these can be no counts."""
        read, written = self.read or 0, self.written or 0
        within = self._prompt - (read + written - self._cached_beside)
        used = Usage(input_tokens=max(0, within), cache_read_tokens=read, cache_write_tokens=written)
        return used if self.possible and used.read_tokens > 0 else None

    @property
    def output(self) -> Usage | None:
        """What the request wrote; None if the server did not say, or these can be no counts.

        What the total holds beyond prompt, completion and cached tokens is reasoning.
        """
        if not self.possible or (self.completion is None and not (self.total and self._prompt)):
            return None
        further = max(0, self._beyond - self._cached_beside)
        if self.completion is None:
            return Usage(output_tokens=further, reasoning_tokens=min(self.reasoning or 0, further))
        reasoning = self.reasoning or 0
        wrote = self.completion + further
        if reasoning > wrote:  # counted beside the completion and in no total
            wrote += reasoning
        return Usage(output_tokens=wrote, reasoning_tokens=max(reasoning, further))

    @property
    def _prompt(self) -> int:
        if self.prompt is not None:
            return self.prompt
        if self.missed is not None:
            return self.missed + (self.read or 0)
        return max(0, (self.total or 0) - self.completion) if self.completion is not None else 0

    @property
    def _beyond(self) -> int:
        """What the total holds beyond prompt and completion."""
        return max(0, (self.total or 0) - self._prompt - (self.completion or 0))

    @property
    def _cached_beside(self) -> int:
        """How many cached tokens are no part of the prompt's count."""
        read, written, reasoning = self.read or 0, self.written or 0, self.reasoning or 0
        if self.beside or read + written > self._prompt:
            return read + written
        beyond = self._beyond
        if beyond == reasoning > (self.completion or 0):
            return 0
        beside = (
            cached for cached in (read + written, read, written) if cached and beyond in (cached, cached + reasoning)
        )
        return next(beside, 0)


def _found(usage: Mapping[str, object], names: tuple[str, ...]) -> Iterator[int]:
    for name in names:
        if name in usage and (count := whole_number(usage[name])) is not None:
            yield count


def _first(usage: Mapping[str, object], names: tuple[str, ...]) -> int | None:
    return next(_found(usage, names), None)


def _greatest(tables: list[Mapping[str, object]], names: tuple[str, ...]) -> int | None:
    """Several names of one count, some of which a gateway may leave at 0; a negative one makes all impossible."""
    counts = [count for each in tables for count in _found(each, names)]
    return min(counts) if any(count < 0 for count in counts) else max(counts, default=None)


def _by_lifetime(usage: Mapping[str, object]) -> int | None:
    """Tokens written to Anthropic's caches, by how long those live."""
    counts = [
        count for value in table(usage.get("cache_creation")).values() if (count := whole_number(value)) is not None
    ]
    return sum(counts) if counts else None
