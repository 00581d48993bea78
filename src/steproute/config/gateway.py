"""The table `[serve]`: where the gateway listens, where its ledger is, and the routes that it offers as models."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, Literal

from steproute.config.limits import read_limits
from steproute.config.route import RouteSettings, read_route
from steproute.core.answer_rule import BOXED, NONE, AnswerRule, rule_named
from steproute.core.errors import ConfigError
from steproute.core.ports import ONLY_READS
from steproute.core.route_name import SINGLE
from steproute.core.settings import converted
from steproute.engine.limits import Limits
from steproute.engine.roles import Roles

DEFAULT: Final = "default"
Tools = Literal["passthrough", "route"]
"""What happens to requests with tools: one model answers them, or each turn is a step."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_MEDIA_URL: Final = re.compile(r"[a-z][a-z0-9+.-]*:|[a-z][a-z0-9+.-]*://[^/\s@]+/\S*")
_LIMITS: Final = frozenset(each.name for each in fields(Limits))
_LONGEST_WINDOW_DAYS: Final = 32
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSettings:
    """How the gateway runs.

    database: a SQLite file or a PostgreSQL address; database_env: the variable that holds it, for one with a password.
    keys: whether every request needs an API key. keep_prompts: whether traces hold the conversations. keep_texts:
    whether traces, spans and logs may hold any text of conversations and answers. retention_days: how long traces are
    kept. ledger_days: how long requests and their lines are kept before they become sums per day, for good if it is
    None. max_in_flight: requests worked on at once, further ones are refused with 503. drain_s: how long a stopping
    gateway lets its requests finish. lease_s: how long what a killed worker had reserved stays reserved. media_urls:
    what addresses of images a request may have: `data:`, schemes, of which only public names, and beginnings of
    addresses, which a host's name has to end with a slash in. Raises ConfigError for numbers that cannot be, and for an
    address other machines reach without keys.
    """

    host: str = "127.0.0.1"
    port: int = 8700
    workers: int = 1
    database: str = "sqlite:///steproute.db"
    database_env: str = ""
    keys: bool = False
    keep_prompts: bool = True
    keep_texts: bool = True
    retention_days: int = 30
    ledger_days: int | None = None
    max_in_flight: int = 256
    max_body_mb: float = 20.0
    drain_s: float = 30.0
    lease_s: float = 120.0
    media_urls: tuple[str, ...] = ("data:", "https:")

    def __post_init__(self) -> None:
        for name in ("workers", "retention_days", "max_in_flight", "max_body_mb", "drain_s", "lease_s"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{getattr(self, name)} is not above 0.", where=name, remedy="Give a number above 0.")
        least = max(_LONGEST_WINDOW_DAYS, self.retention_days)
        if self.ledger_days is not None and self.ledger_days < least:
            raise ConfigError(
                f"{self.ledger_days} is below {least}: budgets count months, and traces need their lines.",
                where="ledger_days",
                remedy=f"Give {least} or more, or lower retention_days.",
            )
        for start in self.media_urls:
            if not _MEDIA_URL.fullmatch(start):
                raise ConfigError(
                    f"{start!r} is no scheme and no beginning of an address.",
                    where="media_urls",
                    remedy="Write 'https:' for public names, or 'http://images.internal/' with the slash.",
                )
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"{self.port} is no port.", where="port", remedy="Give 1 to 65535, or 0 for a free one.")
        if self.host not in _LOOPBACK and not self.keys:
            raise ConfigError(
                f"other machines reach {self.host}, and requests need no key.",
                where="host",
                remedy="Set keys = true below [serve], or listen on 127.0.0.1.",
            )

    @property
    def keeps_prompts(self) -> bool:
        """Whether conversations are kept."""
        return self.keep_prompts and self.keep_texts


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoSettings:
    """How a route chooses who answers a request.

    auto: `rule`, or the folder of a trained query-level policy, which predicts whether the weak model is correct. The
    weak model answers alone from a chance of `weak_from`, and the passthrough model below `strong_below`; requests
    between them are answered step by step. Raises ConfigError for numbers that cannot be.
    """

    auto: str
    weak_from: float = 0.9
    strong_below: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.strong_below <= self.weak_from <= 1:
            raise ConfigError(
                f"{self.strong_below} is not between 0 and weak_from = {self.weak_from}.",
                where="strong_below",
                remedy="Give two probabilities, the lower one here.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayRoute:
    """A route that clients name as the model `steproute/NAME`.

    solves: how text is solved step by step; None if `passthrough` answers everything. passthrough: the role that
    answers what is not solved by steps, such as requests with tools. limits: what one request may use at most; a
    client may ask for less. knobs: the range within which a client may set the knob, if at all. auto: how it chooses
    between steps, the weak model alone and passthrough, if it does. paced: the knob of a tenant whose budget lasts, and
    the knob of one that has nothing left; in between it follows the budget and the time that remain. baseline_share: of
    how many requests it is measured what the passthrough model alone costs. tools: whether requests with tools pass
    through, or each of their turns is a step.
    """

    name: str
    solves: RouteSettings | None
    passthrough: str
    limits: Limits
    rule: AnswerRule = NONE
    knobs: tuple[float, float] | None = None
    auto: AutoSettings | None = None
    paced: tuple[float, float] | None = None
    baseline_share: float = 0.0
    tools: Tools = "passthrough"


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteFields:
    """What a table of `[serve.routes]` has beside the fields of `[route]` and `[limits]`.

    Raises ConfigError for a share that cannot be.
    """

    role: str = ""
    passthrough: str = ""
    rule: str = ""
    knobs: tuple[float, float] | None = None
    paced: tuple[float, float] | None = None
    auto: str = ""
    weak_from: float = 0.9
    strong_below: float = 0.1
    baseline_share: float = 0.0
    tools: Tools = "passthrough"

    def __post_init__(self) -> None:
        if not 0 <= self.baseline_share <= 1:
            raise ConfigError(
                f"{self.baseline_share} is outside 0 to 1.",
                where="baseline_share",
                remedy="Give the share of requests to measure, such as 0.01.",
            )


_OF_STEPS: Final = frozenset(
    {"passthrough", "knobs", "paced", "auto", "weak_from", "strong_below", "baseline_share", "tools"}
)
"""Fields of a route that does more than pass through to one role."""
_OWN: Final = frozenset(each.name for each in fields(RouteFields))


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """The table `[serve]`. routes: the tables of `[serve.routes]` by name, read when the models are known."""

    serve: ServeSettings = ServeSettings()
    routes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def database_of(serve: ServeSettings) -> str:
    """Where the ledger is. Raises ConfigError for a variable that is not set."""
    if not serve.database_env:
        return serve.database
    if not (address := os.environ.get(serve.database_env, "")):
        raise ConfigError(
            f"the variable {serve.database_env} is not set.",
            where="serve.database_env",
            remedy="Set it to the database's address.",
        )
    return address


def read_gateway(where: str, table: Mapping[str, Any]) -> GatewaySettings:
    """The table `[serve]`. Raises ConfigError that names `where` and the field."""
    routes = table.get("routes", {})
    if not isinstance(routes, dict) or not all(isinstance(each, dict) for each in routes.values()):
        raise ConfigError("is no table of tables.", where=f"{where}.routes", remedy="Write [serve.routes.NAME].")
    serve = {key: value for key, value in table.items() if key != "routes"}
    return GatewaySettings(serve=converted(where, serve, ServeSettings), routes=routes)


def gateway_routes(
    tables: Mapping[str, Mapping[str, Any]], solves: RouteSettings, limits: Limits, roles: Roles
) -> dict[str, GatewayRoute]:
    """The routes of `[serve.routes]`, or `[route]` as `default` if there are none, and each model by its role.

    Raises ConfigError that names the field.
    """
    rule = BOXED if any(ONLY_READS.of(role.model) for role in roles.models.values()) else NONE
    base = GatewayRoute(name=DEFAULT, solves=solves, passthrough=roles.ladder[-1], limits=limits, rule=rule)
    routes = {name: _route(name, table, base, roles) for name, table in tables.items()} or {DEFAULT: base}
    alone = {role: replace(base, name=role, solves=None, passthrough=role) for role in roles.models}
    return {**routes, **{name: route for name, route in alone.items() if name not in routes}}


def _route(name: str, table: Mapping[str, Any], base: GatewayRoute, roles: Roles) -> GatewayRoute:
    """One table of `[serve.routes]`: its own fields, those of `[limits]`, and those of `[route]`."""
    where = f"serve.routes.{name}"
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name!r} is no name.", where=where, remedy="Use letters, digits, '-', '_' and '.'.")
    own = converted(where, {key: value for key, value in table.items() if key in _OWN}, RouteFields)
    limits = {key: value for key, value in table.items() if key in _LIMITS}
    solves = {key: value for key, value in table.items() if key not in _OWN | _LIMITS}
    if solves.get("strategy") == SINGLE:
        raise ConfigError("one model answers by itself.", where=f"{where}.strategy", remedy="Name it: role = 'strong'.")
    if own.role and (useless := [name for name in table if name in solves or name in _OF_STEPS]):
        raise ConfigError(f"{own.role} answers alone.", where=f"{where}.{useless[0]}", remedy="Remove it.")
    if own.knobs is not None and own.knobs[0] > own.knobs[1]:
        low, high = own.knobs
        raise ConfigError(f"{low} is above {high}.", where=f"{where}.knobs", remedy="Give the lower knob first.")
    role = own.role or own.passthrough or base.passthrough
    if role not in roles.models:
        field_name = "role" if own.role else "passthrough"
        raise ConfigError(
            f"there is no model {role!r}.", where=f"{where}.{field_name}", remedy=f"Describe [models.{role}]."
        )
    return GatewayRoute(
        name=name,
        solves=None if own.role else read_route(where, solves) if solves else base.solves,
        passthrough=role,
        limits=read_limits(where, {**_table(base.limits), **limits}, roles.models),
        rule=rule_named(own.rule) if own.rule else base.rule,
        knobs=own.knobs,
        paced=own.paced,
        auto=_auto(where, own),
        baseline_share=own.baseline_share,
        tools=own.tools,
    )


def _auto(where: str, own: RouteFields) -> AutoSettings | None:
    """Raises ConfigError that names the field."""
    if not own.auto:
        return None
    try:
        return AutoSettings(auto=own.auto, weak_from=own.weak_from, strong_below=own.strong_below)
    except ConfigError as failure:
        raise failure.inside(where, ".") from None


def _table(limits: Limits) -> dict[str, Any]:
    return {each.name: getattr(limits, each.name) for each in fields(Limits)}
