"""Whether the gateway of a configuration can start, answers what its routes promise, and cannot spend without a limit.

Its packages are an extra, so they are imported only for a configuration with a table `[serve]`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from steproute.backends.text_chat import chat_model
from steproute.config import ConfigFile, Setup, read_setup
from steproute.config.gateway import DEFAULT, GatewayRoute, GatewaySettings, ServeSettings
from steproute.core.errors import SteprouteError
from steproute.core.ports import CAPABILITIES
from steproute.doctor.finding import Finding, failed, ok, warning
from steproute.doctor.route import table_findings
from steproute.engine.roles import ModelRole, Roles

if TYPE_CHECKING:
    from steproute.serve.requested import ServedRoute

_SERVE: Final = "serve"
_LIMIT: Final = "Set max_cost_usd below [{}] or [limits], to what one request may cost."


async def gateway_findings(config: ConfigFile) -> list[Finding]:
    """All findings about `[serve]`; none if the file has no such table."""
    if config.gateway == GatewaySettings():
        return []
    try:
        from steproute.doctor.ledger import ledger_findings
    except ModuleNotFoundError as missing:
        remedy = "Install the gateway with pip install 'steproute[serve]'."
        return [failed(_SERVE, "packages", f"{missing.name} is not installed", remedy)]
    serve = config.gateway.serve
    return [_listens(serve), _keeps(serve), *await ledger_findings(serve), *_of_models(config)]


def _listens(serve: ServeSettings) -> Finding:
    keys = "keys required" if serve.keys else "no keys, for this machine alone"
    return ok(_SERVE, "address", f"{serve.host}:{serve.port}, {keys}")


def _keeps(serve: ServeSettings) -> Finding:
    """What is on disk of a request, and for how long."""
    kept = "without any text" if not serve.keep_texts else "with answers" + " and prompts" * serve.keep_prompts
    lines = "for good" if serve.ledger_days is None else f"for {serve.ledger_days} days"
    return ok(_SERVE, "retention", f"traces {kept} for {serve.retention_days} days; the ledger's lines {lines}")


def _of_models(config: ConfigFile) -> list[Finding]:
    try:
        setup = read_setup(config.path)
    except SteprouteError as failure:
        return [failed(_SERVE, "models", failure.located, failure.remedy or "Correct what it names.")]
    prices = _prices(setup.roles) if config.gateway.serve.keys else []
    return [*prices, *_routes(setup)]


def _prices(roles: Roles) -> list[Finding]:
    """Without prices the ledger would count nothing, so a gateway with keys does not start."""
    from steproute.engine.spending import check_priced

    try:
        check_priced(roles)
    except SteprouteError as failure:
        remedy = f"{failure.remedy.partition(', or leave')[0]}."
        return [failed(_SERVE, "prices", failure.message, remedy)]
    return [ok(_SERVE, "prices", "every model and scorer has one")]


def _routes(setup: Setup) -> Iterator[Finding]:
    """The findings of each route, which is built as the gateway builds it."""
    tables: Mapping[str, Any] = setup.gateway.routes
    for name in tables or (DEFAULT,):
        where = f"serve.routes.{name}" if tables else "route"
        try:
            served = _built(setup, name)
        except SteprouteError as failure:
            yield failed(where, "route", failure.located, failure.remedy or f"Correct [{where}].")
            continue
        yield ok(where, "route", f"steproute/{name} is {served.name}")
        yield from _of_route(where, served.route, setup)


def _built(setup: Setup, name: str) -> "ServedRoute":
    """One route alone, whatever is wrong with the others or with prices."""
    from steproute.serve.gateway import served_routes

    tables = {key: table for key, table in setup.gateway.routes.items() if key == name}
    return served_routes(replace(setup, gateway=GatewaySettings(routes=tables)))[name]


def _of_route(where: str, route: GatewayRoute, setup: Setup) -> Iterable[Finding]:
    if route.solves is not None:
        yield from table_findings(where, route.solves.policy, setup.digest)
    yield _passes_through(where, route.passthrough, setup.roles.model(route.passthrough))
    if route.tools == "route":
        yield ok(where, "tools", "each turn of an agent is a step")
    if route.baseline_share:
        seen = f"{route.baseline_share:.2%} of requests are also asked of {route.passthrough} alone"
        yield ok(where, "baseline", f"{seen}, within the budgets of the tenant baseline")
    limit = route.limits.max_cost_usd
    if limit is not None:
        yield ok(where, "money limit", f"{limit} dollars per request")
    elif setup.gateway.serve.keys:
        seen = "none: a request in steps reserves twice what the passthrough model could cost at most"
        yield warning(where, "money limit", seen, _LIMIT.format(where))


def _passes_through(where: str, role: str, model: ModelRole) -> Finding:
    """What requests that go to one model may hold."""
    can = CAPABILITIES.of(chat_model(model.model, model.sampling))
    kinds = {"tools": can.tool_calls, "images": can.images, "JSON": bool(can.response_formats)}
    refused = [kind for kind, is_able in kinds.items() if not is_able]
    taken = ", ".join(["text", *(kind for kind, is_able in kinds.items() if is_able)])
    return ok(where, "passthrough", f"{role}: {taken}" + (f"; refuses {', '.join(refused)}" if refused else ""))
