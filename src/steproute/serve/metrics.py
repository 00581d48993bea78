"""`GET /metrics`: what the gateway does, for Prometheus. With several workers, of all of them together."""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from starlette.requests import Request
from starlette.responses import Response

from steproute.core.decision import Rewrite
from steproute.core.events import Billed, Decided, Finished, Scored
from steproute.engine.limiter import Limiter
from steproute.engine.roles import Roles
from steproute.serve.answering import Happening
from steproute.serve.connection import LimitedConnection
from steproute.serve.ledger_metrics import ledger_metrics
from steproute.serve.observed import Observed

SHARED_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that prometheus_client reads: where the workers of one gateway keep their numbers."""
_SECONDS: Final = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300)
_SCORES: Final = tuple(round(0.1 * tenth, 1) for tenth in range(1, 11))


class Metrics:
    """The gateway's counters and histograms. Labels are names of tenants, routes, roles and outcomes, never content."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = self._counter("requests", "Requests by route and how they ended", "route", "outcome")
        self.refused = self._counter(
            "refused_requests", "Requests without an answer, by status and code", "status", "code"
        )
        self.seconds = self._histogram("request_duration_seconds", "Seconds per answer", "route")
        self.first_step = self._histogram(
            "first_step_seconds", "Seconds from a request's arrival to its first accepted step", "route"
        )
        self.calls = self._histogram("model_call_duration_seconds", "Seconds per model call", "role")
        self.waits = self._histogram("slot_wait_seconds", "Seconds waited for a server's slot", "role")
        self.scores = self._histogram("step_score", "Scores of newest steps, from 0 to 1", "route", buckets=_SCORES)
        self.decisions = self._counter(
            "decisions", "Decisions about drafts: accept, or the role that rewrites", "route", "decision"
        )
        self.input_tokens = self._counter("input_tokens", "Tokens read, cached or not", "role")
        self.output_tokens = self._counter(
            "output_tokens", "Tokens generated, by what became of them", "role", "purpose"
        )
        self.cost = self._counter("cost_usd", "US dollars of billed calls", "tenant", "route", "role")
        self.in_flight = Gauge(
            "steproute_requests_in_flight",
            "Requests being answered",
            multiprocess_mode="livesum",
            registry=self._registry,
        )
        self.breakers = Gauge(
            "steproute_breaker_open",
            "1 if the circuit to a role's server is open in any worker",
            ["role", "server"],
            multiprocess_mode="livemax",
            registry=self._registry,
        )
        self.connections = self._worker_gauge("open_connections", "Connections of clients, by process id")
        self.tasks = self._worker_gauge("tasks", "Tasks of the event loop, by process id")

    def observe(self, route: str, tenant: str, event: Happening) -> None:
        """Count something that happened on a route."""
        if isinstance(event, Billed):
            self.calls.labels(event.line.role).observe(event.line.latency_s)
            self.waits.labels(event.line.role).observe(event.line.wait_s)
            self.cost.labels(tenant, route, event.line.role).inc(float(event.line.cost_usd))
        elif isinstance(event, Scored) and event.scores.values:
            self.scores.labels(route).observe(event.scores.values[-1])
        elif isinstance(event, Decided):
            decision = event.decision
            self.decisions.labels(route, decision.role if isinstance(decision, Rewrite) else "accept").inc()
        elif isinstance(event, Finished):
            self._finish(route, event)

    def ended(self, request: Observed) -> None:
        """Count what is known once a request has ended. An answer that failed is counted among the answers alone."""
        if request.trace is None and request.status >= 400:
            code = request.error if request.status != 500 else "server_error"
            self.refused.labels(request.status, code).inc()
        if request.first_step_s is not None:
            self.first_step.labels(request.route).observe(request.first_step_s)

    def watch_worker(self) -> None:
        """Say what this process holds open. Called from its event loop."""
        worker = str(os.getpid())
        self.connections.labels(worker).set(len(LimitedConnection.all_open))
        self.tasks.labels(worker).set(len(asyncio.all_tasks()))

    def watch(self, roles: Roles) -> None:
        """Say which servers' circuits are open."""
        for role, limiter in _limiters(roles).items():
            self.breakers.labels(role, limiter.name).set(limiter.is_open)

    def _finish(self, route: str, event: Finished) -> None:
        trace = event.trace
        self.requests.labels(route, trace.outcome.value).inc()
        self.seconds.labels(route).observe(trace.latency_s)
        for line in trace.account:
            self.input_tokens.labels(line.role).inc(line.usage.read_tokens)
            self.output_tokens.labels(line.role, line.purpose.value).inc(line.usage.output_tokens)

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(f"steproute_{name}", meaning, labels, registry=self._registry)

    def _worker_gauge(self, name: str, meaning: str) -> Gauge:
        return Gauge(f"steproute_{name}", meaning, ["worker"], multiprocess_mode="livesum", registry=self._registry)

    def _histogram(self, name: str, meaning: str, *labels: str, buckets: tuple[float, ...] = _SECONDS) -> Histogram:
        return Histogram(f"steproute_{name}", meaning, labels, buckets=buckets, registry=self._registry)

    def text(self) -> bytes:
        """All numbers in Prometheus's text format; with several workers, of all of them."""
        registry = self._registry
        if (folder := os.environ.get(SHARED_FOLDER)) is not None:
            _forget_dead(Path(folder))
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)


def _forget_dead(folder: Path) -> None:
    """Take away the gauges of workers that were killed, whose requests are no longer in flight."""
    for file in folder.glob("gauge_live*_*.db"):
        pid = int(file.stem.rpartition("_")[2])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]


def _limiters(roles: Roles) -> Mapping[str, Limiter]:
    models = {role: model.limiter for role, model in roles.models.items()}
    every = models | {role: scorer.limiter for role, scorer in roles.scorers.items()}
    return {role: limiter for role, limiter in every.items() if limiter is not None}


async def metrics(request: Request) -> Response:
    """The numbers of the workers, and those of the ledger, which all workers share."""
    gateway = request.app.state.gateway
    gateway.metrics.watch(gateway.setup.roles)
    text = gateway.metrics.text() + await ledger_metrics(gateway.store)
    return Response(text, headers={"content-type": CONTENT_TYPE_LATEST})
