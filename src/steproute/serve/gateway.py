"""The gateway's models, routes and ledger, and what a request to one of its routes asks of them."""

import asyncio
import random
import secrets
import time
from collections import defaultdict, deque
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from steproute.config import Setup, check_answers, check_needs, check_turns, policy_family
from steproute.config.gateway import GatewayRoute, ServeSettings, gateway_routes
from steproute.config.route import RouteSettings
from steproute.core.errors import ConfigError, SteprouteError
from steproute.core.events import Finished
from steproute.core.ports import PolicyFamily, Strategy
from steproute.engine.episode import Episode
from steproute.engine.roles import Roles
from steproute.engine.runner import Route
from steproute.engine.spending import check_priced
from steproute.serve.answering import Answer, Happening, Work
from steproute.serve.auto import Arm, Chooser, Fixed, chooser_of
from steproute.serve.chat_request import PREFIX, Chat, knob_of
from steproute.serve.errors import ApiError, overloaded
from steproute.serve.measuring import AT_ONCE, BASELINE, Measurement
from steproute.serve.media_urls import check_media_urls
from steproute.serve.metrics import Metrics
from steproute.serve.observed import observed
from steproute.serve.pacing import paced_knob
from steproute.serve.readiness import Readiness
from steproute.serve.requested import Requested, ServedRoute, passthrough_work, work_of
from steproute.serve.step_work import prices_of
from steproute.serve.turn_policy import UsableTurnsFamily
from steproute.store import Principal, Store
from steproute.store.records import PriceRow
from steproute.strategies.single import Single

_RECENT: Final = 200
_BETWEEN: Final = 0.38  # no whole number of ranks, for policies whose knobs are ranks


@dataclass(kw_only=True)
class Gateway:
    """What all requests share. Once `draining`, no further one is taken.

    answers: those under way. responses: those of all paths that are not yet sent, some of which have no answer.
    measurements: of what the passthrough model alone costs, under way.
    costs: dollars of the newest answers of each tenant on each route, by who answered, of this process.
    """

    setup: Setup
    store: Store
    routes: Mapping[str, ServedRoute]
    answers: set[asyncio.Task[Any]] = field(default_factory=set)
    responses: set[asyncio.Task[Any]] = field(default_factory=set)
    measurements: set[asyncio.Task[Any]] = field(default_factory=set)
    draining: bool = False
    metrics: Metrics = field(default_factory=Metrics)
    costs: dict[tuple[str, str, Arm], deque[Decimal]] = field(
        default_factory=lambda: defaultdict(lambda: deque(maxlen=_RECENT))
    )
    _background: set[asyncio.Task[Any]] = field(default_factory=set)
    created: int = field(default_factory=lambda: int(time.time()))

    @classmethod
    def of(cls, setup: Setup, store: Store) -> "Gateway":
        """The gateway of a configuration. Raises as `served_routes`."""
        return cls(setup=setup, store=store, routes=served_routes(setup))

    def __post_init__(self) -> None:
        self.readiness = Readiness(ping=self.store.ping, roles=self.setup.roles, routes=self.routes)

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

    async def request(self, chat: Chat, principal: Principal) -> Requested:
        """Who answers a request, why, and within what. Raises ApiError that names the field that cannot be."""
        served = self.route(chat.body.model)
        check_media_urls(chat.body.messages, self.settings.media_urls)
        knob = await self._knob(chat, served, principal)
        choice = served.choose(chat, knob)
        trace_id = f"chatcmpl-{secrets.token_hex(12)}"
        work = work_of(chat, served, choice, self.setup.roles, principal, trace_id, knob)
        return Requested(served, choice, work, self._alone(chat, served, trace_id))

    def _alone(self, chat: Chat, served: ServedRoute, trace_id: str) -> Work | None:
        """The request for the passthrough model alone, if it is drawn for the sample and that model can take it."""
        route = served.route
        if random.random() >= route.baseline_share or len(self.measurements) >= AT_ONCE:
            return None
        try:
            return passthrough_work(
                chat, route, route.passthrough, self.setup.roles, BASELINE, f"{trace_id}-{BASELINE.tenant}"
            )
        except (ApiError, SteprouteError):
            return None

    async def _knob(self, chat: Chat, served: ServedRoute, principal: Principal) -> float | None:
        """The knob that the request sets, or the tenant's pace; None for the route's own. Raises ApiError."""
        if served.family is None or (chat.wants_passthrough and not served.routes_turns(chat)):
            return None
        if (knob := knob_of(chat.body, served.route)) is not None:
            return knob
        if served.route.paced is None or not principal.limits_usd:
            return None
        balances = await self.store.ledger.balances(principal.tenant)
        return paced_knob(served.route.paced, balances, datetime.now(UTC))

    def answer(self, requested: Requested, principal: Principal) -> Answer:
        """Begin with it. Raises ApiError if the gateway is full or about to stop."""
        if self.draining:
            raise overloaded("The gateway is about to stop. Send the request again.", 1)
        if len(self.answers) >= self.settings.max_in_flight:
            raise overloaded(f"{len(self.answers)} requests are being answered, which is the most at once.", 1)
        route, record = requested.served.route.name, observed()
        alone = requested.served.route.passthrough

        def happened(happening: Happening) -> None:
            self._observe(principal.tenant, route, requested.choice.arm, happening)
            if record is not None:
                record.happened(happening)

        answer = Answer(
            requested.work,
            principal,
            self.store,
            route=route,
            settings=self.settings,
            note=requested.facts.get("reason", ""),
            alone=(alone, self.setup.roles.model(alone).price),
            on_event=happened,
        )
        if record is not None:
            record.answered_by(route, requested.work.trace_id, requested.work.messages, answer.task)
        self.answers.add(answer.task)
        self.metrics.in_flight.inc()
        answer.task.add_done_callback(self._ended)
        if requested.alone is not None:
            self._measure(requested.alone, requested, answer)
        return answer

    def _measure(self, alone: Work, requested: Requested, answer: Answer) -> None:
        """Ask the passthrough model alone once the answer is there."""
        route = requested.served.route
        measurement = Measurement(
            alone,
            route.passthrough,
            self.store,
            route=route.name,
            on_event=lambda happening: self.metrics.observe(route.name, BASELINE.tenant, happening),
        )
        task = asyncio.create_task(measurement.run(answer, requested.work.trace_id))
        self.measurements.add(task)
        task.add_done_callback(self.measurements.discard)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self.answers.discard(task)
        self.metrics.in_flight.dec()

    def _observe(self, tenant: str, route: str, arm: Arm, happening: Happening) -> None:
        self.metrics.observe(route, tenant, happening)
        if isinstance(happening, Finished) and not happening.trace.failed:
            self.costs[tenant, route, arm].append(happening.trace.cost_usd)

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
        if under_way := self.answers | self.measurements:
            for task in under_way:
                task.cancel()
            await asyncio.wait(under_way, timeout=timeout_s)


def served_routes(setup: Setup) -> dict[str, ServedRoute]:
    """The routes of a configuration by name. Raises ConfigError that names the field or the route that cannot run."""
    routes = gateway_routes(setup.gateway.routes, setup.route, setup.limits, setup.roles)
    if setup.gateway.serve.keys:
        check_priced(setup.roles)
    for price in prices_of(setup.roles).values():
        PriceRow.of(price)  # raises for one that the ledger cannot hold exactly
    return {name: _served(route, setup.roles) for name, route in routes.items()}


def _served(route: GatewayRoute, roles: Roles) -> ServedRoute:
    strategy: Strategy[Episode] = Single(route.passthrough)
    name = f"passthrough/{route.passthrough}"
    chooser: Chooser = Fixed("passthrough" if route.solves is None else "steps")
    if route.auto is not None:
        chooser = chooser_of(route.auto, route)
    family: PolicyFamily | None = None
    if route.solves is not None:
        family = policy_family(route.solves.policy)
        strategy, name = route.solves.strategy_at(0, family), route.solves.name
        _check_paced(route, route.solves, family)
    checked = Route(name=name, strategy=strategy)
    check_needs([checked], roles)
    check_answers([checked], route.rule)
    if route.tools == "route" and route.solves is not None and family is not None:
        check_turns(f"serve.routes.{route.name}.tools", strategy, roles)
        family = UsableTurnsFamily(family)
        strategy = route.solves.strategy_at(0, family)
    return ServedRoute(route=route, chooser=chooser, strategy=strategy, name=name, family=family)


def _check_paced(route: GatewayRoute, solves: RouteSettings, family: PolicyFamily) -> None:
    """Raises ConfigError for a pace with knobs at which its policy cannot run, at an end or between them."""
    if route.paced is None:
        return
    low, high = route.paced
    for share in (0.0, _BETWEEN, 1.0):
        try:
            solves.changed(knob=low + (high - low) * share).strategy_at(0, family)
        except ConfigError as failure:
            raise failure.inside(f"serve.routes.{route.name}.paced") from None
