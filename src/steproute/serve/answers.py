"""The shapes of what the gateway answers, for its OpenAPI document."""

from typing import Any, Literal

import msgspec


class StepFacts(msgspec.Struct):
    """Who wrote a step. score: null if it was not scored. tokens: generated tokens of the step."""

    role: str
    score: float | None
    tokens: int


class RoleUsage(msgspec.Struct):
    """What one model or scorer used. cost_usd: exact dollars."""

    calls: int
    read_tokens: int
    output_tokens: int
    cost_usd: str


class Extension(msgspec.Struct):
    """The field `steproute` of an answer. choice, reason: of a route that chooses per request. turn:
    which of an agent's turns it is, of a route that routes them."""

    trace_id: str
    route: str
    outcome: str
    answer: str | None
    cost_usd: str
    latency_s: float
    steps: list[StepFacts]
    usage_by_role: dict[str, RoleUsage]
    choice: str | msgspec.UnsetType = msgspec.UNSET
    reason: str | msgspec.UnsetType = msgspec.UNSET
    turn: int | msgspec.UnsetType = msgspec.UNSET


class ChatUsage(msgspec.Struct):
    """Tokens of all calls, those for scoring and for discarded drafts included."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: dict[str, int]
    completion_tokens_details: dict[str, int]


class ChatChoice(msgspec.Struct):
    """An answer."""

    index: int
    message: dict[str, Any]
    finish_reason: str
    logprobs: dict[str, Any] | None


class ChatCompletion(msgspec.Struct):
    """An answer of the chat API."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: ChatUsage
    steproute: Extension


class TextChoice(msgspec.Struct):
    """An answer."""

    index: int
    text: str
    finish_reason: str
    logprobs: None


class TextCompletion(msgspec.Struct):
    """An answer of the older completions API."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[TextChoice]
    usage: ChatUsage
    steproute: Extension


class ResponsesUsage(msgspec.Struct):
    """Tokens of all calls, those for scoring and for discarded drafts included."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_tokens_details: dict[str, int]
    output_tokens_details: dict[str, int]


class ResponsesAnswer(msgspec.Struct):
    """An answer of the Responses API, with the request's fields as OpenAI's API sends them back."""

    id: str
    object: Literal["response"]
    created_at: int
    status: Literal["completed", "incomplete"]
    model: str
    output: list[dict[str, Any]]
    incomplete_details: dict[str, str] | None
    usage: ResponsesUsage
    steproute: Extension


class MessagesUsage(msgspec.Struct):
    """Tokens of all calls. input_tokens: those that no cache had."""

    input_tokens: int
    output_tokens: int
    cache_creation_input_tokens: int
    cache_read_input_tokens: int


class MessagesAnswer(msgspec.Struct):
    """An answer of the Messages API."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[dict[str, Any]]
    stop_reason: Literal["end_turn", "max_tokens", "tool_use", "refusal"]
    stop_sequence: None
    usage: MessagesUsage
    steproute: Extension


class ModelFacts(msgspec.Struct):
    """How a route answers: the strategy's full name, and the role that gets what is passed through."""

    route: str
    passthrough: str


class Model(msgspec.Struct):
    """A route, which clients name as their model."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    steproute: ModelFacts


class ModelList(msgspec.Struct):
    """All routes."""

    object: Literal["list"]
    data: list[Model]


class ExpectedCost(msgspec.Struct):
    """Dollars that an answer costs, by what has been measured or by bounds. source: which of them."""

    low_usd: float
    expected_usd: float
    high_usd: float
    source: str


class Simulation(msgspec.Struct):
    """How a request would be answered. reserves_usd: exact dollars."""

    route: str
    answered_by: str
    choice: str
    reason: str
    reserves_usd: str
    expected_cost: ExpectedCost


class SavedDollars(msgspec.Struct):
    """Exact dollars in text. saved_usd: baseline_usd less everything that was spent."""

    requests: int
    baseline_usd: str
    spent_usd: str
    saved_usd: str


class MeasuredBaseline(msgspec.Struct):
    """What all requests would have cost without routing, by a sample that the passthrough model alone was also asked.

    low_usd, high_usd: of the 95 % interval, null below 30 requests. sample_usd: exact dollars of the sample.
    """

    requests: int
    sample_usd: str
    baseline_usd: float
    low_usd: float | None
    high_usd: float | None


class RouteSavings(SavedDollars):
    """Those of one tenant on one route. measured: null if nothing was measured."""

    tenant: str
    route: str
    measured: MeasuredBaseline | None


class SavingsReport(msgspec.Struct):
    """What was spent, and what it would have cost without routing. baseline: how that is modelled."""

    baseline: str
    total: SavedDollars
    routes: list[RouteSavings]


class KeptTrace(msgspec.Struct):
    """An answer that is kept. trace: its steps, decisions and account. messages: null if conversations are not kept."""

    id: str
    created: str
    trace: dict[str, Any]
    messages: list[dict[str, Any]] | None


class Health(msgspec.Struct):
    """Whether the process runs."""

    status: str


class Readiness(msgspec.Struct):
    """Whether requests can be answered: `ready`, `not ready` or `draining`.

    ledger, roles, routes: `ok` or `down`; a role may also be `circuit open`.
    """

    status: str
    ledger: str
    roles: dict[str, str]
    routes: dict[str, str]


class ErrorFields(msgspec.Struct):
    """What is wrong. param: the field of the request, if it is one."""

    message: str
    type: str
    param: str | None
    code: str | None


class Error(msgspec.Struct):
    """An error as OpenAI's clients read it."""

    error: ErrorFields


class MessagesErrorFields(msgspec.Struct):
    """What is wrong."""

    type: str
    message: str


class MessagesError(msgspec.Struct):
    """An error as Anthropic's clients read it."""

    type: Literal["error"]
    error: MessagesErrorFields
    request_id: str | None
