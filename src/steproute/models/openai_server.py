"""Step models behind OpenAI-compatible servers: vLLM, SGLang, llama.cpp, Ollama, OpenAI and gateways before them."""

import re
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from dataclasses import dataclass, field, replace
from math import exp
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
from openai import AsyncOpenAI

from steproute.core.errors import (
    BackendError,
    BackendUnavailable,
    ConfigError,
    ContextOverflow,
    ContinuationUnsupported,
)
from steproute.core.recording import estimated_tokens
from steproute.core.settings import settings_of
from steproute.core.solution import Draft, Meter, Prefix, Sampling, Stop
from steproute.core.usage import Usage
from steproute.models.chat_template import ChatTemplate
from steproute.models.instruct import instructed
from steproute.models.overflow import told
from steproute.models.prompts import (
    INSTRUCTIONS,
    Continuation,
    Message,
    half_answered,
    question,
    written,
)
from steproute.models.step_cutter import StepCutter
from steproute.remote.connection import Connection, Server
from steproute.remote.stream import Choice, Chunk, Kind, ReportedUsage, chunks, most_tokens

_TELLS_STOP: Final = ("vllm", "sglang")
_LLAMA: Final = ("llama.cpp", "llama-cpp-python")
_CAN: Final[Mapping[Kind, tuple[Continuation, ...]]] = {
    "vllm": (Continuation.COMPLETIONS, Continuation.CONTINUE_FINAL_MESSAGE, Continuation.INSTRUCT),
    "sglang": (Continuation.COMPLETIONS, Continuation.CONTINUE_FINAL_MESSAGE, Continuation.INSTRUCT),
    "llama.cpp": (Continuation.COMPLETIONS, Continuation.PREFILL, Continuation.INSTRUCT),
    "llama-cpp-python": (Continuation.COMPLETIONS, Continuation.INSTRUCT),
    "ollama": (Continuation.COMPLETIONS, Continuation.PREFILL, Continuation.INSTRUCT),
    "openai": (Continuation.INSTRUCT, Continuation.COMPLETIONS),
}
_BROKEN_OFF: Final[Mapping[Kind, str]] = {
    "llama-cpp-python": ". Set --interrupt_requests false where the server starts, or each request ends the one before."
}
_KEPT_PROMPTS: Final = 4096
_OVERFLOWS: Final = 3
_SPARE_TOKENS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAiSettings:
    """How to talk to one model of one server.

    continuation: how it goes on with a half-written answer; for `completions` the prompt comes from the chat template
    that the server renders, or that of the tokenizer's folder that `template` names, or with "none" is the bare text.
    stop: who ends a step at the separator;
    `client` closes the stream there, for servers that cannot be relied on to. thinking: a reasoning model's thoughts
    are kept as steps, hidden (and paid for), or switched off by the template. logprobs: how many alternatives a token
    to ask for, 0 for none. extra: further fields of every request.

    Raises ConfigError for a mode that needs another stop, ContinuationUnsupported for one that the server lacks.
    """

    model: str
    server: Server
    kind: Kind = "vllm"
    continuation: Continuation = Continuation.COMPLETIONS
    template: str = "server"
    instructions: str = INSTRUCTIONS
    stop: Literal["server", "client"] = "server"
    thinking: Literal["keep", "hide", "off"] = "keep"
    logprobs: int = 0
    extra: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        can = _CAN[self.kind]
        if self.continuation not in can:
            raise ContinuationUnsupported(
                f"continuation: {self.continuation.value!r} is not offered by {self.kind} servers. "
                f"Use {' or '.join(repr(mode.value) for mode in can)}."
            )
        if self.kind == "ollama" and self.continuation is Continuation.COMPLETIONS and self.template != "none":
            raise ConfigError(
                f"template: {self.template!r} would be wrapped in the template that Ollama puts around every prompt. "
                "Set continuation to 'prefill' or 'instruct', or template to 'none' for a base model."
            )
        if self.stop == "server" and (self.thinking == "hide" or self.continuation is Continuation.PREFILL):
            raise ConfigError("stop: 'server' would end a step inside hidden thoughts or a prefill. Use 'client'.")
        if not 0 <= self.logprobs <= 20:
            raise ConfigError(f"logprobs: {self.logprobs} is outside [0, 20].")
        rendered = self.continuation is Continuation.COMPLETIONS and self.template == "server"
        if self.kind == "llama-cpp-python" and rendered:
            raise ConfigError(
                "template: llama-cpp-python's server renders no template. Use a tokenizer's folder or 'none'."
            )


class _Tokens(msgspec.Struct):
    tokens: list[int]


class _Prompt(msgspec.Struct):
    prompt: str


class OpenAiModel:
    """A StepModel over an OpenAI-compatible server; every answer is streamed, so that a cancelled call is over at once.

    Tokens are those that the server reports; where it reports none they are estimated, and marked so.
    """

    def __init__(self, name: str, settings: OpenAiSettings) -> None:
        self.name, self.settings = name, settings
        self.connection = Connection(name, settings.server)
        rendered_here = settings.template not in ("server", "none")
        self._template = ChatTemplate.of_folder(Path(settings.template)) if rendered_here else None
        self._rendered: dict[str, str] = {}
        self._context: int | None = None
        self._tokens_a_character = 0.5

    @classmethod
    def configured(cls, name: str, table: Mapping[str, Any]) -> "OpenAiModel":
        """From a table of `steproute.toml`: the fields of OpenAiSettings and Server. Raises ConfigError."""
        return cls(name, settings_of(table, OpenAiSettings))

    async def propose(
        self, prefix: Prefix, n: int = 1, sampling: Sampling = Sampling(), meter: Meter | None = None
    ) -> list[Draft]:
        """`n` drafts in one request. Raises BackendError; see StepModel.propose."""
        if n > 1 and self.settings.kind == "llama-cpp-python":
            raise BackendError(f"{self.name}: this server writes one answer a request, and {n} were asked for")
        meter = meter or Meter()
        if self.settings.continuation is not Continuation.INSTRUCT:
            return await self._ask(await self._body(prefix), prefix, n, sampling, meter)

        async def ask(messages: Sequence[Message], sampling: Sampling, meter: Meter) -> list[Draft]:
            return await self._ask({"messages": messages}, prefix, n, sampling, meter)

        return await instructed(self.name, prefix, self.settings.instructions, sampling, meter, ask)

    async def _body(self, prefix: Prefix) -> dict[str, Any]:
        """What states the prefix: a prompt or messages."""
        settings = self.settings
        if settings.continuation is Continuation.COMPLETIONS:
            if settings.template == "none":
                return {"prompt": prefix.problem.text + prefix.separator + written(prefix)}
            return {"prompt": await self._render(prefix) + written(prefix)}
        body: dict[str, Any] = {"messages": half_answered(prefix, settings.instructions)}
        if settings.continuation is Continuation.CONTINUE_FINAL_MESSAGE and prefix.steps:
            body |= {"continue_final_message": True, "add_generation_prompt": False}
        return body

    async def _render(self, prefix: Prefix) -> str:
        """The chat template around the problem, up to where the answer begins."""
        found = self._rendered.get(prefix.problem.text)
        if found is not None:
            return found
        messages = question(prefix, self.settings.instructions)
        if self._template is None:
            prompt = await self._rendered_by_server(messages)
        else:
            keeps_bos = self.settings.kind in _TELLS_STOP
            prompt = self._template.prompt(messages, begins_with_bos=keeps_bos, **self._template_variables())
        if len(self._rendered) >= _KEPT_PROMPTS:
            self._rendered.clear()
        self._rendered[prefix.problem.text] = prompt
        return prompt

    async def _rendered_by_server(self, messages: Sequence[Message]) -> str:
        asked = {"model": self.settings.model, "messages": messages}
        try:
            if self.settings.kind not in _TELLS_STOP:
                return (await self.connection.post("/apply-template", asked, _Prompt)).prompt
            wanted = {**asked, "add_generation_prompt": True, **self._template_settings()}
            tokens = (await self.connection.post("/tokenize", wanted, _Tokens)).tokens
            back = {"model": self.settings.model, "tokens": tokens}
            return (await self.connection.post("/detokenize", back, _Prompt)).prompt
        except BackendError as failure:
            said = str(failure)
            if not re.search("status (404|405|501)", said) or "does not exist" in said:
                raise
            raise BackendError(
                f"template: 'server' needs a server that renders chat templates ({failure}). Set template to the "
                "folder of the model's tokenizer, or to 'none' for a base model."
            ) from None

    def _template_variables(self) -> dict[str, object]:
        return {"enable_thinking": False} if self.settings.thinking == "off" else {}

    def _template_settings(self) -> dict[str, Any]:
        variables = self._template_variables()
        return {"chat_template_kwargs": variables} if variables else {}

    async def _ask(
        self, body: Mapping[str, Any], prefix: Prefix, n: int, sampling: Sampling, meter: Meter
    ) -> list[Draft]:
        """One streamed request, made again with fewer tokens where the server says that so many find no room."""
        said = body.get("prompt") or "".join(message["content"] for message in body["messages"])
        sampling = self._with_room(sampling, said)
        for _ in range(_OVERFLOWS):
            reply = _Reply(self, prefix, n, sampling, meter, estimated_tokens(said))
            try:
                await self._stream(body, reply)
                break
            except ContextOverflow as failure:
                fewer = self._after_overflow(sampling, said, str(failure))
                if not 0 < fewer.max_tokens < sampling.max_tokens:
                    raise
                sampling = fewer
        else:
            raise ContextOverflow(f"{self.name}: the server finds no room for {sampling.max_tokens} tokens either")
        if not meter.usage.estimated and said:
            self._tokens_a_character = meter.usage.read_tokens / len(said)
        return reply.drafts(self._context is not None)

    def _with_room(self, sampling: Sampling, said: str) -> Sampling:
        """Sampling with no more tokens than a context that is known leaves, by the last prompt's tokens a character."""
        if self._context is None:
            return sampling
        room = self._context - int(len(said) * self._tokens_a_character) - _SPARE_TOKENS
        return replace(sampling, max_tokens=min(sampling.max_tokens, max(1, room)))

    def _after_overflow(self, sampling: Sampling, said: str, message: str) -> Sampling:
        """Sampling with what room the server's message leaves; as it was where the message does not say."""
        context, prompt = told(message)
        if context is None:
            return sampling
        self._context = context
        if prompt is None:
            return self._with_room(sampling, said)
        return replace(sampling, max_tokens=min(sampling.max_tokens, context - prompt))

    async def _stream(self, body: Mapping[str, Any], reply: "_Reply") -> None:
        try:
            await self._stream_answers(body, reply)
        except BackendUnavailable:
            if self.settings.kind == "llama-cpp-python" and reply.unanswered:
                await self._ask_why(body, reply)
            raise

    async def _ask_why(self, body: Mapping[str, Any], reply: "_Reply") -> None:
        """Ask again for one token, not streamed: this server breaks streams off, some before they begin, where the
        prompt is too long, and does not say why. Raises what it says then."""
        reply.refuse()
        path = "/v1/completions" if "prompt" in body else "/v1/chat/completions"
        for _ in range(2):
            with suppress(BackendUnavailable):  # the first may go out over the connection that is broken
                answer = await self.connection.post(path, {**body, "max_tokens": 1}, Chunk)
                if answer.usage is not None:
                    reply.report(answer.usage)
                return

    async def _stream_answers(self, body: Mapping[str, Any], reply: "_Reply") -> None:
        wanted = {**body, **self._wanted(reply), **self.settings.extra}
        reply.most_tokens = most_tokens(wanted)
        async with self.connection.call() as client, self._opened(client, wanted) as response:
            reply.opened(response.headers.get("x-request-id", ""))
            async with aclosing(chunks(response.iter_bytes())) as arriving:
                async for chunk in arriving:
                    if chunk.error is not None:
                        reply.refuse()
                        raise self.connection.error_within({"error": chunk.error})
                    if chunk.usage is not None:
                        reply.report(chunk.usage)
                    for choice in chunk.choices:
                        reply.take(choice)
                    if reply.cut:
                        return
        reply.check()

    def _opened(self, client: AsyncOpenAI, wanted: dict[str, Any]) -> AbstractAsyncContextManager[Any]:
        """The request as a stream of bytes: the client's own parsing takes longer than a small step."""
        if "prompt" in wanted:
            prompt = wanted.pop("prompt")
            return client.completions.with_streaming_response.create(
                model=self.settings.model, prompt=prompt, stream=True, extra_body=wanted
            )
        messages = wanted.pop("messages")
        return client.chat.completions.with_streaming_response.create(
            model=self.settings.model, messages=messages, stream=True, extra_body=wanted
        )

    def _wanted(self, reply: "_Reply") -> dict[str, Any]:
        """The request's fields beside the prompt, in the words of this kind of server."""
        settings, sampling = self.settings, reply.sampling
        chat = settings.continuation is not Continuation.COMPLETIONS
        limit = "max_completion_tokens" if settings.kind == "openai" and chat else "max_tokens"
        wanted: dict[str, Any] = {
            limit: sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": sampling.seed % 2**31,
            "stream_options": {"include_usage": True},
        }
        if reply.n > 1:
            wanted["n"] = reply.n
        if sampling.stop is not None and settings.stop == "server":
            wanted["stop"] = [sampling.stop]
        if settings.logprobs:
            wanted |= {"logprobs": True, "top_logprobs": settings.logprobs} if chat else {"logprobs": settings.logprobs}
        if settings.kind == "openai":
            return wanted
        if settings.kind in _LLAMA:
            wanted |= {"top_k": sampling.top_k, "min_p": 0.0, "repeat_penalty": 1.0}
        elif sampling.top_k > 0:
            wanted["top_k"] = sampling.top_k
        if settings.kind in _TELLS_STOP:
            wanted["stream_options"]["continuous_usage_stats"] = True
        if chat:
            wanted |= self._template_settings()
        elif settings.template != "none" and settings.kind in _TELLS_STOP:
            wanted["add_special_tokens"] = False
        return wanted


class _Reply:
    """The answers to one request while they arrive; the meter is final whenever the request ends."""

    def __init__(
        self, model: OpenAiModel, prefix: Prefix, n: int, sampling: Sampling, meter: Meter, prompt_tokens: int
    ) -> None:
        self.n, self.sampling, self._model, self._meter = n, sampling, model, meter
        self.most_tokens: float = sampling.max_tokens
        self._client_stops = sampling.stop is not None and model.settings.stop == "client"
        self._tells_stop = model.settings.kind in _TELLS_STOP
        self._one_step = model.settings.continuation is Continuation.INSTRUCT
        self._begun = bool(prefix.steps)
        echo = written(prefix) if model.settings.continuation is Continuation.PREFILL else ""
        self._answers = [_Answer(sampling.stop, model.settings.thinking, echo) for _ in range(n)]
        self._prompt_tokens, self._reported, self._request_id = prompt_tokens, False, ""
        self._began = time.monotonic()

    @property
    def cut(self) -> bool:
        """Whether nothing of what is still to come is wanted."""
        return self._client_stops and all(answer.cutter.complete or answer.finish for answer in self._answers)

    @property
    def unanswered(self) -> bool:
        """Whether nothing of an answer has come."""
        return not any(answer.pieces or answer.finish for answer in self._answers)

    def opened(self, request_id: str) -> None:
        """The server has taken the request: from now on it costs."""
        self._request_id = request_id
        self._estimate()

    def refuse(self) -> None:
        """An error came instead of an answer, or in its middle."""
        if not any(answer.pieces for answer in self._answers):
            self._meter.usage = Usage()

    def report(self, reported: ReportedUsage) -> None:
        """What the server says that it used so far."""
        most = self.n * (self.most_tokens + 1)
        pieces = sum(answer.pieces for answer in self._answers)
        if reported.sound and reported.usage.output_tokens <= most and (reported.usage.output_tokens or not pieces):
            self._reported, self._meter.usage = True, reported.usage

    def take(self, choice: Choice) -> None:
        """The next piece of an answer."""
        if not 0 <= choice.index < self.n:
            raise BackendUnavailable(f"{self._model.name}: answer {choice.index} of {self.n} was not asked for")
        answer = self._answers[choice.index]
        answer.take(choice)
        if not self._reported:
            self._estimate()
        elif self._tells_stop and self.n == 1 and answer.pieces > self._meter.usage.output_tokens:
            raise BackendUnavailable(f"{self._model.name}: a piece came twice")

    def check(self) -> None:
        """Raises BackendUnavailable where the stream ended before all answers had, BackendError for a refusal."""
        if not all(answer.finish for answer in self._answers):
            hint = _BROKEN_OFF.get(self._model.settings.kind, "")
            raise BackendUnavailable(f"{self._model.name}: the stream broke off before the answer was complete{hint}")
        if any(answer.finish == "content_filter" for answer in self._answers):
            raise BackendError(f"{self._model.name}: the server's content filter stopped the answer")

    def drafts(self, context_known: bool) -> list[Draft]:
        """One draft an answer; the first is billed for the prompt."""
        usage, latency_s = self._meter.usage, time.monotonic() - self._began
        shares = _shares(usage.output_tokens, [answer.tokens for answer in self._answers])
        first = True
        drafts = []
        for answer, share in zip(self._answers, shares, strict=True):
            own = (
                replace(usage, output_tokens=share) if first else Usage(output_tokens=share, estimated=usage.estimated)
            )
            drafts.append(
                Draft(
                    model=self._model.name,
                    text=answer.cutter.text,
                    stop=self._stop(answer, context_known),
                    usage=own,
                    logprobs=tuple(answer.logprobs) or None,
                    first_token_entropy=answer.entropy,
                    latency_s=latency_s,
                    request_id=self._request_id,
                )
            )
            first = False
        return drafts

    def _stop(self, answer: "_Answer", context_known: bool) -> Stop:
        if answer.cutter.complete:
            return Stop.SEPARATOR
        if answer.finish == "length":
            return Stop.CONTEXT if context_known else Stop.LENGTH
        if self.sampling.stop is None or (self._client_stops and not self._one_step):
            return Stop.END
        if self._tells_stop and not self._one_step:
            return Stop.SEPARATOR if answer.stopped_at == self.sampling.stop else Stop.END
        # Other servers do not say which it was, and a step that was asked for ends by itself; after the solution's end
        # the next step comes back empty.
        return Stop.SEPARATOR if answer.cutter.text or not self._begun else Stop.END

    def _estimate(self) -> None:
        tokens = sum(answer.tokens for answer in self._answers)
        self._meter.usage = Usage(input_tokens=self._prompt_tokens, output_tokens=tokens, estimated=True)


class _Answer:
    """One of the answers while it arrives."""

    def __init__(self, separator: str | None, thinking: str, echo: str) -> None:
        self.cutter = StepCutter(separator, hide_thinking=thinking == "hide", echo=echo)
        self.finish, self.stopped_at = "", ""
        self.pieces = 0
        self.logprobs: list[float] = []
        self.entropy: float | None = None
        self._keeps_thoughts = thinking == "keep"
        self._thinking = False

    @property
    def tokens(self) -> int:
        """How many have arrived: one a log-probability, or a piece where there are none."""
        return len(self.logprobs) or self.pieces

    def take(self, choice: Choice) -> None:
        """The next piece."""
        self.pieces += bool(choice.piece or choice.thought)
        if choice.logprobs is not None:
            values, alternatives = choice.logprobs.values, choice.logprobs.first_alternatives
            if not self.logprobs and len(alternatives) > 1:
                self.entropy = -sum(exp(value) * value for value in alternatives)
            self.logprobs += values
        if self._keeps_thoughts and choice.thought:
            self.cutter.feed(choice.thought if self._thinking else f"<think>{choice.thought}")
            self._thinking = True
        if choice.piece:
            self.cutter.feed(f"</think>{choice.piece}" if self._thinking else choice.piece)
            self._thinking = False
        if choice.finish_reason:
            self.finish = choice.finish_reason
            reason = choice.stop_reason if choice.stop_reason is not None else choice.matched_stop
            self.stopped_at = reason if isinstance(reason, str) else ""


def _shares(total: int, parts: list[int]) -> list[int]:
    """`total` in proportion to the parts, exactly."""
    weight, done, shares = sum(parts) or len(parts), 0, []
    ran = 0
    for part in parts:
        ran += part if sum(parts) else 1
        share = total * ran // weight - done
        done += share
        shares.append(share)
    return shares
