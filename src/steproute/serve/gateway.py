"""The gateway's models, routes and ledger, and what a request to one of its routes asks of them."""

import asyncio
import secrets
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Final

from steproute.config import Setup, check_answers, check_needs
from steproute.config.gateway import GatewayRoute, ServeSettings, gateway_routes
from steproute.core.ports import ONLY_READS, RETRACTS, Strategy
from steproute.core.problem import Problem
from steproute.core.solution import Prefix
from steproute.core.usage_bounds import most_written
from steproute.engine.episode import Episode
from steproute.engine.limits import Limits
from steproute.engine.roles import Roles
from steproute.engine.runner import Route
from steproute.engine.spending import check_priced
from steproute.serve.answering import Answer, Work
from steproute.serve.chat_request import PREFIX, ChatRequest, check_steps, knob_of, limits_of, problem_of
from steproute.serve.errors import ApiError, overloaded, refused_field
from steproute.serve.metrics import Metrics
from steproute.serve.observed import observed
from steproute.solving import check_lab_problem
from steproute.store import Principal, Store
from steproute.strategies.single import Single

USUAL_TOKENS: Final = 4096
"""What an answer may generate if nothing limits it, for what a request reserves."""
_STRONG_ALONE: Final = 2
"""A request reserves at most this many times what the passthrough model alone could cost, unless its route says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedRoute:
    """A route with its strategy at the knob that it has by itself."""

    route: GatewayRoute
    strategy: Strategy[Episode]
    name: str

    @property
    def retracts(self) -> bool:
        """Whether no step may be shown before the end."""
        return RETRACTS.of(self.strategy)


@dataclass(kw_only=True)
class Gateway:
    """What all requests share. `answers` holds those under way; once `draining`, no further one is taken."""

    setup: Setup
    store: Store
    routes: Mapping[str, ServedRoute]
    answers: set[asyncio.Task[Any]] = field(default_factory=set)
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

    def work(self, request: ChatRequest, fields: Mapping[str, Any], served: ServedRoute, principal: Principal) -> Work:
        """What the request asks for. Raises ApiError that names the field that cannot be."""
        check_steps(request, fields)
        if request.wants_passthrough:
            raise refused_field("tools", "tools, JSON and images need a route that passes requests through.")
        problem = problem_of(request, served.route, f"chatcmpl-{secrets.token_hex(12)}")
        roles = _sampled(self.setup.roles, request)
        if any(ONLY_READS.of(role.model) for role in roles.models.values()):
            check_lab_problem(problem)
        limits = limits_of(request, served.route)
        if principal.counts_tokens and limits.max_tokens is None:
            limits = replace(limits, max_tokens=USUAL_TOKENS)
        strategy, name = served.strategy, served.name
        if (knob := knob_of(request, served.route)) is not None and served.route.solves is not None:
            solves = served.route.solves.changed(knob=knob)
            strategy, name = solves.strategy_at(0), solves.name
        return Work(
            problem=problem,
            route=name,
            strategy=strategy,
            roles=roles,
            limits=limits,
            most_usd=_most_usd(problem, served.route, roles, limits),
            most_tokens=limits.max_tokens or 0,
            seed=_seed(request),
        )

    def answer(self, route: str, work: Work, principal: Principal) -> Answer:
        """Begin with it. Raises ApiError if the gateway is full or about to stop."""
        if self.draining:
            raise overloaded("The gateway is about to stop. Send the request again.", 1)
        if len(self.answers) >= self.settings.max_in_flight:
            raise overloaded(f"{len(self.answers)} requests are being answered, which is the most at once.", 1)
        request = observed()

        def happened(event: object) -> None:
            self.metrics.observe(route, principal.tenant, event)
            if request is not None:
                request.happened(event)

        answer = Answer(work, principal, self.store, keep_prompts=self.settings.keep_prompts, on_event=happened)
        if request is not None:
            request.answered_by(route, work.problem.id, answer.task)
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
        if self.answers:
            _, late = await asyncio.wait(self.answers, timeout=self.settings.drain_s)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)


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


def _sampled(roles: Roles, request: ChatRequest) -> Roles:
    """The roles, all of which draw as the request says. Raises ConfigError for numbers that cannot be."""
    given = {name: value for name in ("temperature", "top_p") if (value := getattr(request, name)) is not None}
    if not given:
        return roles
    models = {name: replace(role, sampling=replace(role.sampling, **given)) for name, role in roles.models.items()}
    return replace(roles, models=models)


def _most_usd(problem: Problem, route: GatewayRoute, roles: Roles, limits: Limits) -> Decimal:
    """The limit in dollars if there is one, else twice what the passthrough model alone could cost at most."""
    if limits.max_cost_usd is not None:
        return limits.max_cost_usd
    alone = roles.model(route.passthrough)
    sampling = replace(alone.sampling, max_tokens=limits.max_tokens or max(USUAL_TOKENS, alone.sampling.max_tokens))
    return _STRONG_ALONE * alone.price.most(most_written(alone.model, Prefix(problem=problem), 1, sampling))


def _seed(request: ChatRequest) -> int:
    """The request's seed, from either place, else a random one: two equal requests may get different answers."""
    for seed in (request.overrides.seed, request.seed):
        if seed is not None:
            return seed
    return secrets.randbits(31)
