"""Token counts of one request, by the names of all servers, and what each token is billed as."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from steproute.backends.http.json_fields import table, whole_number
from steproute.core.usage import Usage

_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "prompt": ("prompt_tokens", "promptTokenCount"),
    "uncached": ("input_tokens", "inputTokens", "inputTokenCount"),
    "completion": (
        "completion_tokens",
        "output_tokens",
        "outputTokens",
        "outputTokenCount",
        "candidatesTokenCount",
    ),
    "total": ("total_tokens", "totalTokens", "totalTokenCount"),
    "read": (
        "cached_tokens",
        "cache_read_tokens",
        "prompt_cache_hit_tokens",
        "cachedContentTokenCount",
        "cached_prompt_tokens",
    ),
    "read_beside": ("cache_read_input_tokens", "cacheReadInputTokens", "cacheReadInputTokenCount"),
    "missed": ("prompt_cache_miss_tokens",),
    "written": ("cache_write_tokens", "cache_creation_tokens", "cache_write_input_tokens"),
    "written_beside": (
        "cache_creation_input_tokens",
        "cacheWriteInputTokens",
        "cacheWriteInputTokenCount",
        "cacheCreationInputTokens",
    ),
    "by_lifetime": ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"),
    "reasoning": ("reasoning_tokens", "thinking_tokens", "thoughtsTokenCount"),
}
"""Fields of a usage object. `uncached` may hold cached tokens all the same, unless their count is named as `beside`."""
_FOR_AN_HOUR: Final = "ephemeral_1h_input_tokens"
_COUNTED_AS: Final = {name: count for count, names in _NAMES.items() for name in names}
_DETAILS: Final = frozenset(
    {
        "prompt_tokens_details",
        "input_tokens_details",
        "input_token_details",
        "completion_tokens_details",
        "output_tokens_details",
        "output_token_details",
        "cache_creation",
    }
)
_IMPOSSIBLE: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCounts:
    """Counts as a server reports them, None for those that it does not.

    cached_apart: whether cached tokens have the names of Anthropic's and Amazon's APIs, whose count of the prompt does
    not hold them. beside: whether that count has those APIs' name, too.
    """

    prompt: int | None = None
    completion: int | None = None
    total: int | None = None
    read: int | None = None
    missed: int | None = None
    written: int | None = None
    written_1h: int | None = None
    reasoning: int | None = None
    beside: bool = False
    cached_apart: bool = False

    @classmethod
    def of(cls, usage: Mapping[str, object]) -> "TokenCounts":
        """From a `usage` object of any server; a count that is null or no whole number is absent."""
        counts = _counts_in(usage)
        ours = "prompt" not in counts
        apart = not counts.keys().isdisjoint(("read_beside", "written_beside"))
        read, written = _either(counts, "read", "read_beside"), _either(counts, "written", "written_beside")
        return cls(
            prompt=counts.get("uncached" if ours else "prompt"),
            completion=counts.get("completion"),
            total=counts.get("total"),
            read=read,
            missed=counts.get("missed"),
            written=counts.get("by_lifetime") if written is None else written,
            written_1h=counts.get("written_1h"),
            reasoning=counts.get("reasoning"),
            beside=ours and "uncached" in counts and apart,
            cached_apart=apart,
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
        return TokenCounts(
            prompt=_later(self.prompt, later.prompt),
            completion=_later(self.completion, later.completion),
            total=_later(self.total, later.total),
            read=_later(self.read, later.read),
            missed=_later(self.missed, later.missed),
            written=_later(self.written, later.written),
            written_1h=_later(self.written_1h, later.written_1h),
            reasoning=_later(self.reasoning, later.reasoning),
            beside=self.beside or later.beside,
            cached_apart=self.cached_apart or later.cached_apart,
        )

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
        used = Usage(
            input_tokens=max(0, within),
            cache_read_tokens=read,
            cache_write_tokens=written,
            cache_write_1h_tokens=min(written, max(0, self.written_1h or 0)),
        )
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
        if beyond == reasoning > (self.completion or 0 if self.cached_apart else 0):
            return 0
        beside = (
            cached for cached in (read + written, read, written) if cached and beyond in (cached, cached + reasoning)
        )
        return next(beside, 0)


def _counts_in(usage: Mapping[str, object]) -> dict[str, int]:
    """Each count by the key of `_NAMES`; if several names hold one, as with gateways, the one that is not 0.

    A negative one makes all impossible.
    """
    counts: dict[str, int] = {}
    for name, held in usage.items():
        if name in _DETAILS and held:
            for inner, count in _counts_in(table(held)).items():
                counts[inner] = _both(counts.get(inner), count)
        elif name in _COUNTED_AS and (value := whole_number(held)) is not None:
            key = _COUNTED_AS[name]
            if name == _FOR_AN_HOUR:
                counts["written_1h"] = value
            lives_on = key == "by_lifetime" and key in counts
            counts[key] = counts[key] + value if lives_on else _both(counts.get(key), value)
    return counts


def _either(counts: Mapping[str, int], name: str, other: str) -> int | None:
    if name in counts and other in counts:
        return _both(counts[name], counts[other])
    return counts.get(name, counts.get(other))


def _both(count: int | None, other: int) -> int:
    if count is None or other < 0:
        return other
    return count if count < 0 else max(count, other)


def _later(old: int | None, new: int | None) -> int | None:
    return new or (new if old is None else old)
