"""`GET /metrics`: what the gateway does, for Prometheus. With several workers, of all of them together."""

import os
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.requests import Request
from starlette.responses import Response

from steproute.core.decision import Rewrite
from steproute.core.events import Billed, Decided, Finished, Scored
from steproute.serve.answering import Happening

SHARED_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that prometheus_client reads: where the workers of one gateway keep their numbers."""
_SECONDS: Final = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300)
_SCORES: Final = tuple(round(0.1 * tenth, 1) for tenth in range(1, 11))


class Metrics:
    """The gateway's counters and histograms. Labels are names of routes, roles and outcomes, never of tenants' data."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "steproute_requests", "Requests by route and how they ended", ["route", "outcome"], registry=registry
        )
        self.refused = Counter(
            "steproute_refused", "Requests that were refused, by status and code", ["status", "code"], registry=registry
        )
        self.seconds = Histogram(
            "steproute_request_seconds", "Seconds per answer", ["route"], buckets=_SECONDS, registry=registry
        )
        self.calls = Histogram(
            "steproute_call_seconds", "Seconds per model call", ["role"], buckets=_SECONDS, registry=registry
        )
        self.waits = Histogram(
            "steproute_wait_seconds",
            "Seconds waited for a server's slot",
            ["role"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.scores = Histogram(
            "steproute_step_score", "Scores of newest steps", ["route"], buckets=_SCORES, registry=registry
        )
        self.decisions = Counter(
            "steproute_decisions",
            "Decisions about drafts: accept, or the role that rewrites",
            ["route", "decision"],
            registry=registry,
        )
        self.tokens = Counter(
            "steproute_tokens", "Tokens by role and what became of them", ["role", "purpose"], registry=registry
        )
        self.usd = Counter("steproute_usd", "US dollars by route and role", ["route", "role"], registry=registry)
        self.in_flight = Gauge(
            "steproute_in_flight", "Requests being answered", multiprocess_mode="livesum", registry=registry
        )

    def observe(self, route: str, event: Happening) -> None:
        """Count something that happened on a route."""
        if isinstance(event, Billed):
            self.calls.labels(event.line.role).observe(event.line.latency_s)
            self.waits.labels(event.line.role).observe(event.line.wait_s)
            self.usd.labels(route, event.line.role).inc(float(event.line.cost_usd))
        elif isinstance(event, Scored) and event.scores.values:
            self.scores.labels(route).observe(event.scores.values[-1])
        elif isinstance(event, Decided):
            decision = event.decision
            self.decisions.labels(route, decision.role if isinstance(decision, Rewrite) else "accept").inc()
        elif isinstance(event, Finished):
            self._finish(route, event)

    def _finish(self, route: str, event: Finished) -> None:
        trace = event.trace
        self.requests.labels(route, trace.outcome.value).inc()
        self.seconds.labels(route).observe(trace.latency_s)
        for line in trace.account:
            self.tokens.labels(line.role, line.purpose.value).inc(line.usage.output_tokens)
            self.tokens.labels(line.role, "read").inc(line.usage.read_tokens)

    def text(self) -> bytes:
        """All numbers in Prometheus's text format; with several workers, of all of them."""
        registry = self._registry
        if SHARED_FOLDER in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)


async def metrics(request: Request) -> Response:
    """The numbers."""
    return Response(request.app.state.gateway.metrics.text(), headers={"content-type": CONTENT_TYPE_LATEST})
