"""`POST /v1/chat/completions`: the request, and what of it each kind of route can do."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

import msgspec

from steproute.config.gateway import GatewayRoute
from steproute.core.errors import DatasetError
from steproute.core.problem import Problem, attachments_of
from steproute.engine.limits import Limits
from steproute.serve.body import typed
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


class ChatRequest(msgspec.Struct):
    """A chat request. What is not listed here is passed on by routes that pass through, and refused by the others."""

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

    @property
    def wants_passthrough(self) -> bool:
        """Whether one model has to answer: tools, JSON and images do not go in steps."""
        return bool(self.tools) or self.is_json or any(map(attachments_of, self.messages))

    @property
    def is_json(self) -> bool:
        """Whether the answer is to be JSON."""
        return self.response_format is not None and self.response_format.get("type") != "text"


_KNOWN: Final = frozenset(ChatRequest.__struct_fields__)
_OF_EVERY_ROUTE: Final = frozenset({"none", "default", "auto", None})


def chat_request(fields: Mapping[str, Any]) -> ChatRequest:
    """The fields as a request. Raises ApiError that names the field that is wrong."""
    request = typed(fields, ChatRequest)
    _check(request)
    return request


def _check(request: ChatRequest) -> None:
    for name in ("max_tokens", "max_completion_tokens"):
        value = getattr(request, name)
        if value is not None and value < 1:
            raise ApiError(400, f"{name}: {value} is below 1.", param=name)
    if request.n not in (None, 1):
        raise refused_field("n", "one answer is given to each request.")
    if request.store:
        raise refused_field("store", "answers are not stored for later requests.")
    if request.service_tier not in _OF_EVERY_ROUTE:
        raise refused_field("service_tier", "there are no tiers.")


def check_steps(request: ChatRequest, fields: Mapping[str, Any]) -> None:
    """Raises ApiError for a field that step routing cannot do."""
    for name in fields.keys() - _KNOWN:
        if fields[name] is not None:
            raise refused_field(name, "a step route cannot do that. Use a route that passes requests through.")


def problem_of(request: ChatRequest, route: GatewayRoute, trace_id: str) -> Problem:
    """The conversation as a problem. Raises ApiError that names the message that is wrong."""
    try:
        return Problem(id=trace_id, messages=tuple(request.messages), rule=route.rule)
    except DatasetError as failure:
        raise ApiError(400, str(failure), param="messages") from None


def limits_of(request: ChatRequest, route: GatewayRoute) -> Limits:
    """The route's limits, or the request's where those are lower."""
    asked = request.overrides
    money = None if asked.max_cost_usd is None else Decimal(str(asked.max_cost_usd))
    for name, value in (("max_cost_usd", money), ("deadline_s", asked.deadline_s)):
        if value is not None and not value > 0:
            raise ApiError(400, f"steproute.{name}: {value} is not above 0.", param=f"steproute.{name}")
    limits = route.limits
    return replace(
        limits,
        max_tokens=_lower(limits.max_tokens, request.most_tokens),
        max_cost_usd=_lower(limits.max_cost_usd, money),
        deadline_s=_lower(limits.deadline_s, asked.deadline_s),
    )


def _lower(own: Any, asked: Any) -> Any:
    return min((value for value in (own, asked) if value is not None), default=None)


def knob_of(request: ChatRequest, route: GatewayRoute) -> float | None:
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
