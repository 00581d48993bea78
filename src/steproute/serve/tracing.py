"""Spans for OpenTelemetry, if an exporter is configured by OpenTelemetry's own environment variables; else nothing.

A request's spans are made from its record once it has ended, so that neither the engine nor a request under way knows
of them. OpenTelemetry's packages are imported only if spans are wanted.
"""

import json
import os
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points, version
from typing import TYPE_CHECKING, Any, Final

from steproute.config import Setup
from steproute.core.errors import ConfigError
from steproute.core.problem import Message
from steproute.engine.roles import Roles
from steproute.serve.observed import Observed
from steproute.serve.span_tree import SpanNode, request_tree

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_EXPORTER: Final = "OTEL_TRACES_EXPORTER"
_DISABLED: Final = "OTEL_SDK_DISABLED"
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_CONTENT: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_WITH_CONTENT: Final = frozenset({"true", "span_only", "span_and_event"})
_GROUP: Final = "opentelemetry_traces_exporter"
_INSTALL: Final = "Install it, or correct the variable."


class Spans:
    """Exports the spans of requests. with_content: whether conversations are attributes."""

    def __init__(self, provider: "TracerProvider", roles: Roles, *, with_content: bool) -> None:
        self._provider, self._roles, self._with_content = provider, roles, with_content
        self._tracer = provider.get_tracer("steproute", version("steproute"))

    def export(self, request: Observed) -> None:
        """Queue the request's spans. Their parent is the caller's span, if the request names one."""
        from opentelemetry.propagate import extract

        tree = request_tree(request, self._roles)
        if self._with_content:
            tree.attributes |= _content(request)
        self._export(tree, extract(request.headers))

    def _export(self, node: SpanNode, context: Any) -> None:
        from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context

        kind = SpanKind.SERVER if node.is_server else SpanKind.CLIENT if node.is_client else SpanKind.INTERNAL
        span = self._tracer.start_span(
            node.name, context, kind=kind, attributes=node.attributes, start_time=node.start_ns
        )
        if node.error:
            span.set_attribute("error.type", node.error)
            span.set_status(Status(StatusCode.ERROR))
        inner = set_span_in_context(span, context)
        for each in node.within:
            self._export(each, inner)
        span.end(node.end_ns)

    def close(self) -> None:
        """Send what is queued. Blocks."""
        self._provider.shutdown()


def spans_wanted(environment: Mapping[str, str]) -> bool:
    """Whether the variables name an exporter or an OTLP endpoint."""
    if environment.get(_DISABLED, "").lower() == "true":
        return False
    named = environment.get(_EXPORTER, "")
    return named != "none" if named else any(environment.get(name) for name in _ENDPOINTS)


def spans_of(setup: Setup, environment: Mapping[str, str] = os.environ) -> Spans | None:
    """The exporter that the variables name, None if there is none. Raises ConfigError for one that is not installed."""
    if not spans_wanted(environment):
        return None
    try:
        provider = _provider(_exporters(environment))
    except ModuleNotFoundError as missing:
        raise ConfigError(f"needs the package {missing.name}.", where=_EXPORTER, remedy=_INSTALL) from None
    wanted = environment.get(_CONTENT, "").lower() in _WITH_CONTENT
    return Spans(provider, setup.roles, with_content=wanted and setup.gateway.serve.keeps_prompts)


def _exporters(environment: Mapping[str, str]) -> list[Any]:
    names = environment.get(_EXPORTER, "") or "otlp"
    return [_exporter(name.strip(), environment) for name in names.split(",") if name.strip()]


def _exporter(name: str, environment: Mapping[str, str]) -> Any:
    """An exporter by its name in OpenTelemetry's registry; `otlp` is the one of the protocol that is set."""
    if name == "otlp":
        protocol = next((environment[each] for each in _PROTOCOLS if environment.get(each)), "http/protobuf")
        name = "otlp_proto_grpc" if protocol == "grpc" else "otlp_proto_http"
    for point in entry_points(group=_GROUP, name=name):
        return point.load()()
    raise ConfigError(f"there is no exporter {name!r}.", where=_EXPORTER, remedy=_INSTALL)


def _provider(exporters: Sequence[Any]) -> "TracerProvider":
    """A provider with these exporters; sampler, batches and resource are as OpenTelemetry's variables say."""
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    own = {"service.name": "steproute", "service.version": version("steproute")}
    provider = TracerProvider(resource=Resource.create(own).merge(OTELResourceDetector().detect()))
    for exporter in exporters:
        provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def _content(request: Observed) -> dict[str, str]:
    """The conversation and its answer in the shape of the semantic conventions, as JSON."""
    asked = [_message(message) for message in request.messages]
    steps = request.trace.steps if request.trace else ()
    parts = [{"type": "text", "content": step.text} for step in steps]
    return {
        "gen_ai.input.messages": json.dumps(asked),
        "gen_ai.output.messages": json.dumps([{"role": "assistant", "parts": parts}]),
    }


def _message(message: Message) -> dict[str, Any]:
    content = message.get("content")
    texts = [content] if isinstance(content, str) else [part.get("text") for part in content or ()]
    parts = [{"type": "text", "content": text} for text in texts if isinstance(text, str)]
    return {"role": message["role"], "parts": parts}
