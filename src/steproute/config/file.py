"""`steproute.toml`: which models and scorers there are, what they cost, and how problems are routed by default."""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, cast

from steproute.backends.http.address import shown_address
from steproute.backends.http.server import server_root
from steproute.config.answer import AnswerSettings, read_answer
from steproute.config.gateway import GatewaySettings, read_gateway
from steproute.config.limits import read_limits
from steproute.config.route import RouteSettings, read_route
from steproute.core.construction import build
from steproute.core.errors import ArtifactError, ConfigError, ContinuationUnsupported
from steproute.core.ports import Environment, Repair
from steproute.core.registry import Registry, environments, models, repairs, scorers
from steproute.core.settings import converted
from steproute.core.solution import Sampling
from steproute.core.usage import UNSET, Price
from steproute.engine.limiter import Limiter, LimiterSettings
from steproute.engine.limits import Limits
from steproute.engine.roles import ModelRole, Roles, ScorerRole
from steproute.scorers.calibrated import CalibratedScorer
from steproute.scorers.calibration_file import load_score_map

_PARTS: Final = ("models", "scorers", "roles", "route", "limits", "answer", "doctor", "serve")
_ROLE: Final = ("backend", "price", "sampling", "limiter", "calibration", "repair")
_SET_BY_CALLS: Final = {
    "stop": "a step ends at a blank line, and a whole solution where the model ends it",
    "seed": "each call gets its own, from --seed",
}
_OF_MODELS: Final = {"sampling": "a scorer samples nothing.", "repair": "a scorer writes nothing to be repaired."}
_PRICES: Final = ("input", "output", "cache_read", "cache_write", "cache_write_1h")
_Place = tuple[str, str]
"""A server's root and a model of it, which are behind one limiter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSettings:
    """What `steproute doctor` asks the models: a problem, and correct and incorrect steps of it."""

    problem: str = "Tom has 3 boxes with 4 pens each. He gives 5 pens away. How many pens does Tom have?"
    right: tuple[str, ...] = (
        "Tom has 3 * 4 = 12 pens in boxes.",
        "He keeps 12 - 5 = 7 pens, so \\boxed{7}.",
    )
    wrong: tuple[str, ...] = ("Tom has 3 * 4 = 19 pens in boxes.", "He keeps 19 - 5 = 24 pens, so \\boxed{24}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RolesSettings:
    """The table `[roles]`.

    ladder: the models that may write steps, from the cheapest to the most expensive. environment: what answers each
    accepted step, such as `calculator`; empty for nothing.
    """

    ladder: tuple[str, ...] = ("weak", "strong")
    environment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigFile:
    """A configuration as read; `digest` changes with any setting of its models and scorers, not with comments.

    It holds no key, only the names of variables.
    """

    path: Path
    digest: str
    tables: Mapping[str, Mapping[str, Any]]
    route: RouteSettings
    limits: Limits
    probe: ProbeSettings
    answer: AnswerSettings = AnswerSettings()
    order: RolesSettings = RolesSettings()
    gateway: GatewaySettings = GatewaySettings()

    @property
    def calibrations(self) -> tuple[str, ...]:
        """The folders of its scorers' calibrations."""
        tables = self.tables["scorers"].values()
        return tuple(str(table["calibration"]) for table in tables if "calibration" in table)

    def roles(self) -> Roles:
        """Its models and scorers, each behind the limiter of its server, without a grader.

        Raises ConfigError that names the field, if a setting is wrong or a key's variable is not set, and
        ArtifactError for a scorer's damaged calibration.
        """
        limiters: dict[_Place, Limiter] = {}
        judges: dict[str, ScorerRole] = {}
        for role in self.tables["scorers"]:
            self.scorer(role, limiters, judges)
        models = {role: self.model(role, limiters) for role in self.tables["models"]}
        self._check_ladder(models)
        environment = self._environment(self.order.environment) if self.order.environment else None
        return Roles(models=models, scorers=judges, ladder=self.order.ladder, environment=environment)

    def _check_ladder(self, models: Mapping[str, ModelRole]) -> None:
        """Raises ConfigError for a ladder that is not one of its models from the cheapest to the most expensive."""
        where, ladder = f"{self.path.name}: roles.ladder", self.order.ladder
        if ladder[:1] != ("weak",) or ladder[-1:] != ("strong",) or len(set(ladder)) != len(ladder):
            raise ConfigError(
                f"{list(ladder)} is no ladder.",
                where=where,
                remedy="Begin with weak, end with strong, and name each once.",
            )
        if ladder == RolesSettings().ladder:
            return
        if missing := [role for role in ladder if role not in models]:
            raise ConfigError(
                f"there is no model {missing[0]!r}.", where=where, remedy=f"Describe [models.{missing[0]}]."
            )
        priced = [role for role in ladder if models[role].price.is_set]
        for role, following in pairwise(priced):
            if models[role].price.output > models[following].price.output:
                raise ConfigError(
                    f"the model {role!r} costs more per output token than {following!r}, which follows it.",
                    where=where,
                    remedy="Order the roles by price, or correct the prices.",
                )

    def _environment(self, name: str) -> Environment:
        return cast(Environment, build(environments.get(name), name, {}))

    def price(self, part: str, role: str) -> Price:
        """What a role costs; part: models or scorers. Raises ConfigError if it is not there, or its price is wrong."""
        if role not in self.tables[part]:
            raise ConfigError(
                f"{part}.{role}: is missing. Describe [{part}.{role}] with its price.", where=self.path.name
            )
        return _price(f"{self.path.name}: {part}.{role}", self.tables[part][role])

    def model(self, role: str, limiters: dict[_Place, Limiter]) -> ModelRole:
        """One of its models; `limiters` are those that there are already. Raises as `roles`."""
        table = self.tables["models"][role]
        where, price, limiter = self._shared(f"models.{role}", table, limiters)
        if "calibration" in table:
            raise ConfigError(
                "maps a scorer's scores.", where=f"{where}.calibration", remedy="Put it below a scorer, or remove it."
            )
        sampling = converted(where + ".sampling", table.get("sampling", {}), Sampling, _SET_BY_CALLS)
        return ModelRole(
            model=self._part(models, where, role, table),
            price=price,
            sampling=sampling,
            limiter=limiter,
            backend=str(table["backend"]),
            repair=self._repair(where, table),
        )

    def _repair(self, where: str, table: Mapping[str, Any]) -> Repair | None:
        name = table.get("repair", "")
        if not isinstance(name, str):
            raise ConfigError(f"{name!r} is no name.", where=f"{where}.repair", remedy="Name a repair.")
        return cast(Repair, build(repairs.get(name), name, {})) if name else None

    def scorer(
        self, role: str, limiters: dict[_Place, Limiter], judges: dict[str, ScorerRole], within: tuple[str, ...] = ()
    ) -> ScorerRole:
        """One of its scorers, after those that it is made of; `limiters` and `judges` are those that there are already.

        within: the ensembles that it is a member of. Raises as `roles`.
        """
        if role in judges:
            return judges[role]
        table = self.tables["scorers"][role]
        where, price, limiter = self._shared(f"scorers.{role}", table, limiters)
        for key, why in _OF_MODELS.items():
            if key in table:
                raise ConfigError(why, where=f"{where}.{key}", remedy="Put it below a model, or remove it.")
        names = self._members(where, table, (*within, role))
        members = {name: self.scorer(name, limiters, judges, (*within, role)) for name in names}
        made_of = {"of": [member.scorer for member in members.values()]} if members else {}
        scorer = self._part(scorers, where, role, {**table, **made_of})
        if "calibration" in table:
            try:
                scorer = CalibratedScorer(scorer, load_score_map(Path(str(table["calibration"]))))
            except ArtifactError as failure:
                raise failure.inside(f"{where}.calibration") from None
        judges[role] = ScorerRole(
            scorer=scorer, price=price, limiter=limiter, members=members, backend=str(table["backend"])
        )
        return judges[role]

    def _members(self, where: str, table: Mapping[str, Any], within: tuple[str, ...]) -> list[str]:
        """The roles of the scorers that an ensemble is made of."""
        names = table.get("of", [])
        if not isinstance(names, list):
            raise ConfigError(
                f"{names!r} is no list.", where=f"{where}.of", remedy="Name the scorers that it is made of."
            )
        if names and "price" in table:
            raise ConfigError(
                "its members are paid, each at its own price.", where=f"{where}.price", remedy="Remove it."
            )
        if names and "limiter" in table:
            raise ConfigError(
                "its members are asked, each behind its own limiter.", where=f"{where}.limiter", remedy="Set theirs."
            )
        for name in names:
            if not isinstance(name, str) or name not in self.tables["scorers"] or name in within:
                others = ", ".join(role for role in self.tables["scorers"] if role not in within) or "none"
                raise ConfigError(
                    f"{name!r} is no other scorer of this file.", where=f"{where}.of", remedy=f"Name some of: {others}."
                )
        if len(set(names)) != len(names):
            raise ConfigError(f"{', '.join(names)} repeats a scorer.", where=f"{where}.of", remedy="Name each once.")
        return names

    def _shared(
        self, name: str, table: Mapping[str, Any], limiters: dict[_Place, Limiter]
    ) -> tuple[str, Price, Limiter | None]:
        where = f"{self.path.name}: {name}"
        price, place = _price(where, table), _place(table)
        if place is not None:
            if place not in limiters:
                limiters[place] = Limiter(self._gate_at(place, name), shown_address(place[0]))
            return where, price, limiters[place]
        if "limiter" not in table:  # it is in this process
            return where, price, None
        settings = converted(where + ".limiter", table["limiter"], LimiterSettings)
        return where, price, Limiter(settings, str(table.get("path") or table.get("backend")))

    def _gate_at(self, place: _Place, asking: str) -> LimiterSettings:
        """The limiter settings that all tables of one server and model share. An invalid table is reported only when it
        is the one `asking`."""
        settings: dict[str, LimiterSettings] = {}
        named = ((f"{part}.{role}", table) for part, roles in self.tables.items() for role, table in roles.items())
        for name, table in named:
            if "limiter" not in table or _place(table) != place:
                continue
            try:
                settings[name] = converted(f"{self.path.name}: {name}.limiter", table["limiter"], LimiterSettings)
            except ConfigError:
                if name == asking:
                    raise
                continue
            first = next(iter(settings))
            if settings[name] != settings[first]:
                server = shown_address(place[0])
                raise ConfigError(
                    f"{name}.limiter: {table['limiter']} is not that of {first}, which is of the same server and "
                    f"model ({server}, {place[1]}).",
                    where=self.path.name,
                    remedy="Give both the same, or only one of them.",
                )
        return next(iter(settings.values()), LimiterSettings())

    def _part(self, kind: Registry, where: str, role: str, table: Mapping[str, Any]) -> Any:
        own = {key: value for key, value in table.items() if key not in _ROLE}
        if not isinstance(backend := table.get("backend"), str):
            raise ConfigError("missing.", where=f"{where}.backend", remedy=f"Use one of {', '.join(kind.names())}.")
        try:
            return build(kind.get(backend), role, own)
        except (ConfigError, ContinuationUnsupported) as failure:
            raise ConfigError(failure.message, where=failure.inside(where).where, remedy=failure.remedy) from None
        except TypeError as failure:
            raise ConfigError(f"{failure}.", where=where, remedy="Correct or remove that field.") from None


def read_config(path: Path) -> ConfigFile:
    """Raises ConfigError that names the file and the field, for one that is missing, no TOML or wrong in itself."""
    try:
        text = path.read_text()
        document = tomllib.loads(text)
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist.", remedy="Write one with `steproute init`.") from None
    except OSError as failure:
        raise ConfigError(
            f"{path} cannot be read ({failure.strerror}).", remedy="Name a file such as steproute.toml."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as failure:
        raise ConfigError(f"no TOML ({failure}).", where=path) from None
    for part, table in document.items():
        if part not in _PARTS:
            raise ConfigError(f"{part} is unknown.", where=path.name, remedy=f"Use {', '.join(_PARTS)}.")
        if not isinstance(table, dict):
            raise ConfigError(f"{part} is no table.", where=path.name, remedy=f"Write it as [{part}].")
    parts: dict[str, Mapping[str, Any]] = {part: document.get(part, {}) for part in ("models", "scorers")}
    for part, roles in parts.items():
        for role, table in roles.items():
            if not isinstance(table, dict):
                raise ConfigError(
                    f"{part}.{role} is no table.", where=path.name, remedy=f"Write it as [{part}.{role}]."
                )
    if not parts["models"]:
        raise ConfigError(
            "models: there is none. Describe at least [models.weak] and [models.strong].", where=path.name
        )
    digested = {**parts, "roles": document["roles"]} if "roles" in document else parts
    return ConfigFile(
        path=path,
        digest=hashlib.sha256(json.dumps(digested, sort_keys=True, default=str).encode()).hexdigest(),
        tables=parts,
        route=read_route(f"{path.name}: route", document.get("route", {})),
        limits=read_limits(f"{path.name}: limits", document.get("limits", {}), parts["models"]),
        probe=converted(f"{path.name}: doctor", document.get("doctor", {}), ProbeSettings),
        answer=read_answer(f"{path.name}: answer", document.get("answer", {})),
        order=converted(f"{path.name}: roles", document.get("roles", {}), RolesSettings),
        gateway=read_gateway(f"{path.name}: serve", document.get("serve", {})),
    )


def _place(table: Mapping[str, Any]) -> _Place | None:
    """Where a backend is asked; None for one in this process."""
    if "base_url" not in table:
        return None
    return server_root(str(table["base_url"])), str(table.get("model"))


def _price(where: str, table: Mapping[str, Any]) -> Price:
    price = table.get("price")
    if price is None:
        return UNSET
    if not isinstance(price, dict) or not {"input", "output"} <= price.keys() <= {*_PRICES, "table"}:
        raise ConfigError(
            "give input and output, and if they differ from input cache_read, cache_write and cache_write_1h, in "
            "dollars per million tokens.",
            where=f"{where}.price",
        )
    try:
        numbers = {name: Decimal(str(price[name])) for name in _PRICES if name in price}
    except InvalidOperation:
        raise ConfigError(
            f"{price} holds something that is no number.", where=f"{where}.price", remedy="Give dollars."
        ) from None
    for name, number in numbers.items():
        if not (number.is_finite() and number >= 0):
            fault = "below 0" if number.is_finite() else "no finite number"
            raise ConfigError(
                f"{name} = {number} is {fault}.", where=f"{where}.price", remedy="Give dollars per million tokens."
            )
    return Price(**numbers, table=str(price.get("table", "steproute.toml")))
