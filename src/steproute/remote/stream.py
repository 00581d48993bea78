"""Server-sent events out of a body that comes in pieces, and what OpenAI-compatible servers say in them."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from math import inf
from typing import Literal, TypeVar

import msgspec

from steproute.core.usage import Usage

Kind = Literal["vllm", "sglang", "llama.cpp", "llama-cpp-python", "ollama", "openai"]
"""Which server it is, since each has words of its own for some fields."""

_T = TypeVar("_T")


class _Cached(msgspec.Struct):
    cached_tokens: int | None = None


class _Reasoned(msgspec.Struct):
    reasoning_tokens: int | None = None


class ReportedUsage(msgspec.Struct):
    """Token counts of a whole request so far."""

    prompt_tokens: int = 0
    completion_tokens: int | None = 0
    total_tokens: int | None = 0
    prompt_tokens_details: _Cached | None = None
    completion_tokens_details: _Reasoned | None = None

    @property
    def usage(self) -> Usage:
        """The counts in our words. Some servers count thoughts beside the completion, in the total or nowhere else."""
        cached = (self.prompt_tokens_details or _Cached()).cached_tokens or 0
        thoughts = (self.completion_tokens_details or _Reasoned()).reasoning_tokens or 0
        written = self.completion_tokens or 0
        if written >= 0:
            written = max(written, (self.total_tokens or 0) - self.prompt_tokens)
        return Usage(
            input_tokens=max(0, self.prompt_tokens - cached),
            cache_read_tokens=cached,
            output_tokens=written + thoughts if thoughts > written else written,
            reasoning_tokens=thoughts,
        )

    @property
    def sound(self) -> bool:
        """Whether these can be counts of a request that has read something."""
        used = self.usage
        return self.prompt_tokens > 0 and min(used.cache_read_tokens, used.output_tokens, used.reasoning_tokens) >= 0


class _Alternative(msgspec.Struct):
    logprob: float
    token: str = ""


class _ChatToken(msgspec.Struct):
    logprob: float
    top_logprobs: list[_Alternative] = []


class Logprobs(msgspec.Struct):
    """Log-probabilities of a chunk's tokens in either API's form."""

    token_logprobs: list[float | None] | None = None
    top_logprobs: list[dict[str, float] | None] | None = None
    content: list[_ChatToken] | None = None

    @property
    def values(self) -> list[float]:
        """One a token; that of a first token without one is 0."""
        if self.content is not None:
            return [token.logprob for token in self.content]
        return [value or 0.0 for value in self.token_logprobs or ()]

    @property
    def first_alternatives(self) -> list[float]:
        """The most likely first tokens' log-probabilities."""
        if self.content:
            return [each.logprob for each in self.content[0].top_logprobs]
        return list(((self.top_logprobs or [None])[0] or {}).values())

    @property
    def first_tokens(self) -> list[tuple[str, float]]:
        """The most likely first tokens and their log-probabilities, as the chat API gives them."""
        return [(each.token, each.logprob) for each in self.content[0].top_logprobs] if self.content else []


class _Message(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class Choice(msgspec.Struct):
    """A piece of one of the answers."""

    index: int = 0
    text: str | None = None
    delta: _Message | None = None
    message: _Message | None = None
    finish_reason: str | None = None
    stop_reason: int | str | None = None
    matched_stop: int | str | None = None
    logprobs: Logprobs | None = None

    @property
    def finish(self) -> str:
        """Why the answer ended, in lower case; empty while it goes on."""
        return (self.finish_reason or "").lower()

    @property
    def piece(self) -> str:
        """The new text."""
        return self.text or (self.delta or self.message or _Message()).content or ""

    @property
    def thought(self) -> str:
        """The new text of a reasoning model's thoughts, where the server keeps them apart."""
        message = self.delta or self.message or _Message()
        return message.reasoning_content or message.reasoning or ""


class Chunk(msgspec.Struct):
    """One event, or a whole answer that was not streamed."""

    id: str = ""
    choices: list[Choice] = []
    usage: ReportedUsage | None = None
    error: object = None


_chunk: "msgspec.json.Decoder[Chunk]" = msgspec.json.Decoder(Chunk)


def most_tokens(request: Mapping[str, object]) -> float:
    """How many tokens the fields of a request let an answer have."""
    limits = (request.get(name) for name in ("max_tokens", "max_completion_tokens"))
    return max((limit for limit in limits if isinstance(limit, int)), default=inf)


def chunks(pieces: AsyncIterator[bytes]) -> AsyncGenerator[Chunk, None]:
    """The chunks of a body that comes in pieces; see `events`."""
    return events(pieces, _chunk.decode)


async def events(pieces: AsyncIterator[bytes], decode: Callable[[bytes], _T]) -> AsyncGenerator[_T, None]:
    """What `decode` makes of the data of a body that comes in pieces, events or one JSON document.

    Raises msgspec.DecodeError where it is damaged; whether it is complete is for the caller to see.
    """
    rest = b""
    async for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if (data := _data(line)) is not None:
                yield decode(data)
    if rest.strip() and (data := _data(rest)) is not None:
        yield decode(data)


def _data(line: bytes) -> bytes | None:
    """What an event's line holds; None for comments, names, blank lines and the end mark."""
    line = line.strip()
    if line.startswith(b"data:"):
        line = line[5:].strip()
    elif not line.startswith((b"{", b"[")):
        return None
    return line if line and line != b"[DONE]" else None
