"""Step models behind Anthropic's Messages API."""

import json
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from steproute.backends.anthropic.chat import chat_reply
from steproute.backends.anthropic.chat_request import message_fields
from steproute.backends.anthropic.connection import AnthropicConnection
from steproute.backends.anthropic.prompt import conversation
from steproute.backends.anthropic.stream import Event, message_events
from steproute.backends.http.chat_meter import ChatMeter
from steproute.backends.http.finish import Ending, check_finish, ending_of
from steproute.backends.http.server import Server
from steproute.backends.http.stream_meter import StreamMeter
from steproute.backends.instruct import instructed, instructed_bound
from steproute.backends.prompts import half_answered, instructed_by
from steproute.backends.step_cutter import StepCutter
from steproute.core.chat import ChatDelta, ChatRequest
from steproute.core.chat_support import check_supported
from steproute.core.concurrency import gather_or_cancel
from steproute.core.errors import (
    ConfigError,
    ContextOverflow,
    ContinuationUnsupported,
    TooFewTokens,
)
from steproute.core.ports import Continuation, ModelCapabilities, ServerFacts
from steproute.core.problem import Message, texts_of
from steproute.core.recording import estimated_tokens
from steproute.core.settings import settings_of
from steproute.core.solution import Draft, Meter, Prefix, Sampling, Stop
from steproute.core.usage import Usage
from steproute.core.usage_bounds import asks_for_an_hour, most_read

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

_CAN: Final = (Continuation.INSTRUCT, Continuation.PREFILL)
_LEAST_BUDGET: Final = 1024
_SAMPLING_FIELDS: Final = frozenset({"temperature", "top_p", "top_k"})
_VERSION_THAT_SAMPLES: Final = {"anthropic-version": "2023-06-01"}


@dataclass(frozen=True, slots=True, kw_only=True)
class AnthropicSettings:
    """How to talk to one Claude model.

    instructions: the system message; None for that of the problem's answer rule, "" for none.
    continuation: `instruct`, or `prefill` if the model still takes one (before Claude 4.6). thinking: reasoning is
    switched off, or hidden and paid for: at most `thinking_budget` tokens of it (before Claude 4.7), or with 0 as many
    as the model chooses. sampling_fields: which of the role's sampling settings are sent; Claude takes none from
    4.7 on, and from 4.1 on either temperature or top_p. extra: further fields of every request.

    Raises ContinuationUnsupported for other modes, ConfigError for settings that the API refuses together.
    """

    model: str
    server: Server
    continuation: Continuation = Continuation.INSTRUCT
    instructions: str | None = None
    thinking: Literal["off", "hide"] = "off"
    thinking_budget: int = 0
    sampling_fields: tuple[Literal["temperature", "top_p", "top_k"], ...] = ()
    extra: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.continuation not in _CAN:
            raise ContinuationUnsupported(
                f"{self.continuation.value!r} is not offered by the Messages API.",
                where="continuation",
                remedy=f"Use {' or '.join(repr(mode.value) for mode in _CAN)}.",
            )
        if self.thinking == "hide" and (self.continuation is Continuation.PREFILL or self.sampling_fields):
            raise ConfigError(
                "'hide' goes with neither prefill nor sampling_fields.", where="thinking", remedy="Use 'off'."
            )
        if self.thinking_budget and (self.thinking == "off" or self.thinking_budget < _LEAST_BUDGET):
            raise ConfigError(
                f"{self.thinking_budget} needs thinking = 'hide' and at least {_LEAST_BUDGET} tokens.",
                where="thinking_budget",
            )


class AnthropicModel:
    """A StepModel over the Messages API; every answer is streamed, so that a cancelled call is over at once.

    The API takes no blank line as a stop string, so the stream is closed at the separator; what was written by then is
    estimated, and marked so. An answer with reasoning is read to its end instead: only there are its tokens counted.
    """

    def __init__(self, name: str, settings: AnthropicSettings) -> None:
        self.name, self.settings = name, settings
        self.connection = AnthropicConnection(name, settings.server)

    @classmethod
    def from_settings(cls, name: str, table: Mapping[str, Any]) -> "AnthropicModel":
        """From a table of `steproute.toml`: the fields of AnthropicSettings and Server. Raises ConfigError."""
        return cls(name, settings_of(table, AnthropicSettings))

    @property
    def capabilities(self) -> ModelCapabilities:
        """As its settings say; the API gives no log-probabilities."""
        settings = self.settings
        modes = (settings.continuation, *(mode for mode in _CAN if mode is not settings.continuation))
        return ModelCapabilities(
            continuations=modes,
            logprobs=False,
            tools=True,
            greedy="temperature" in settings.sampling_fields,
            hides_reasoning=settings.thinking == "hide",
            tool_calls=True,
            hour_writes=asks_for_an_hour(json.dumps(dict(settings.extra))),
            images=True,
            response_formats=("json_schema",),
        )

    @property
    def server_facts(self) -> ServerFacts:
        """See ServedModel."""
        return ServerFacts(model=self.settings.model)

    async def served(self) -> Mapping[str, int | None] | None:
        """See ServedModel."""
        return await self.connection.models()

    def most_usage(self, prefix: Prefix, n: int, sampling: Sampling) -> Usage:
        """`n` requests, each twice if a reply may be sent back; see `core.usage_bounds`."""
        read = most_read(prefix, instructed_by(prefix, self.settings.instructions))
        given = self.settings.extra.get("max_tokens")
        output = max(sampling.max_tokens, given) if isinstance(given, int) else sampling.max_tokens
        one = Usage(input_tokens=n * read, output_tokens=n * output)
        return instructed_bound(one) if self.settings.continuation is Continuation.INSTRUCT else one

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

    async def chat(self, request: ChatRequest, meter: Meter | None = None) -> AsyncGenerator[ChatDelta, None]:
        """See ChatModel. The role's `thinking` and `extra` apply; its sampling is for steps."""
        check_supported(request, self.capabilities, self.name)
        fields = {**message_fields(request, self.name), **request.within_limit(self.settings.extra)}
        fields = {"thinking": self._thinking(fields["max_tokens"]), **fields}
        used = ChatMeter(self.name, request, meter or Meter(), fields["max_tokens"])
        reply = chat_reply(self.connection, lambda client: self._response(client, fields), used)
        async with aclosing(reply) as deltas:
            async for delta in deltas:
                yield delta

    async def _ask(
        self, messages: Sequence[Message], prefix: Prefix, n: int, sampling: Sampling, meter: Meter
    ) -> list[Draft]:
        """The same request `n` times at once; the meter is their sum."""
        replies: list[_Reply] = []

        def add_up() -> None:
            meter.usage = sum((reply.usage for reply in replies), start=Usage())

        body = {**conversation(messages, prefix), **self._fields(sampling)}
        prompt_tokens = estimated_tokens("".join(text for message in messages for text in texts_of(message)))
        replies += [_Reply(self, prefix, sampling, body["max_tokens"], prompt_tokens, add_up) for _ in range(n)]
        await gather_or_cancel(*(self._answer(body, reply) for reply in replies))
        return [reply.draft() for reply in replies]

    def _fields(self, sampling: Sampling) -> dict[str, Any]:
        """The request's fields beside the conversation."""
        settings, most = self.settings, sampling.max_tokens
        fields: dict[str, Any] = {name: getattr(sampling, name) for name in settings.sampling_fields}
        return {**fields, "max_tokens": most, "thinking": self._thinking(most), **settings.extra}

    def _thinking(self, max_tokens: int) -> dict[str, object]:
        """The field that switches reasoning on or off. Raises TooFewTokens if its budget leaves nothing."""
        settings = self.settings
        if settings.thinking_budget >= max_tokens:
            raise TooFewTokens(
                f"thinking_budget: {settings.thinking_budget} leaves nothing of {max_tokens} tokens.",
                where=self.name,
                remedy="Lower it, or raise sampling.max_tokens or the problem's budget.",
            )
        if settings.thinking == "off":
            return {"type": "disabled"}
        # A summary lets a cancelled call be billed for more than nothing.
        thinking: dict[str, object] = {"type": "adaptive", "display": "summarized"}
        if settings.thinking_budget:
            thinking |= {"type": "enabled", "budget_tokens": settings.thinking_budget}
        return thinking

    async def _answer(self, body: Mapping[str, Any], reply: "_Reply") -> None:
        """One request, made again with fewer tokens if the server says that so many find no room."""
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

    def _response(self, client: "AsyncAnthropic", body: Mapping[str, Any]) -> AbstractAsyncContextManager[Any]:
        """The response as a stream of bytes."""
        further = dict(body)
        required = {name: further.pop(name) for name in ("messages", "max_tokens")}
        headers = None if _SAMPLING_FIELDS.isdisjoint(body) else _VERSION_THAT_SAMPLES
        return client.messages.with_streaming_response.create(
            model=self.settings.model, stream=True, extra_body=further, extra_headers=headers, **required
        )

    async def _stream(self, body: Mapping[str, Any], reply: "_Reply") -> None:
        reply.sent()
        async with (
            self.connection.call() as client,
            self.connection.opened(self._response(client, body), reply.discard) as response,
        ):
            reply.opened(response.headers)
            async with aclosing(message_events(response.iter_bytes())) as arriving:
                async for event in arriving:
                    if (failure := self.connection.errors.in_event(event.error, event.foreign)) is not None:
                        reply.discard()
                        raise failure
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
        self._model, self._sampling, self._used = model, sampling, used
        self._meter = Meter()
        self._counted = StreamMeter(self._meter, prompt_tokens)
        self._counted.most_tokens = most_tokens
        self._one_step = model.settings.continuation is Continuation.INSTRUCT
        self._begun = bool(prefix.steps)
        self._cutter = StepCutter(prefix.separator, to_end=sampling.stop is None)
        self._text, self._reasoning, self._has_reasoning, self._pieces = "", "", False, 0
        self._finish, self._request_id, self._short, self._marked_end = "", "", False, False
        self._began = time.monotonic()

    @property
    def usage(self) -> Usage:
        """What it has used so far."""
        return self._meter.usage

    @property
    def cut(self) -> bool:
        """Whether nothing that is still to come matters, not even its count."""
        return self._cutter.complete and not self._has_reasoning and not self._finish

    def sent(self) -> None:
        """The request goes out: from now on it costs."""
        self._counted.sent()
        self._used()

    def opened(self, headers: Mapping[str, str]) -> None:
        """The server answers."""
        self._request_id = headers.get("request-id", "")

    def shorten(self, room: int) -> None:
        """The context holds no more than `room` tokens of it."""
        self._counted.most_tokens, self._short = room, True

    def discard(self) -> None:
        """An error came instead of an answer, or in its middle, or the request never arrived."""
        self._counted.discard()
        self._used()

    def take(self, event: Event) -> None:
        """The next event."""
        self._has_reasoning |= event.has_reasoning
        self._marked_end |= event.done
        self._finish = event.finish or self._finish
        if event.usage is not None:
            self._counted.report(event.usage)
        if event.piece or event.reasoning:
            self._pieces += 1
            self._text, self._reasoning = self._text + event.piece, self._reasoning + event.reasoning
            self._cutter.feed(event.piece)
            reasoning = estimated_tokens(self._reasoning)
            self._counted.arrived(self._pieces, estimated_tokens(self._text) + reasoning, reasoning)
        self._used()

    def check(self) -> None:
        """Raises BackendUnavailable if the stream ended before the answer, BackendError for a refusal."""
        self._counted.ended()
        self._used()
        if not self._finish and self._marked_end and self._counted.reported and self._pieces:
            self._finish = "end_turn"
        check_finish(self._model.name, self._finish, field="stop_reason")

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
        ending = ending_of(self._finish)
        if ending in (Ending.LENGTH, Ending.CONTEXT):
            return Stop.CONTEXT if self._short or ending is Ending.CONTEXT else Stop.LENGTH
        # A requested step ends by itself; after the solution's end the next one comes back empty.
        asked_for = self._one_step and self._sampling.stop is not None
        return Stop.SEPARATOR if asked_for and (self._cutter.text or not self._begun) else Stop.END
