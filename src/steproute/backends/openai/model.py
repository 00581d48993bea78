"""Step models behind OpenAI-compatible servers: vLLM, SGLang, llama.cpp, Ollama, OpenAI and gateways before them."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from steproute.backends.chat_template import ChatTemplate
from steproute.backends.http.chat_meter import ChatMeter
from steproute.backends.http.connection import Connection
from steproute.backends.http.json_fields import table
from steproute.backends.http.stream import chunks, most_tokens
from steproute.backends.http.token_counts import TokenCounts
from steproute.backends.instruct import instructed, instructed_bound
from steproute.backends.openai.chat import OWN_FIELDS, chat_replies, unstreamed
from steproute.backends.openai.reply import Reply
from steproute.backends.openai.request import (
    may_be_left_out,
    remedy_for_refused,
    request_fields,
    template_settings,
    template_variables,
)
from steproute.backends.openai.settings import OpenAiSettings
from steproute.backends.prompts import half_answered, instructed_by, plain_question, question, tools_of, written
from steproute.backends.reasoning import with_reasoning_closed
from steproute.core.answer_rule import AnswerRule
from steproute.core.chat import ChatDelta, ChatRequest
from steproute.core.chat_support import check_supported
from steproute.core.errors import (
    BackendError,
    BackendUnavailable,
    ContextOverflow,
    FieldRefused,
)
from steproute.core.ports import Continuation, ModelCapabilities, ServerFacts
from steproute.core.problem import Message, texts_of
from steproute.core.settings import settings_of
from steproute.core.solution import Advice, Draft, Meter, Prefix, Sampling
from steproute.core.usage import Usage
from steproute.core.usage_bounds import most_read

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_KEPT_PROMPTS: Final = 4096
_OVERFLOWS: Final = 3
_SPARE_TOKENS: Final = 8


class _Tokens(msgspec.Struct):
    tokens: list[int]


class _Prompt(msgspec.Struct):
    prompt: str


class OpenAiModel:
    """A StepModel over an OpenAI-compatible server; every answer is streamed, so that a cancelled call is over at once.

    Tokens are those that the server reports; if it reports none they are estimated, and marked so. ignores_stop:
    whether the server has continued after a separator that was its stop string. refused: fields of requests that the
    server has refused, which are left out since.
    """

    def __init__(self, name: str, settings: OpenAiSettings) -> None:
        self.name, self.settings = name, settings
        self.connection = Connection(name, settings.server)
        rendered_here = settings.template not in ("server", "none")
        self._template = ChatTemplate.of_folder(Path(settings.template)) if rendered_here else None
        self._rendered: dict[tuple[AnswerRule, str, Advice], str] = {}
        self._context: int | None = None
        self._tokens_a_character = 0.5
        self._separate_reasoning = self.ignores_stop = False
        self.refused: tuple[str, ...] = ()

    @classmethod
    def from_settings(cls, name: str, table: Mapping[str, Any]) -> "OpenAiModel":
        """From a table of `steproute.toml`: the fields of OpenAiSettings and Server. Raises ConfigError."""
        return cls(name, settings_of(table, OpenAiSettings))

    @property
    def capabilities(self) -> ModelCapabilities:
        """As its table says; a server that refuses the temperature is not greedy."""
        return self.settings.capabilities

    @property
    def server_facts(self) -> ServerFacts:
        """See ServedModel."""
        settings = self.settings
        return ServerFacts(
            model=settings.model, ignores_stop=self.ignores_stop, refused=self.refused, omitted=settings.omitted
        )

    async def served(self) -> Mapping[str, int | None] | None:
        """See ServedModel."""
        return await self.connection.models()

    def most_usage(self, prefix: Prefix, n: int, sampling: Sampling) -> Usage:
        """One request; two if a reply may be sent back or the server be asked why; see `core.usage_bounds`."""
        settings = self.settings
        bound = most_tokens(settings.extra)
        output = sampling.max_tokens if bound == inf else max(sampling.max_tokens, int(bound))
        read = most_read(prefix, instructed_by(prefix, settings.instructions))
        one = Usage(input_tokens=n * read, output_tokens=n * output)
        if settings.continuation is Continuation.INSTRUCT:
            return instructed_bound(one)
        if not settings.facts.breaks_off_silently:
            return one
        return one + Usage(input_tokens=one.input_tokens, output_tokens=1)

    async def propose(
        self, prefix: Prefix, n: int = 1, sampling: Sampling = Sampling(), meter: Meter | None = None
    ) -> list[Draft]:
        """`n` drafts in one request. Raises BackendError; see StepModel.propose."""
        if n > 1 and not self.capabilities.several:
            raise BackendError(f"this server writes one answer per request, not {n}", where=self.name)
        meter = meter or Meter()
        if self.settings.continuation is not Continuation.INSTRUCT:
            return await self._ask(await self._body(prefix), prefix, n, sampling, meter)

        async def ask(messages: Sequence[Message], sampling: Sampling, meter: Meter) -> list[Draft]:
            return await self._ask({"messages": messages, **tools_of(prefix)}, prefix, n, sampling, meter)

        return await instructed(self.name, prefix, self.settings.instructions, sampling, meter, ask)

    async def chat(self, request: ChatRequest, meter: Meter | None = None) -> AsyncGenerator[ChatDelta, None]:
        """See ChatModel. Fields that the server refuses of those that the request does not hold are left out."""
        meter, handed_on = meter or Meter(), False
        check_supported(request, self.capabilities, self.name)
        while True:
            replies = chat_replies(self.name, self.connection, self.settings, request, meter)
            try:
                async with aclosing(replies) as deltas:
                    async for delta in deltas:
                        handed_on = True
                        yield delta
                return
            except FieldRefused as failure:
                refused = tuple(name for name in failure.fields if name not in self.settings.omitted)
                own = tuple(name for name in refused if name in OWN_FIELDS and may_be_left_out(name, self.settings))
                if handed_on or not own:
                    raise
                self._omit(own)
            except BackendUnavailable:
                if self.settings.facts.breaks_off_silently and not handed_on:
                    meter.clear()
                    await self._ask_why(unstreamed(self.settings, request), ChatMeter(self.name, request, meter).report)
                raise

    async def _body(self, prefix: Prefix) -> dict[str, Any]:
        """What states the prefix: a prompt or messages."""
        settings = self.settings
        if settings.continuation is Continuation.COMPLETIONS:
            if settings.template == "none":
                return {"prompt": plain_question(prefix, self.name) + prefix.separator + written(prefix)}
            prompt = await self._render(prefix)
            return {"prompt": with_reasoning_closed(prompt, settings.thinking, bool(prefix.steps)) + written(prefix)}
        body: dict[str, Any] = {"messages": half_answered(prefix, settings.instructions), **tools_of(prefix)}
        if settings.continuation is Continuation.CONTINUE_FINAL_MESSAGE and prefix.steps:
            body |= {"continue_final_message": True, "add_generation_prompt": False}
        return body

    async def _render(self, prefix: Prefix) -> str:
        """The chat template around the problem, up to where the answer begins."""
        place = prefix.problem.rule, prefix.problem.canonical, prefix.advice
        prompt = self._rendered.get(place)
        if prompt is not None:
            return prompt
        messages = question(prefix, self.settings.instructions)
        if self._template is None:
            prompt = await self._rendered_by_server({"messages": messages, **tools_of(prefix)})
        else:
            keeps_bos = self.settings.facts.takes_special_tokens
            variables = tools_of(prefix) | template_variables(self.settings)
            prompt = self._template.prompt(messages, begins_with_bos=keeps_bos, **variables)
        if len(self._rendered) >= _KEPT_PROMPTS:
            self._rendered.clear()
        self._rendered[place] = prompt
        return prompt

    async def _rendered_by_server(self, conversation: Mapping[str, Any]) -> str:
        fields = {"model": self.settings.model, **conversation, **template_settings(self.settings)}
        try:
            if self.settings.facts.renders_template == "text":
                return (await self.connection.post("/apply-template", fields, _Prompt)).prompt
            request = {**fields, "add_generation_prompt": True}
            tokens = (await self.connection.post("/tokenize", request, _Tokens)).tokens
            back = {"model": self.settings.model, "tokens": tokens}
            return (await self.connection.post("/detokenize", back, _Prompt)).prompt
        except BackendError as failure:
            if failure.status not in (404, 405, 501) or "does not exist" in failure.message:
                raise
            unrendered = BackendError(
                f"'server' needs a server that renders chat templates ({failure.located}).",
                where="template",
                remedy="Set template to the folder of the model's tokenizer, or to 'none' for a base model.",
            )
            unrendered.status = failure.status
            raise unrendered from None

    async def _ask(
        self, body: Mapping[str, Any], prefix: Prefix, n: int, sampling: Sampling, meter: Meter
    ) -> list[Draft]:
        """One streamed request, made again with fewer tokens if the server says that so many find no room, and without
        the fields that it refuses."""
        prompt_text = body.get("prompt") or "".join(text for message in body["messages"] for text in texts_of(message))
        most, sampling = sampling.max_tokens, self._with_room(sampling, prompt_text)
        tries_left = _OVERFLOWS
        while True:
            settings = self.settings
            reply = Reply(self.name, settings, prefix, n, sampling, meter, prompt_text, self._separate_reasoning)
            try:
                await self._stream(body, reply)
                self._separate_reasoning |= reply.apart
                self.ignores_stop |= reply.overrun
                break
            except ContextOverflow as failure:
                fewer = self._after_overflow(sampling, prompt_text, failure)
                used, tries_left = meter.usage != Usage(), tries_left - 1
                if used or not tries_left or not 0 < fewer < sampling.max_tokens:
                    raise
                sampling = replace(sampling, max_tokens=fewer)
            except FieldRefused as failure:
                self._leave_out(failure, settings, meter)
        if not meter.usage.estimated and prompt_text:
            self._tokens_a_character = meter.usage.read_tokens / len(prompt_text)
        return reply.drafts(shortened=sampling.max_tokens < most)

    def _leave_out(self, failure: FieldRefused, settings: OpenAiSettings, meter: Meter) -> None:
        """Send the fields that the server refuses no more; raises BackendError if that is no way out. `settings`: those
        that the request was made by."""
        refused = tuple(name for name in failure.fields if name not in settings.omitted)
        optional = tuple(name for name in refused if may_be_left_out(name, settings))
        if meter.usage != Usage() or not optional:
            failure.remedy = remedy_for_refused(refused)
            raise failure from None
        self._omit(optional)

    def _omit(self, fields: tuple[str, ...]) -> None:
        self.refused = tuple(dict.fromkeys((*self.refused, *fields)))
        self.settings = self.settings.without(fields)

    def _with_room(self, sampling: Sampling, prompt_text: str) -> Sampling:
        """Sampling with no more tokens than a context that is known leaves, by the last prompt's tokens a character."""
        if self._context is None:
            return sampling
        room = self._context - int(len(prompt_text) * self._tokens_a_character) - _SPARE_TOKENS
        return replace(sampling, max_tokens=min(sampling.max_tokens, max(1, room)))

    def _after_overflow(self, sampling: Sampling, prompt_text: str, failure: ContextOverflow) -> int:
        """What tokens the server's message leaves, maybe none; as many as before if the message does not say."""
        context, prompt = failure.context_tokens, failure.prompt_tokens
        if context is None:
            return sampling.max_tokens
        self._context = context
        if prompt is None:
            return self._with_room(sampling, prompt_text).max_tokens
        return min(sampling.max_tokens, context - prompt)

    async def _stream(self, body: Mapping[str, Any], reply: Reply) -> None:
        try:
            await self._stream_answers(body, reply)
        except BackendUnavailable:
            if self.settings.facts.breaks_off_silently and reply.unanswered:
                reply.discard()
                await self._ask_why(body, reply.report)
            raise

    async def _ask_why(self, body: Mapping[str, Any], report: Callable[[TokenCounts], None]) -> None:
        """Ask again for one token, not streamed: this server breaks streams off, some before they begin, if the
        prompt is too long, and does not say why. Raises what it says then."""
        path = "/v1/completions" if "prompt" in body else "/v1/chat/completions"
        for _ in range(2):
            with suppress(BackendUnavailable):  # the first may go out over the connection that is broken
                answer = await self.connection.post(path, {**body, "max_tokens": 1}, dict[str, object])
                report(TokenCounts.of(table(answer.get("usage"))))
                return

    async def _stream_answers(self, body: Mapping[str, Any], reply: Reply) -> None:
        request = {**body, **request_fields(self.settings, reply.sampling, reply.n), **self.settings.extra}
        reply.sent(most_tokens(request))
        async with (
            self.connection.call() as client,
            self.connection.opened(self._response(client, request), reply.discard) as response,
        ):
            reply.opened(response.headers)
            async with aclosing(chunks(response.iter_bytes())) as arriving:
                async for chunk in arriving:
                    if (failure := self.connection.errors.in_event(chunk.error, chunk.foreign)) is not None:
                        reply.discard()
                        raise failure
                    reply.take(chunk)
                    if reply.cut:
                        break
        reply.check()

    def _response(self, client: "AsyncOpenAI", request: dict[str, Any]) -> AbstractAsyncContextManager[Any]:
        """The response as a stream of bytes: the client's own parsing takes longer than a small step."""
        if "prompt" in request:
            prompt = request.pop("prompt")
            return client.completions.with_streaming_response.create(
                model=self.settings.model, prompt=prompt, stream=True, extra_body=request
            )
        messages = request.pop("messages")
        return client.chat.completions.with_streaming_response.create(
            model=self.settings.model, messages=messages, stream=True, extra_body=request
        )
