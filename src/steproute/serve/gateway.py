"""The gateway's models, routes and ledger, and what a request to one of its routes asks of them."""

import asyncio
import secrets
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from steproute.config import Setup, check_answers, check_needs
from steproute.config.gateway import GatewayRoute, ServeSettings, gateway_routes
from steproute.core.ports import Strategy
from steproute.engine.episode import Episode
from steproute.engine.roles import Roles
from steproute.engine.runner import Route
from steproute.engine.spending import check_priced
from steproute.serve.answering import Answer, Work
from steproute.serve.chat_request import PREFIX, Chat
from steproute.serve.errors import ApiError, overloaded
from steproute.serve.metrics import Metrics
from steproute.serve.requested import ServedRoute, passthrough_work, step_work
from steproute.store import Principal, Store
from steproute.strategies.single import Single


@dataclass(kw_only=True)
class Gateway:
    """What all requests share. Once `draining`, no further one is taken.

    answers: those under way. responses: those of all paths that are not yet sent, some of which have no answer.
    """

    setup: Setup
    store: Store
    routes: Mapping[str, ServedRoute]
    answers: set[asyncio.Task[Any]] = field(default_factory=set)
    responses: set[asyncio.Task[Any]] = field(default_factory=set)
    draining: bool = False
    metrics: Metrics = field(default_factory=Metrics)
    _background: set[asyncio.Task[Any]] = field(default_factory=set)
    created: int = field(default_factory=lambda: int(time.time()))

    @classmethod
    def of(cls, setup: Setup, store: Store) -> "Gateway":
        """The gateway of a configuration. Raises as `served_routes`."""
        return cls(setup=setup, store=store, routes=served_routes(setup))

    @property
    def settings(self) -> ServeSettings:
        """The table `[serve]`."""
        return self.setup.gateway.serve

    def route(self, model: str) -> ServedRoute:
        """The route that a client names, with or without `steproute/`. Raises ApiError."""
        if (served := self.routes.get(model.removeprefix(PREFIX))) is None:
            names = ", ".join(PREFIX + name for name in self.routes)
            message = f"model: {model[:80]!r} is unknown. Use one of {names}."
            raise ApiError(404, message, code="model_not_found", param="model")
        return served

    def work(self, chat: Chat, served: ServedRoute, principal: Principal) -> Work:
        """What the request asks for. Raises ApiError that names the field that cannot be."""
        trace_id = f"chatcmpl-{secrets.token_hex(12)}"
        if served.route.solves is None or chat.wants_passthrough:
            return passthrough_work(chat, served.route, self.setup.roles, principal, trace_id)
        return step_work(chat, served, self.setup.roles, principal, trace_id)

    def answer(self, route: str, work: Work, principal: Principal) -> Answer:
        """Begin with it. Raises ApiError if the gateway is full or about to stop."""
        if self.draining:
            raise overloaded("The gateway is about to stop. Send the request again.", 1)
        if len(self.answers) >= self.settings.max_in_flight:
            raise overloaded(f"{len(self.answers)} requests are being answered, which is the most at once.", 1)
        answer = Answer(
            work,
            principal,
            self.store,
            keep_prompts=self.settings.keep_prompts,
            lease_s=self.settings.lease_s,
            on_event=lambda event: self.metrics.observe(route, event),
        )
        self.answers.add(answer.task)
        self.metrics.in_flight.inc()
        answer.task.add_done_callback(self._ended)
        return answer

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self.answers.discard(task)
        self.metrics.in_flight.dec()

    def keep(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something in the background until it ends."""
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def drain(self) -> None:
        """Take no further request, and wait for those under way; what takes longer than `drain_s` is cancelled."""
        self.draining = True
        until = time.monotonic() + self.settings.drain_s
        for tasks in (self.answers, self.responses):  # a response ends after its answer, when its client has read it
            if tasks:
                await asyncio.wait(set(tasks), timeout=max(0.0, until - time.monotonic()))
        await self.abandon()

    async def abandon(self, timeout_s: float | None = None) -> None:
        """Cancel the requests under way, and wait until they are billed."""
        for task in self.answers:
            task.cancel()
        if self.answers:
            await asyncio.wait(self.answers, timeout=timeout_s)


def served_routes(setup: Setup) -> dict[str, ServedRoute]:
    """The routes of a configuration by name. Raises ConfigError that names the field or the route that cannot run."""
    routes = gateway_routes(setup.gateway.routes, setup.route, setup.limits, setup.roles)
    if setup.gateway.serve.keys:
        check_priced(setup.roles)
    return {name: _served(route, setup.roles) for name, route in routes.items()}


def _served(route: GatewayRoute, roles: Roles) -> ServedRoute:
    strategy: Strategy[Episode] = Single(route.passthrough)
    name = f"single/{route.passthrough}"
    if route.solves is not None:
        strategy, name = route.solves.strategy_at(0), route.solves.name
    checked = Route(name=name, strategy=strategy)
    check_needs([checked], roles)
    check_answers([checked], route.rule)
    return ServedRoute(route=route, strategy=strategy, name=name)
