"""Routes by name: which strategy, policy and knob solve a problem, and the strategy's own settings."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, cast, get_type_hints

import msgspec

from steproute.artifacts import FACTS
from steproute.core.construction import builds_itself, family_of, required
from steproute.core.errors import ConfigError
from steproute.core.ports import (
    CHOOSES_BY,
    DECIDES_BY,
    REWRITERS,
    TAKEOVER_STEPS,
    TAKES_OVER,
    Chooser,
    Policy,
    PolicyFamily,
    Strategy,
)
from steproute.core.registry import choosers, policies, strategies
from steproute.core.route_name import SINGLE, RouteName
from steproute.core.settings import converted
from steproute.engine.episode import Episode
from steproute.policies.stored import load_policy
from steproute.strategies.single import Single

TAKEOVER: Final = TAKEOVER_STEPS.name
ROUTED: Final = "routed"
_POLICY: Final = DECIDES_BY.name
_CHOOSER: Final = CHOOSES_BY.name
_ROUTES: Final = "routes"
_GIVEN: Final = (_POLICY, _CHOOSER, _ROUTES)
"""Fields of a strategy that are no settings: its policy or chooser, and the strategies of the routes that the policy
names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteSettings:
    """The strategy, policy and knob that a problem is solved by.

    settings: the strategy's own, such as `takeover_steps` of stepwise or `lookahead` of pipelined.
    """

    strategy: str = "stepwise"
    policy: str = "threshold"
    knob: float = 0.5
    settings: Mapping[str, Any] = field(default_factory=dict)

    def strategy_at(self, seed: int, family: PolicyFamily | None = None) -> Strategy[Episode]:
        """Build it; raises ConfigError for unknown names and settings, and a knob out of range.

        family: the policy's, if it is at hand; else a trained policy is read from its folder.
        """
        policy = (policy_family(self.policy) if family is None else family).at(self.knob, seed)
        return build_strategy(self.strategy, policy, self.settings, seed)

    def changed(
        self,
        *,
        strategy: str | None = None,
        policy: str | None = None,
        knob: float | None = None,
        settings: Mapping[str, Any] = {},
    ) -> "RouteSettings":
        """This route with what is given.

        Another strategy keeps none of this one's settings, and another policy not its `takeover_steps`. A policy's
        folder that has one knob, as a calibrated one, is run at that unless `knob` is given.
        """
        own = dict(self.settings) if strategy in (None, self.strategy) else {}
        if policy not in (None, self.policy):
            own.pop(TAKEOVER, None)
        changed = replace(
            self,
            strategy=strategy or self.strategy,
            policy=policy or self.policy,
            knob=self.knob if knob is None else knob,
            settings={**own, **settings},
        )
        return changed if policy is None or knob is not None else changed.at_only_knob()

    def at_only_knob(self) -> "RouteSettings":
        """This route at its policy's only knob, if the policy is a folder that has one; raises ArtifactError."""
        knobs = policy_family(self.policy).knobs if "/" in self.policy else ()
        return replace(self, knob=knobs[0]) if len(knobs) == 1 else self

    @property
    def name(self) -> str:
        """The name that its traces carry: routes that solve differently have different ones."""
        return str(RouteName.of(self.strategy, self.settings, self.policy, self.knob))


def read_route(where: str, table: Mapping[str, Any]) -> RouteSettings:
    """The table `[route]`, with the strategy's own settings beside its name.

    Raises ConfigError that names `where` and the field.
    """
    common = {key: value for key, value in table.items() if key in ("strategy", "policy", "knob")}
    route = converted(where, common, RouteSettings)
    route = route if "knob" in table else route.at_only_knob()
    own = {key: value for key, value in table.items() if key not in common}
    if not own:
        return route
    try:
        return replace(route, settings=_checked(route.strategy, own))
    except ConfigError as failure:
        raise failure.inside(where, ".") from None


def parsed_settings(
    assignments: Iterable[str] | None, option: str = "set", example: str = "takeover_steps=2"
) -> dict[str, Any]:
    """Settings from a command line, `name=value` each; raises ConfigError that names the option."""
    settings: dict[str, Any] = {}
    for text in assignments or ():
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise ConfigError(f"{text!r} is no setting.", where=option, remedy=f"Write NAME=VALUE, such as {example}.")
        try:
            settings[name.strip()] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            settings[name.strip()] = value.strip()
    return settings


def policy_family(name: str) -> PolicyFamily:
    """A registered policy or chooser by name, a trained one that is shipped (lab-agg), or any other by its folder.

    Raises ConfigError for an unknown name, ArtifactError for a folder that holds no sound policy.
    """
    folder = policy_folder(name)
    if folder is not None:
        return load_policy(folder)
    return family_of((choosers if name in choosers.names() else policies).get(name))


def policy_folder(name: str) -> Path | None:
    """The folder of a trained policy, named by its path or shipped; None for a registered policy's name."""
    if "/" in name:
        return Path(name)
    return _shipped_folder(name) if has_shipped(name) else None


def has_shipped(name: str) -> bool:
    """Whether `name`, such as lab-agg, is a trained policy that comes with this installation."""
    return name.startswith("lab-") and (_shipped_folder(name) / FACTS).is_file()


def build_policy(name: str, knob: float, seed: int) -> Policy | Chooser:
    """A policy or chooser at one knob value; raises ConfigError for an unknown name or a knob out of range."""
    return policy_family(name).at(knob, seed)


def build_strategy(
    name: str, policy: Policy | Chooser, settings: Mapping[str, Any] = {}, seed: int = 0
) -> Strategy[Episode]:
    """A strategy around a policy, or around a chooser if it asks one. seed: of the policies of its routes, if any.

    Raises ConfigError for an unknown name, one that takes no policy, and settings that it or its policy does not use.
    """
    if name == SINGLE:
        raise ConfigError("'single' takes no policy.", where="strategy", remedy="Use stepwise or another that decides.")
    values = _checked(name, settings)
    if asks_chooser(name) != isinstance(policy, Chooser):
        raise _other_kind(name, type(policy).__name__)
    if TAKEOVER in values and not TAKES_OVER.of(policy):
        raise no_takeover(values[TAKEOVER], type(policy).__name__)
    kind: type[Any] = strategies.get(name)
    if builds_itself(kind):
        return cast(Strategy[Episode], kind.from_settings(name, {_POLICY: policy, **values}))
    if missing := [key for key in required(kind) if key not in values and key not in _GIVEN]:
        raise ConfigError(f"strategy {name!r} needs it.", where=missing[0], remedy=f"Set {missing[0]} = ….")
    made = {_POLICY: policy, _CHOOSER: policy, _ROUTES: _strategies_of(policy, seed) if _ROUTES in _types(kind) else {}}
    return cast(Strategy[Episode], kind(**values, **{key: made[key] for key in made if key in _types(kind)}))


def route_strategy(name: str, seed: int) -> Strategy[Episode]:
    """The strategy whose traces carry the name of a route, such as `single/weak` or `stepwise/threshold=0.3`.

    Raises ConfigError for a name of another form and for a route that chooses among routes, ArtifactError for a
    policy's folder that is not there.
    """
    route = route_named(name)
    if route.role is not None:
        return Single(route.role)
    assert route.policy is not None
    assert route.knob is not None
    try:
        return build_strategy(route.strategy, build_policy(route.policy, route.knob, seed), route.values, seed)
    except ConfigError as failure:
        raise failure.inside(name) from None


def route_named(name: str) -> RouteName:
    """The parts of the name of a route that a table can hold; raises ConfigError."""
    route = RouteName.parse(name)
    if route is None:
        raise ConfigError(
            f"no strategy can be built from the name {name!r}.",
            where="routes",
            remedy="Train on runs of `eval` or `compare`.",
        )
    if route.strategy == ROUTED:
        raise ConfigError(f"{name} chooses among routes itself.", where="routes", remedy="Leave that run out.")
    return route


def asks_chooser(strategy: str) -> bool:
    """Whether a strategy asks a chooser, and not a policy."""
    kind = strategies.get(strategy)
    return _CHOOSER in _types(kind) or hasattr(kind, _CHOOSER)


def _other_kind(strategy: str, policy: str) -> ConfigError:
    """The error for a policy where a chooser is asked, or the other way round."""
    if asks_chooser(strategy):
        what, others = "chooses before a step is written, and a policy decides after it", choosers
    else:
        what, others = "decides after a step is written, and a chooser chooses before it", policies
    return ConfigError(
        f"the strategy {strategy!r} {what}: {policy}.",
        where="policy",
        remedy=f"Use one of {', '.join(others.names())}.",
    )


def no_takeover(steps: int, policy: str) -> ConfigError:
    """The error for a takeover length if no takeover can come."""
    return ConfigError(
        f"{steps} has no effect, since no takeover comes from {policy}.",
        where="takeover_steps",
        remedy="Leave it out, or use the policy threshold+takeover.",
    )


def _strategies_of(policy: Policy | Chooser, seed: int) -> dict[str, Strategy[Episode]]:
    """Those of the routes that a policy names; none of a policy that names roles."""
    return {name: route_strategy(name, seed) for name in REWRITERS.of(policy) if "/" in name}


def _checked(strategy: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings, each of the type of its field; those of a strategy that builds itself are as they are."""
    kind = strategies.get(strategy)
    if builds_itself(kind):
        return dict(settings)
    types = _types(kind)
    has = [key for key in types if key not in _GIVEN]
    checked = {}
    for key, value in settings.items():
        if key not in has:
            raise ConfigError(f"strategy {strategy!r} has no such setting, but {', '.join(has) or 'none'}.", where=key)
        try:
            checked[key] = msgspec.convert(value, types[key])
        except msgspec.ValidationError as failure:
            raise ConfigError(f"{str(failure)[:1].lower()}{str(failure)[1:]}. It is {value!r}.", where=key) from None
    return checked


def _types(kind: type[Any]) -> dict[str, Any]:
    """A strategy's fields and their types."""
    if not is_dataclass(kind):
        return {}
    types = get_type_hints(kind)
    return {each.name: types[each.name] for each in fields(kind) if each.init}


def _shipped_folder(name: str) -> Path:
    return Path(str(files("steproute.lab"))) / "policies" / name.removeprefix("lab-")
