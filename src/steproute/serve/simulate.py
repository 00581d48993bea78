"""`POST /v1/simulate`: how a request would be answered, why, and its expected price. No model is called."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import msgspec
import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from steproute.core.arrays import F64
from steproute.core.ports import ONLY_READS
from steproute.core.problem import Problem
from steproute.core.recording import estimated_tokens
from steproute.engine.runner import Route
from steproute.evaluation.route_bounds import Range, Shape, prior_shape, route_bounds
from steproute.serve.chat_request import Chat
from steproute.serve.gateway import Gateway
from steproute.serve.passthrough_work import PassthroughWork
from steproute.serve.requested import Requested
from steproute.serve.step_work import StepWork
from steproute.serve.turn_work import TurnWork
from steproute.strategies.single import Single

_ENOUGH: Final = 20
_INTERVAL: Final = (5, 50, 95)


async def simulate(request: Request) -> Response:
    """The route's choice, its reason, what would be reserved, and the expected price with its interval."""
    gateway: Gateway = request.app.state.gateway
    requested = await gateway.request(Chat.from_json(await request.body()), request.state.principal)
    work = requested.work
    facts = {
        "route": requested.served.route.name,
        "answered_by": work.route,
        "choice": requested.choice.arm,
        "reason": requested.choice.reason,
        "reserves_usd": f"{work.most_usd:f}",
        "expected_cost": _expected(gateway, requested, request.state.principal.tenant),
    }
    return Response(msgspec.json.encode(facts), media_type="application/json")


def _expected(gateway: Gateway, requested: Requested, tenant: str) -> dict[str, Any]:
    """Dollars of answers like this one: those of this way's newest answers, else bounds from what is known before."""
    costs = gateway.costs.get((tenant, requested.served.route.name, requested.choice.arm), ())
    if len(costs) >= _ENOUGH:
        low, middle, high = np.percentile([float(usd) for usd in costs], _INTERVAL).tolist()
        source = f"your newest {len(costs)} answers of this kind: their median, and 5 % to 95 % of them"
        return _amounts(low, middle, high, source)
    most = float(requested.work.most_usd) or float("inf")
    low, middle, high = (min(most, float(bound[0])) for bound in _bounds(gateway, requested))
    return _amounts(low, middle, high, "bounds, since there are too few answers yet")


def _bounds(gateway: Gateway, requested: Requested) -> list[F64]:
    work, roles = requested.work, gateway.setup.roles
    if isinstance(work, TurnWork):
        return route_bounds(Route(name=work.route, strategy=work.strategy), roles, _turn_shape(work), _usd)
    strategy = requested.served.strategy if isinstance(work, StepWork) else Single(_role(work))
    problem = work.problem if isinstance(work, StepWork) else Problem(id=work.trace_id, messages=tuple(work.messages))
    embedded = any(ONLY_READS.of(role.model) for role in roles.models.values())
    shape = prior_shape("lab" if embedded else "", [problem], embedded=embedded)
    return route_bounds(Route(name=work.route, strategy=strategy), roles, shape, _usd)


def _turn_shape(work: TurnWork) -> Shape:
    """One step, before which the whole conversation is read."""
    read = estimated_tokens(work.conversation.problem.canonical) + sum(
        estimated_tokens(step.text) for step in work.conversation.steps
    )
    prior = prior_shape("", [work.conversation.problem], embedded=False)
    return replace(prior, steps=Range(1.0, 1.0, 1.0), prompt=Range(0.6 * read, read, 1.7 * read))


def _role(work: object) -> str:
    assert isinstance(work, PassthroughWork)
    return work.role


def _usd(calls: float, usd: float, seconds: float, written: Mapping[str, float], read: Mapping[str, float]) -> F64:
    return np.array([usd])


def _amounts(low: float, middle: float, high: float, source: str) -> dict[str, Any]:
    return {"low_usd": low, "expected_usd": middle, "high_usd": high, "source": source}
