"""`GET /openapi.json`: all paths, from the types of their requests and answers."""

from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from steproute.serve import answers
from steproute.serve.chat_request import ChatBody
from steproute.serve.completions import CompletionRequest
from steproute.serve.gateway import Gateway
from steproute.serve.messages_request import MessagesRequest
from steproute.serve.responses_request import ResponsesRequest

_REF: Final = "#/components/schemas/{name}"
_STATUSES: Final = {
    "400": "A field that is wrong or not supported, which `param` names.",
    "401": "No valid API key.",
    "402": "A budget is spent. Clients do not try again.",
    "404": "No such model.",
    "413": "The body is too large.",
    "429": "A rate is exceeded, or the budget's rest is held by other requests; `Retry-After` says how long to wait.",
    "502": "A model or scorer has failed, also when it was tried again.",
    "503": "The gateway is full or stopping, or its ledger cannot be reached. Nothing was sent to a model.",
}
_HEADERS: Final = {
    "x-steproute-trace-id": {"description": "The trace of this answer.", "schema": {"type": "string"}},
    "x-steproute-cost-usd": {"description": "Exact dollars; not of streams.", "schema": {"type": "string"}},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A path and its method. request: None for no body. query: what may follow the path, each a text."""

    path: str
    method: str
    summary: str
    answer: Any
    request: Any = None
    error: Any = answers.Error
    streams: bool = False
    needs_key: bool = True
    query: tuple[str, ...] = ()


_ANSWER: Final[dict[str, Any]] = {"method": "post", "streams": True}
_GET: Final[dict[str, Any]] = {"method": "get"}
_OPEN: Final[dict[str, Any]] = {"method": "get", "needs_key": False}
OPERATIONS: Final = (
    Operation(
        path="/v1/chat/completions",
        summary="Answer a conversation.",
        request=ChatBody,
        answer=answers.ChatCompletion,
        **_ANSWER,
    ),
    Operation(
        path="/v1/completions",
        summary="Answer a prompt.",
        request=CompletionRequest,
        answer=answers.TextCompletion,
        **_ANSWER,
    ),
    Operation(
        path="/v1/responses",
        summary="Answer an input.",
        request=ResponsesRequest,
        answer=answers.ResponsesAnswer,
        **_ANSWER,
    ),
    Operation(
        path="/v1/messages",
        summary="Answer a conversation in Anthropic's words.",
        request=MessagesRequest,
        answer=answers.MessagesAnswer,
        error=answers.MessagesError,
        **_ANSWER,
    ),
    Operation(
        path="/v1/simulate",
        method="post",
        summary="How a chat request would be answered, and its expected price. No model is called.",
        request=ChatBody,
        answer=answers.Simulation,
    ),
    Operation(
        path="/v1/savings",
        summary="What was spent, and what it would have cost without routing.",
        answer=answers.SavingsReport,
        query=("first", "last"),
        **_GET,
    ),
    Operation(path="/v1/traces/{name}", summary="One answer with its account.", answer=answers.KeptTrace, **_GET),
    Operation(path="/v1/models", summary="All routes.", answer=answers.ModelList, **_GET),
    Operation(path="/v1/models/{name}", summary="One route.", answer=answers.Model, **_GET),
    Operation(path="/healthz", summary="Whether the process runs.", answer=answers.Health, **_OPEN),
    Operation(path="/readyz", summary="Whether requests can be answered.", answer=answers.Readiness, **_OPEN),
    Operation(path="/metrics", summary="Numbers for Prometheus.", answer=None, **_OPEN),
    Operation(path="/openapi.json", summary="This document.", answer=dict[str, Any], **_OPEN),
)


async def openapi(request: Request) -> Response:
    """The document."""
    gateway: Gateway = request.app.state.gateway
    body = msgspec.json.encode(document(keys=gateway.settings.keys))
    return Response(body, media_type="application/json")


@cache
def document(*, keys: bool) -> dict[str, Any]:
    """The OpenAPI document. keys: whether requests need an API key."""
    types = {
        each
        for operation in OPERATIONS
        for each in (operation.request, operation.answer, operation.error)
        if each is not None
    }
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    schema_of = dict(zip(types, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation, schema_of)
    schemes = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "steproute gateway", "version": version("steproute"), "license": {"name": "Apache-2.0"}},
        "security": [{name: []} for name in schemes] if keys else [],
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": schemes},
    }


def _operation(operation: Operation, schema_of: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = {"summary": operation.summary, "responses": _responses(operation, schema_of)}
    if operation.request is not None:
        fields["requestBody"] = {"required": True, "content": _json(schema_of[operation.request])}
    if "{name}" in operation.path:
        fields["parameters"] = [{"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}]
    if operation.query:
        fields["parameters"] = [{"name": name, "in": "query", "schema": {"type": "string"}} for name in operation.query]
    return fields if operation.needs_key else {**fields, "security": []}


def _responses(operation: Operation, schema_of: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    text = {"schema": {"type": "string"}}
    content = {"text/plain": text} if operation.answer is None else _json(schema_of[operation.answer])
    if operation.streams:
        content["text/event-stream"] = text
    responses: dict[str, Any] = {"200": {"description": "The answer.", "content": content}}
    if operation.streams:
        responses["200"]["headers"] = _HEADERS
    if operation.path == "/readyz":
        responses["503"] = {"description": "Not ready.", "content": content}
    statuses = _STATUSES if operation.method == "post" else {"401": _STATUSES["401"], "404": _STATUSES["404"]}
    if operation.needs_key:
        error = _json(schema_of[operation.error])
        responses |= {status: {"description": text, "content": error} for status, text in statuses.items()}
    return responses


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
