"""A request's spans as data, from its events: request, step, and within a step its calls, scores and decisions.

Names and attributes follow OpenTelemetry's semantic conventions for generative AI where they have some; our own begin
with `steproute.`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from steproute.core.decision import Rewrite
from steproute.core.events import Accepted, Billed, Decided, Scored
from steproute.core.ports import CAPABILITIES, Continuation
from steproute.core.solution import Outcome, Scores, Step
from steproute.core.usage import AccountLine, Purpose
from steproute.engine.limiter import Limiter
from steproute.engine.roles import Roles
from steproute.serve.observed import Observed

_NS: Final = 1e9
_IN_PROCESS: Final = "steproute"


@dataclass(slots=True, kw_only=True)
class SpanNode:
    """A span: nanoseconds since 1970, attributes, the class of its error if it failed, and what happened within it."""

    name: str
    start_ns: int
    end_ns: int
    attributes: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    is_server: bool = False
    is_client: bool = False
    within: "list[SpanNode]" = field(default_factory=list)


def request_tree(request: Observed, roles: Roles) -> SpanNode:
    """The span of a request, with one for each step within it. Calls after the last step are beside the steps."""
    root = SpanNode(
        name=f"{request.method} {request.path}",
        start_ns=request.began_ns,
        end_ns=request.ended_ns,
        attributes=_request_attributes(request),
        error=_error(request),
        is_server=True,
    )
    purposes = _purposes(request)
    begins, within = request.began_ns, list[SpanNode]()
    for at_ns, event in request.events or ():
        if isinstance(event, Billed):
            within.append(_call(at_ns, event.line, next(purposes, event.line.purpose), roles))
        elif isinstance(event, Scored):
            _score(within, at_ns, event.scores)
        elif isinstance(event, Decided):
            within.append(_decision(at_ns, event))
        elif isinstance(event, Accepted):
            root.within.append(_step(len(root.within) + 1, begins, at_ns, event.step, within))
            begins, within = at_ns, []
    root.within += within
    return root


def _error(request: Observed) -> str:
    """Empty unless the gateway or a model failed; a client's mistake is no error of a server's span."""
    return request.error if request.status >= 500 or request.outcome == Outcome.FAILED else ""


def _request_attributes(request: Observed) -> dict[str, Any]:
    principal, trace = request.principal, request.trace
    attributes: dict[str, Any] = {
        "http.request.method": request.method,
        "http.route": request.path,
        "http.response.status_code": request.status,
        "steproute.request.id": request.id,
        "steproute.outcome": request.outcome,
    }
    if principal is not None:
        attributes |= {"steproute.tenant": principal.tenant, "steproute.key.id": principal.key_id}
    if request.trace_id:
        attributes |= {
            "gen_ai.operation.name": "invoke_workflow",
            "gen_ai.workflow.name": request.route,
            "gen_ai.response.id": request.trace_id,
        }
    if request.first_step_s is not None:
        attributes["gen_ai.response.time_to_first_chunk"] = request.first_step_s
    if trace is not None:
        attributes["steproute.cost_usd"] = float(trace.cost_usd)
    return attributes


def _purposes(request: Observed) -> Iterator[Purpose]:
    """What became of each call, which is known at the end; the trace's account has the calls in their order."""
    return iter([line.purpose for line in request.trace.account] if request.trace else [])


def _step(number: int, begins: int, ends: int, step: Step, within: list[SpanNode]) -> SpanNode:
    attributes: dict[str, Any] = {
        "steproute.step.number": number,
        "steproute.role": step.role,
        "steproute.step.tokens": step.tokens,
        "steproute.step.rewritten": step.rejected is not None,
    }
    if step.score is not None:
        attributes["steproute.step.score"] = step.score
    return SpanNode(name=f"step {number}", start_ns=begins, end_ns=ends, attributes=attributes, within=within)


def _call(at_ns: int, line: AccountLine, purpose: Purpose, roles: Roles) -> SpanNode:
    operation = "score" if line.purpose is Purpose.SCORE else _operation(line.role, roles)
    backend, limiter = _reached(line.role, roles)
    usage, server = line.usage, _server(limiter)
    return SpanNode(
        name=f"{operation} {line.model}",
        start_ns=at_ns - round(line.latency_s * _NS),
        end_ns=at_ns,
        attributes={
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": backend or _IN_PROCESS,
            "gen_ai.request.model": line.model,
            "gen_ai.usage.input_tokens": usage.read_tokens,
            "gen_ai.usage.output_tokens": usage.output_tokens,
            **_set({"gen_ai.response.id": line.request_id}),
            **_set({"gen_ai.usage.cache_read.input_tokens": usage.cache_read_tokens}),
            **_set({"gen_ai.usage.cache_creation.input_tokens": usage.cache_write_tokens}),
            **_set({"gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens}),
            **server,
            "steproute.role": line.role,
            "steproute.purpose": purpose.value,
            "steproute.cost_usd": float(line.cost_usd),
            "steproute.wait_s": line.wait_s,
        },
        error="_OTHER" if purpose is Purpose.RETRY else "",
        is_client=bool(server),
    )


def _set(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value}


def _operation(role: str, roles: Roles) -> str:
    model = roles.models.get(role)
    in_text = model is not None and CAPABILITIES.of(model.model).continuation is Continuation.COMPLETIONS
    return "text_completion" if in_text else "chat"


def _reached(role: str, roles: Roles) -> tuple[str, Limiter | None]:
    """The backend of a model's or scorer's role, and its limiter."""
    part = roles.models.get(role) or roles.scorers.get(role)
    return (part.backend, part.limiter) if part else ("", None)


def _server(limiter: Limiter | None) -> dict[str, Any]:
    place = urlsplit(limiter.name) if limiter else None
    if place is None or place.hostname is None:
        return {}
    return {"server.address": place.hostname} | _set({"server.port": place.port})


def _score(within: list[SpanNode], at_ns: int, scores: Scores) -> None:
    """Put the newest step's score on the call that gave it; a scorer that called nothing gets a span of its own."""
    name = f"score {scores.model}"
    if not within or within[-1].name != name:
        start_ns = at_ns - round(scores.latency_s * _NS)
        within.append(SpanNode(name=name, start_ns=start_ns, end_ns=at_ns))
    newest = {"gen_ai.evaluation.score.value": scores.values[-1]} if scores.values else {}
    within[-1].attributes |= {"gen_ai.evaluation.name": scores.model, **newest}


def _decision(at_ns: int, event: Decided) -> SpanNode:
    decision = event.decision
    attributes = {"steproute.decision": decision.role if isinstance(decision, Rewrite) else "accept"}
    return SpanNode(name="decide", start_ns=at_ns, end_ns=at_ns, attributes=attributes)
