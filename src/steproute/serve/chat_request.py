"""`POST /v1/chat/completions`: the request, and what of it each kind of route can do."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

import msgspec

from steproute.config.gateway import GatewayRoute
from steproute.core.chat import ChatRequest
from steproute.core.errors import ConfigError, DatasetError, RequestError
from steproute.core.problem import Problem, attachments_of, texts_of
from steproute.engine.limits import Limits
from steproute.serve.errors import ApiError, refused_field

PREFIX: Final = "steproute/"


class StreamOptions(msgspec.Struct, forbid_unknown_fields=True):
    """What a stream ends with."""

    include_usage: bool = False
    include_obfuscation: bool = False


class Overrides(msgspec.Struct, forbid_unknown_fields=True):
    """The field `steproute` of a request: less than the route allows, or its knob within the route's range."""

    max_cost_usd: float | None = None
    deadline_s: float | None = None
    knob: float | None = None
    seed: int | None = None


class ChatBody(msgspec.Struct):
    """The fields of a chat request that the gateway reads itself."""

    model: str
    messages: list[dict[str, Any]]
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    n: int | None = 1
    seed: int | None = None
    tools: list[dict[str, Any]] | None = None
    response_format: dict[str, Any] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    metadata: dict[str, str] | None = None
    store: bool | None = None
    service_tier: str | None = None
    steproute: Overrides | None = None

    @property
    def most_tokens(self) -> int | None:
        """The limit of generated tokens, by its new name or its old one."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens

    @property
    def overrides(self) -> Overrides:
        """The field `steproute`, empty if it is not given."""
        return self.steproute or Overrides()


_KNOWN: Final = frozenset(ChatBody.__struct_fields__)
_OWN: Final = frozenset({"model", "messages", "stream", "stream_options", "steproute"})
"""Fields that the gateway answers to, so that a model that a request is passed to does not get them."""
_NO_TIER: Final = frozenset({"default", "auto", None})
_OTHER_COST: Final = frozenset(
    {"models", "provider", "plugins", "search_parameters", "web_search_options", "audio"}  # who answers, and with what
    | {"best_of", "use_beam_search", "chat_template", "mm_processor_kwargs"}  # tokens beyond those that are bounded
)
"""Fields of model servers by which a call may cost more than its messages and limits say, so more than is reserved."""


@dataclass(frozen=True, slots=True)
class Chat:
    """A chat request: what the gateway reads of it, and all of it as it came."""

    body: ChatBody
    request: ChatRequest

    @classmethod
    def from_json(cls, text: bytes) -> "Chat":
        """From a request's body. Raises ApiError that names the field."""
        try:
            text.decode()  # bytes of fields that are passed on are not looked at below
            fields = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
            body = msgspec.json.decode(text, type=ChatBody)
        except msgspec.ValidationError as failure:
            raise invalid(failure) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as failure:
            raise ApiError(400, f"The body is no JSON: {failure}") from None
        return cls._checked(body, fields)

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> "Chat":
        """From fields that another API's request was translated into. Raises ApiError that names the field."""
        try:
            return cls._checked(msgspec.convert(fields, ChatBody), fields)
        except msgspec.ValidationError as failure:
            raise invalid(failure) from None

    @classmethod
    def _checked(cls, body: ChatBody, fields: Mapping[str, Any]) -> "Chat":
        for name in ("max_tokens", "max_completion_tokens"):
            value = getattr(body, name)
            if value is not None and value < 1:
                raise ApiError(400, f"{name}: {value} is below 1.", param=name)
        for number, message in enumerate(body.messages):
            _check_message(number, message)
        if body.store:
            raise refused_field("store", "answers are not stored for later requests.")
        passed = {name: value for name, value in fields.items() if name not in _OWN}
        try:
            chat = cls(body, ChatRequest(messages=tuple(body.messages), fields=passed))
        except RequestError as failure:
            raise ApiError(400, str(failure), param="messages") from None
        chat._check_cost()
        return chat

    def _check_cost(self) -> None:
        """Raises ApiError for a field by which a call may cost more than is reserved."""
        if self.body.service_tier not in _NO_TIER:
            raise refused_field("service_tier", "a model has one price, so there are no tiers.")
        for name in sorted(self.request.fields.keys() & _OTHER_COST):
            if self.request.get(name) is not None:
                raise refused_field(name, "it changes what a call may cost, which is reserved before it is made.")

    @property
    def wants_passthrough(self) -> bool:
        """Whether one model has to answer: tools, JSON and images do not go in steps."""
        body = self.body
        is_json = body.response_format is not None and body.response_format.get("type") != "text"
        return bool(body.tools) or is_json or self._has_calls or any(map(attachments_of, body.messages))

    @property
    def is_agents(self) -> bool:
        """Whether it asks for a turn that may call functions, in a conversation of text."""
        body = self.body
        functions = all(isinstance(tool.get("function"), Mapping) for tool in body.tools or ())
        return bool(body.tools or self._has_calls) and functions and not any(map(attachments_of, body.messages))

    @property
    def _has_calls(self) -> bool:
        return any(message.get("tool_calls") or message["role"] == "tool" for message in self.body.messages)

    @property
    def text(self) -> str:
        """The text of the last user turn."""
        turns = [message for message in self.body.messages if message["role"] == "user"]
        return "\n\n".join(texts_of(turns[-1])) if turns else ""

    def check_steps(self) -> None:
        """Raises ApiError for a field that step routing cannot do."""
        if self.body.n not in (None, 1):
            raise refused_field("n", "a step route gives one answer to each request.")
        for name in self.request.fields.keys() - _KNOWN:
            if self.request.get(name) is not None:
                raise refused_field(name, "a step route cannot do that. Use a route that passes requests through.")


def invalid(failure: msgspec.ValidationError) -> ApiError:
    """The error of a field that has a wrong type or a value that it cannot have."""
    what, _, place = str(failure).partition(" - at `$")
    param = place.strip("`.") or None
    return ApiError(400, f"{param}: {what}" if param else what, param=param)


@contextmanager
def of_request(place: str = "") -> Iterator[None]:
    """A setting that a client has sent is its own: what is wrong with it is a RequestError. place: before its name."""
    try:
        yield
    except ConfigError as failure:
        raise RequestError(failure.message, where=place + failure.where, remedy=failure.remedy) from None


def problem_of(body: ChatBody, route: GatewayRoute, trace_id: str) -> Problem:
    """The conversation as a problem. Raises ApiError that names the message that is wrong."""
    try:
        return Problem(id=trace_id, messages=tuple(body.messages), rule=route.rule)
    except DatasetError as failure:
        raise ApiError(400, str(failure), param="messages") from None


def limits_of(request: ChatBody, route: GatewayRoute) -> Limits:
    """The route's limits, or the request's where those are lower."""
    asked = request.overrides
    money = None if asked.max_cost_usd is None else Decimal(str(asked.max_cost_usd))
    for name, value in (("max_cost_usd", money), ("deadline_s", asked.deadline_s)):
        if value is not None and not value > 0:
            raise ApiError(400, f"steproute.{name}: {value} is not above 0.", param=f"steproute.{name}")
    limits = route.limits
    with of_request("steproute."):
        return replace(
            limits,
            max_tokens=_lower(limits.max_tokens, request.most_tokens),
            max_cost_usd=_lower(limits.max_cost_usd, money),
            deadline_s=_lower(limits.deadline_s, asked.deadline_s),
        )


def _lower(own: Any, asked: Any) -> Any:
    return min((value for value in (own, asked) if value is not None), default=None)


def knob_of(request: ChatBody, route: GatewayRoute) -> float | None:
    """The knob that the request sets, if it does. Raises ApiError for one that the route does not allow."""
    knob = request.overrides.knob
    if knob is None:
        return None
    param = "steproute.knob"
    if route.knobs is None:
        raise ApiError(400, f"{param}: the route {route.name} has a fixed knob.", param=param)
    low, high = route.knobs
    if not low <= knob <= high:
        raise ApiError(400, f"{param}: {knob} is outside {low} to {high}.", param=param)
    return knob


def _check_message(number: int, message: Mapping[str, Any]) -> None:
    """Raises ApiError for what no code behind this expects; whether the model takes the rest is for its server."""
    content, calls = message.get("content"), message.get("tool_calls")
    if not (content is None or isinstance(content, str) or _are_objects(content)):
        raise ApiError(400, f"messages[{number}].content: it is no text and no list of parts.", param="messages")
    if not (calls is None or _are_objects(calls)):
        raise ApiError(400, f"messages[{number}].tool_calls: it is no list of calls.", param="messages")


def _are_objects(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(each, Mapping) for each in value)
