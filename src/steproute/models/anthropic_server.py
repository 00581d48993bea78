"""Step models behind Anthropic's Messages API."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from steproute.core.errors import (
    BackendError,
    BackendUnavailable,
    ConfigError,
    ContextOverflow,
    ContinuationUnsupported,
    TooFewTokens,
)
from steproute.core.recording import estimated_tokens
from steproute.core.settings import settings_of
from steproute.core.solution import Draft, Meter, Prefix, Sampling, Stop
from steproute.core.together import together
from steproute.core.usage import Usage
from steproute.models.anthropic_prompt import conversation
from steproute.models.anthropic_stream import Event, decode_event
from steproute.models.instruct import instructed
from steproute.models.prompts import INSTRUCTIONS, Continuation, Message, half_answered
from steproute.models.step_cutter import StepCutter
from steproute.remote.anthropic_connection import AnthropicConnection
from steproute.remote.server import Server
from steproute.remote.stream import events

_CAN: Final = (Continuation.INSTRUCT, Continuation.PREFILL)
_LEAST_BUDGET: Final = 1024
_VERSION_THAT_SAMPLES: Final = {"anthropic-version": "2023-06-01"}


@dataclass(frozen=True, slots=True, kw_only=True)
class AnthropicSettings:
    """How to talk to one Claude model.

    continuation: `instruct`, or `prefill` where the model still takes one (before Claude 4.6). thinking: thoughts are
    switched off, or hidden and paid for: at most `thinking_budget` tokens of them (before Claude 4.7), or with 0 as
    many as the model sees fit. sampling_fields: which of the role's sampling settings are sent; Claude takes none from
    4.7 on, and from 4.1 on either temperature or top_p. extra: further fields of every request.

    Raises ContinuationUnsupported for other modes, ConfigError for settings that the API refuses together.
    """

    model: str
    server: Server
    continuation: Continuation = Continuation.INSTRUCT
    instructions: str = INSTRUCTIONS
    thinking: Literal["off", "hide"] = "off"
    thinking_budget: int = 0
    sampling_fields: tuple[Literal["temperature", "top_p", "top_k"], ...] = ()
    extra: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.continuation not in _CAN:
            raise ContinuationUnsupported(
                f"continuation: {self.continuation.value!r} is not offered by the Messages API. "
                f"Use {' or '.join(repr(mode.value) for mode in _CAN)}."
            )
        if self.thinking == "hide" and (self.continuation is Continuation.PREFILL or self.sampling_fields):
            raise ConfigError("thinking: 'hide' goes with neither prefill nor sampling_fields. Use 'off'.")
        if self.thinking_budget and (self.thinking == "off" or self.thinking_budget < _LEAST_BUDGET):
            raise ConfigError(
                f"thinking_budget: {self.thinking_budget} needs thinking = 'hide' and at least {_LEAST_BUDGET} tokens."
            )


class AnthropicModel:
    """A StepModel over the Messages API; every answer is streamed, so that a cancelled call is over at once.

    The API takes no blank line as a stop string, so the stream is closed at the separator; what was written by then is
    estimated, and marked so. An answer with thoughts is read to its end instead, since only there they are counted.
    """

    def __init__(self, name: str, settings: AnthropicSettings) -> None:
        self.name, self.settings = name, settings
        self.connection = AnthropicConnection(name, settings.server)

    @classmethod
    def configured(cls, name: str, table: Mapping[str, Any]) -> "AnthropicModel":
        """From a table of `steproute.toml`: the fields of AnthropicSettings and Server. Raises ConfigError."""
        return cls(name, settings_of(table, AnthropicSettings))

    async def propose(
        self, prefix: Prefix, n: int = 1, sampling: Sampling = Sampling(), meter: Meter | None = None
    ) -> list[Draft]:
        """`n` drafts in as many requests. Raises BackendError; see StepModel.propose."""
        meter = meter or Meter()

        async def ask(messages: Sequence[Message], sampling: Sampling, meter: Meter) -> list[Draft]:
            return await self._ask(messages, prefix, n, sampling, meter)

        if self.settings.continuation is Continuation.INSTRUCT:
            return await instructed(self.name, prefix, self.settings.instructions, sampling, meter, ask)
        return await ask(half_answered(prefix, self.settings.instructions), sampling, meter)

    async def _ask(
        self, messages: Sequence[Message], prefix: Prefix, n: int, sampling: Sampling, meter: Meter
    ) -> list[Draft]:
        """The same request `n` times at once; the meter is their sum."""
        replies: list[_Reply] = []

        def add_up() -> None:
            meter.usage = sum((reply.usage for reply in replies), start=Usage())

        body = {**conversation(messages, prefix), **self._wanted(sampling)}
        prompt_tokens = estimated_tokens("".join(message["content"] for message in messages))
        replies += [_Reply(self, prefix, sampling, body["max_tokens"], prompt_tokens, add_up) for _ in range(n)]
        await together(*(self._answer(body, reply) for reply in replies))
        return [reply.draft() for reply in replies]

    def _wanted(self, sampling: Sampling) -> dict[str, Any]:
        """The request's fields beside the conversation."""
        settings = self.settings
        if settings.thinking_budget >= sampling.max_tokens:
            raise TooFewTokens(
                f"{self.name}: thinking_budget: {settings.thinking_budget} leaves nothing of {sampling.max_tokens} "
                "tokens. Lower it, or raise sampling.max_tokens or the problem's budget."
            )
        wanted: dict[str, Any] = {name: getattr(sampling, name) for name in settings.sampling_fields}
        thinking: dict[str, object] = {"type": "disabled"}
        if settings.thinking == "hide":
            # Summaries are worth more than nothing where a cancelled call is to be billed.
            thinking = {"type": "adaptive", "display": "summarized"}
            if settings.thinking_budget:
                thinking |= {"type": "enabled", "budget_tokens": settings.thinking_budget}
        return {**wanted, "max_tokens": sampling.max_tokens, "thinking": thinking, **settings.extra}

    async def _answer(self, body: Mapping[str, Any], reply: "_Reply") -> None:
        """One request, made again with fewer tokens where the server says that so many find no room."""
        try:
            await self._stream(body, reply)
        except ContextOverflow as failure:
            context, prompt = failure.context_tokens, failure.prompt_tokens
            if context is None or prompt is None or reply.usage != Usage():
                raise
            room = context - prompt
            if not self.settings.thinking_budget < room < body["max_tokens"]:
                raise
            reply.shorten(room)
            await self._stream({**body, "max_tokens": room}, reply)

    async def _stream(self, body: Mapping[str, Any], reply: "_Reply") -> None:
        further = dict(body)
        required = {name: further.pop(name) for name in ("messages", "max_tokens")}
        headers = _VERSION_THAT_SAMPLES if self.settings.sampling_fields else None
        async with (
            self.connection.call() as client,
            client.messages.with_streaming_response.create(
                model=self.settings.model, stream=True, extra_body=further, extra_headers=headers, **required
            ) as response,
        ):
            reply.opened(response.headers.get("request-id", ""))
            async with aclosing(events(response.iter_bytes(), decode_event)) as arriving:
                async for event in arriving:
                    if event.error is not None:
                        reply.refuse()
                        raise self.connection.error_within({"error": event.error})
                    reply.take(event)
                    if reply.cut:
                        return
        reply.check()


class _Reply:
    """The answer to one request while it arrives; `usage` is final whenever the request ends."""

    def __init__(
        self,
        model: AnthropicModel,
        prefix: Prefix,
        sampling: Sampling,
        most_tokens: int,
        prompt_tokens: int,
        used: Callable[[], None],
    ) -> None:
        self.usage = Usage()
        self._model, self._sampling, self._most_tokens, self._used = model, sampling, most_tokens, used
        self._one_step = model.settings.continuation is Continuation.INSTRUCT
        self._begun = bool(prefix.steps)
        self._cutter = StepCutter(prefix.separator, to_end=sampling.stop is None)
        self._text, self._thoughts, self._thinks = "", "", False
        self._finish, self._request_id, self._short = "", "", False
        self._read = Usage(input_tokens=prompt_tokens, estimated=True)
        self._wrote: Usage | None = None
        self._began = time.monotonic()

    @property
    def cut(self) -> bool:
        """Whether nothing of what is still to come is wanted, not even its count."""
        return self._cutter.complete and not self._thinks

    def opened(self, request_id: str) -> None:
        """The server has taken the request: from now on it costs."""
        self._request_id = request_id
        self._count()

    def shorten(self, room: int) -> None:
        """The context holds no more than `room` tokens of it."""
        self._most_tokens, self._short = room, True

    def refuse(self) -> None:
        """An error came instead of an answer, or in its middle."""
        if not self._text and not self._thoughts:
            self.usage = Usage()
            self._used()

    def take(self, event: Event) -> None:
        """The next event."""
        if event.message is not None and event.message.usage is not None:
            self._read = event.message.usage.read or self._read
        if event.content_block is not None and "thinking" in event.content_block.type:
            self._thinks = True
        if event.piece:
            self._text += event.piece
            self._cutter.feed(event.piece)
        if event.delta is not None:
            self._thoughts += event.delta.thinking
            self._finish = event.delta.stop_reason or self._finish
        if event.usage is not None:
            if self._read.estimated:
                self._read = event.usage.read or self._read
            self._wrote = event.usage.written(self._most_tokens, least=bool(self._text))
        self._count()

    def check(self) -> None:
        """Raises BackendUnavailable where the stream ended before the answer had, BackendError for a refusal."""
        if not self._finish:
            raise BackendUnavailable(f"{self._model.name}: the stream broke off before the answer was complete")
        if self._finish == "refusal":
            raise BackendError(f"{self._model.name}: the model refuses to answer (stop_reason 'refusal')")

    def draft(self) -> Draft:
        """What came of it."""
        return Draft(
            model=self._model.name,
            text=self._cutter.text,
            stop=self._stop(),
            usage=self.usage,
            latency_s=time.monotonic() - self._began,
            request_id=self._request_id,
        )

    def _stop(self) -> Stop:
        if self._cutter.complete:
            return Stop.SEPARATOR
        if self._finish == "max_tokens":
            return Stop.CONTEXT if self._short else Stop.LENGTH
        if self._finish == "model_context_window_exceeded":
            return Stop.CONTEXT
        # A step that was asked for ends by itself; after the solution's end the next one comes back empty.
        asked_for = self._one_step and self._sampling.stop is not None
        return Stop.SEPARATOR if asked_for and (self._cutter.text or not self._begun) else Stop.END

    def _count(self) -> None:
        thoughts = estimated_tokens(self._thoughts)
        estimate = Usage(
            output_tokens=estimated_tokens(self._text) + thoughts, reasoning_tokens=thoughts, estimated=True
        )
        self.usage = self._read + (self._wrote or estimate)
        self._used()
