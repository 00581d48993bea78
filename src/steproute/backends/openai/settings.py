"""How to talk to a model of an OpenAI-compatible server."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal
from urllib.parse import urlsplit

from steproute.backends.http.providers import refused_by
from steproute.backends.http.refused_fields import FIELDS
from steproute.backends.http.server import Server
from steproute.backends.openai.kinds import KINDS, Kind, ServerKind
from steproute.backends.reasoning import Thinking
from steproute.core.chat import LIMIT_FIELDS
from steproute.core.errors import ConfigError, ContinuationUnsupported
from steproute.core.ports import Continuation, ModelCapabilities
from steproute.core.usage_bounds import asks_for_an_hour

LIMITS: Final = LIMIT_FIELDS

LOGPROBS: Final = ("logprobs", "top_logprobs")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAiSettings:
    """How to talk to one model of one server.

    continuation: how it continues a half-written answer; for `completions` the prompt comes from the chat template
    that the server renders, or that of the tokenizer's folder that `template` names, or with "none" is the bare text.
    instructions: the system message; None for that of the problem's answer rule, "" for none.
    stop: who ends a step at the separator; `client` closes the stream there, for servers that cannot be relied on to.
    thinking: reasoning is kept as steps (`instruct` hides it), hidden and paid for, or switched off, by the chat
    template or as the kind of server has it.
    logprobs: how many alternatives a token to ask for, 0 for none. extra: further fields of every request. omit: fields
    that are not sent, since the model refuses them; None for those that its provider's models are known to refuse.
    Without `stop` the step ends here, as by `client`; without `seed` a run cannot be repeated; without temperature,
    top_p or top_k the model samples its own way; without stream_options tokens are estimated; without one of max_tokens
    and max_completion_tokens the other is sent.

    Raises ConfigError for a mode that needs another stop, ContinuationUnsupported for one that the server lacks.
    """

    model: str
    server: Server
    kind: Kind = "vllm"
    continuation: Continuation = Continuation.COMPLETIONS
    template: str = "server"
    instructions: str | None = None
    stop: Literal["server", "client"] = "server"
    thinking: Thinking = "keep"
    logprobs: int = 0
    extra: Mapping[str, object] = field(default_factory=dict)
    omit: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        _check_omitted(self.omit or (), self.logprobs)
        if "stop" in self.omitted:
            object.__setattr__(self, "stop", "client")
        facts, can = self.facts, self.facts.continuations
        if self.continuation not in can:
            raise ContinuationUnsupported(
                f"{self.continuation.value!r} is not offered by {self.kind} servers.",
                where="continuation",
                remedy=f"Use {' or '.join(repr(mode.value) for mode in can)}.",
            )
        chat = self.continuation is not Continuation.COMPLETIONS
        if facts.wraps_prompts and not chat and self.template != "none":
            raise ConfigError(
                f"{self.template!r} would be wrapped in the template that {self.kind} puts around every prompt.",
                where="template",
                remedy="Set continuation to 'prefill' or 'instruct', or template to 'none' for a base model.",
            )
        if self.stop == "server" and (self.thinking == "hide" or self.continuation is Continuation.PREFILL):
            raise ConfigError(
                "'server' would end a step inside hidden reasoning or a prefill.", where="stop", remedy="Use 'client'."
            )
        if self.thinking == "off" and chat and facts.reasoning_switch is None:
            raise ConfigError(
                f"{self.kind} servers have no common way to switch reasoning off.",
                where="thinking",
                remedy="Leave it out, and put what this one takes into extra, such as extra = { "
                'reasoning_effort = "none" }.',
            )
        if not 0 <= self.logprobs <= 20:
            raise ConfigError(f"{self.logprobs} is outside [0, 20].", where="logprobs")
        if facts.renders_template is None and not chat and self.template == "server":
            raise ConfigError(
                f"a {self.kind} server renders no template.",
                where="template",
                remedy="Use a tokenizer's folder or 'none'.",
            )

    @property
    def facts(self) -> ServerKind:
        """What is particular to the kind of server."""
        return KINDS[self.kind]

    @property
    def omitted(self) -> tuple[str, ...]:
        """Fields of requests that are not sent."""
        if self.omit is not None:
            return self.omit
        if not self.facts.refuses_by_model:
            return ()
        host = urlsplit(self.server.url).hostname or ""
        known = refused_by(host, self.model)
        return tuple(name for name in known if not (self.logprobs and name in LOGPROBS))

    @property
    def capabilities(self) -> ModelCapabilities:
        """What a model with these settings can do."""
        modes = (self.continuation, *(mode for mode in self.facts.continuations if mode is not self.continuation))
        chats = self.continuation is not Continuation.COMPLETIONS or self.template != "none"
        return ModelCapabilities(
            continuations=modes,
            logprobs=self.logprobs > 0,
            several=self.facts.several,
            tools=chats,
            greedy="temperature" not in self.omitted,
            hides_reasoning=self.thinking == "hide",
            tool_calls=chats,
            hour_writes=asks_for_an_hour(json.dumps(dict(self.extra))),
            images=chats,
            response_formats=("json_object", "json_schema") if chats else (),
        )

    def without(self, fields: tuple[str, ...]) -> "OpenAiSettings":
        """These settings with further fields that are not sent."""
        return replace(self, omit=tuple(dict.fromkeys((*self.omitted, *fields))))


def _check_omitted(omit: tuple[str, ...], logprobs: int) -> None:
    for name in omit:
        if name not in FIELDS:
            raise ConfigError(
                f"{name!r} is no field that is sent.", where="omit", remedy=f"Use some of {', '.join(FIELDS)}."
            )
    if set(LIMITS) <= set(omit):
        raise ConfigError(
            f"without {' and '.join(LIMITS)} no budget could be kept.", where="omit", remedy="Leave out one of them."
        )
    if logprobs and LOGPROBS[0] in omit:
        raise ConfigError(
            f"'logprobs' contradicts logprobs = {logprobs}.",
            where="omit",
            remedy="Set logprobs = 0, or do not omit it.",
        )
