"""Which routes can answer, by what the ledger and the models' servers said within the last seconds."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from steproute.core.errors import SteprouteError
from steproute.core.ports import NEEDS, ServedModel, StepModel
from steproute.engine.limiter import Limiter
from steproute.engine.roles import Roles, ScorerRole
from steproute.serve.requested import ServedRoute

_LOG: Final = logging.getLogger("steproute.serve")
_PROBE_S: Final = 5.0
_KEPT_S: Final = 5.0
_LEDGER: Final = "ledger"
State = Literal["ok", "down", "circuit open"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """The state of the ledger, of each model and scorer by role, and of each route."""

    ledger: State
    roles: Mapping[str, State]
    routes: Mapping[str, State]

    @property
    def serves(self) -> bool:
        """Whether any request can be answered."""
        return self.ledger == "ok" and "ok" in self.routes.values()


@dataclass(kw_only=True)
class Readiness:
    """Asks the ledger and the servers at most every 5 seconds, however often it is asked; circuits are read each time.

    ping: raises SteprouteError if the ledger does not answer.
    """

    ping: Callable[[], Awaitable[None]]
    roles: Roles
    routes: Mapping[str, ServedRoute]
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _asked_at: float | None = None
    _down: frozenset[str] = frozenset()

    async def state(self) -> Ready:
        """What answers now. What does not is logged once, with the reason."""
        async with self._lock:
            if self._asked_at is None or time.monotonic() - self._asked_at >= _KEPT_S:
                await self._ask()
        roles = {role: self._state(role) for role in (*self.roles.models, *self.roles.scorers)}
        down = {role for role, state in roles.items() if state != "ok"}
        routes: dict[str, State] = {
            name: "ok" if can_serve(route, self.roles, down) else "down" for name, route in self.routes.items()
        }
        return Ready(ledger="down" if _LEDGER in self._down else "ok", roles=roles, routes=routes)

    def _state(self, role: str) -> State:
        if any(limiter.refuses for limiter in _limiters(self.roles, role)):
            return "circuit open"
        return "down" if f"role {role}" in self._down else "ok"

    async def _ask(self) -> None:
        probes = {_LEDGER: self.ping()}
        probes |= {f"role {role}": _asked(each.model) for role, each in self.roles.models.items()}
        found = dict(zip(probes, await asyncio.gather(*map(_fault, probes.values())), strict=True))
        down = frozenset(name for name, fault in found.items() if fault)
        for name in sorted(down - self._down):
            _LOG.warning("not ready: %s: %s", name, found[name])
        for name in sorted(self._down - down):
            _LOG.warning("ready again: %s", name)
        self._asked_at, self._down = time.monotonic(), down


def can_serve(served: ServedRoute, roles: Roles, down: set[str]) -> bool:
    """Whether a route can answer text without these roles: it needs all that its limits declare no fallback for."""
    route, weak = served.route, roles.ladder[0]
    needs, limits = NEEDS.of(served.strategy), route.limits
    models = {*needs.models, *({weak, route.passthrough} if route.auto is not None else ())}
    missing, stepwise = models & down, len(models) > 1
    if limits.on_scorer_failure == "fail":
        missing |= {*needs.scorers} & down
    if stepwise and limits.on_weak_failure == "strong" and "strong" not in down:
        missing -= {weak}
    if stepwise and limits.on_strong_failure == "accept" and weak not in down:
        missing &= {weak, *needs.scorers}
    return not missing


def _limiters(roles: Roles, role: str) -> Iterator[Limiter]:
    each = roles.models.get(role) or roles.scorers[role]
    if each.limiter is not None:
        yield each.limiter
    if isinstance(each, ScorerRole):
        yield from (member.limiter for member in each.members.values() if member.limiter is not None)


async def _asked(model: StepModel) -> None:
    """Have its server list its models, which costs nothing; a model in this process is there."""
    if isinstance(model, ServedModel):
        await model.served()


async def _fault(probe: Awaitable[None]) -> str:
    try:
        async with asyncio.timeout(_PROBE_S):
            await probe
    except TimeoutError:
        return f"no answer within {_PROBE_S:.0f} s"
    except SteprouteError as failure:
        return failure.message
    return ""
