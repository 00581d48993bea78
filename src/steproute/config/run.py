"""What decides a run's traces and what selects them, and the routes that come of it."""

import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from decimal import Decimal
from importlib.metadata import version
from typing import Any, Final

from steproute.config.answer import AnswerSettings
from steproute.config.embedded import PLACE_SCORER
from steproute.config.needs import check_answers
from steproute.config.route import TAKEOVER, RouteSettings, build_strategy, no_takeover, policy_family
from steproute.config.series_name import SeriesName
from steproute.core.bounds import MOST_PROBLEMS, check_between, check_seed
from steproute.core.errors import ConfigError
from steproute.core.ports import NEEDS, TAKEOVER_STEPS, TAKES_OVER
from steproute.core.problem import Problem
from steproute.core.route_name import SINGLE
from steproute.engine.limits import Limits
from steproute.engine.run_folder import Selection, checked_name
from steproute.engine.runner import Route, RunSettings
from steproute.environments.house.game import is_house
from steproute.environments.house.network import house_digest
from steproute.evaluation.sweep import Series, Sweep
from steproute.lab.digest import lab_digest
from steproute.strategies.single import Single

_SELECTING: Final = ("problems", "route", "knobs", "baselines", "seeds", "in_flight")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """Everything that decides a command's results, resolved.

    route: the policy under study, at each of `knobs` (its own grid if there are none); its `knob` has no meaning here.
    seed: of the problems that are made up, of the bootstrap, and of the solutions unless `seeds` are given. Each
    problem is solved with each of those.
    config_digest: of the steproute.toml that describes the models, empty for the lab; calibrations: the folders that
    it names. Raises ConfigError for names that are unknown or no plain names, and numbers that cannot be.
    """

    name: str
    data: str
    problems: int | None = None
    route: RouteSettings = RouteSettings()
    knobs: tuple[float, ...] = ()
    baselines: tuple[str, ...] = ()
    scorer: str = ""
    calibrations: tuple[str, ...] = ()
    config_digest: str = ""
    seed: int = 0
    seeds: tuple[int, ...] = ()
    in_flight: int = 32
    limits: Limits = field(default_factory=Limits)
    answer: AnswerSettings = AnswerSettings()

    def __post_init__(self) -> None:
        checked_name(self.name)
        if self.problems is not None:
            check_between("problems", self.problems, 1, MOST_PROBLEMS, "Give the number of problems to solve.")
        check_seed("seed", self.seed)
        for seed in self.seeds:
            check_seed("seeds", seed)
        if self.in_flight < 1:
            raise ConfigError(
                f"{self.in_flight} is below 1.", where="in_flight", remedy="Give how many problems to work on at once."
            )
        if len(set(self.seeds)) != len(self.seeds):
            raise ConfigError(
                f"{', '.join(map(str, self.seeds))} repeat a value.", where="seeds", remedy="Give each one once."
            )

    @property
    def settings(self) -> RunSettings:
        """What the runner needs."""
        return RunSettings(limits=self.limits, in_flight=self.in_flight)

    @property
    def artifacts(self) -> list[str]:
        """The folders of its trained policies and of its scorers' calibrations."""
        policies = [SeriesName.parse(name).policy for name in (self.route.policy, *self.baselines)]
        folders = [name for name in policies if "/" in name]
        scorer = [self.scorer] if self.scorer not in ("", PLACE_SCORER) else []
        return sorted({*folders, *self.calibrations, *scorer})

    def sweep(self) -> Sweep:
        """The routes of this run, at each of its seeds."""
        first, *further = self.seeds or (self.seed,)
        return replace(self._sweep(first), repeats=tuple(self._sweep(seed) for seed in further))

    def selection(self, sweep: Sweep, problems: Sequence[Problem]) -> Selection:
        """What its folder will hold."""
        return Selection(
            routes=tuple(route.name for route in sweep.routes),
            seeds=sweep.seeds,
            problems=problems,
            artifacts=tuple(sorted({*self.artifacts, *_read_by(sweep)})),
        )

    def conditions(self) -> dict[str, Any]:
        """What decides the trace of a problem by a route at a seed: the settings without those that only select."""
        return {key: value for key, value in self.document().items() if key not in _SELECTING}

    def _sweep(self, seed: int) -> Sweep:
        name = self.route.policy
        policy = self._series(name, self.knobs, seed)
        baselines = tuple(self._series(other, (), seed) for other in self.baselines if other != name)
        routes = [route for series in (policy, *baselines) for route in series.routes]
        steps = self.route.settings.get(TAKEOVER)
        if steps is not None and not any(TAKEOVER_STEPS.of(route.strategy) for route in routes):
            raise no_takeover(steps, ", ".join((name, *self.baselines)))
        check_answers(routes, self.answer.answer_rule)
        series = [each.name for each in (policy, *baselines)]
        if twice := sorted({name for name in series if series.count(name) > 1}):
            raise ConfigError(
                f"{', '.join(twice)} is there twice.", where="policies", remedy="Give all of its knobs at once."
            )
        return Sweep(
            weak=Route(name="single/weak", strategy=Single("weak"), seed=seed),
            strong=Route(name="single/strong", strategy=Single("strong"), seed=seed),
            policy=policy,
            baselines=baselines,
        )

    def document(self) -> dict[str, Any]:
        """All of it, in values that TOML holds, with the versions and the digest of the embedded models."""
        versions = {name: version(name) for name in ("steproute", "numpy", "onnxruntime", "math-verify")}
        digest = house_digest if is_house(self.data) else lab_digest
        models = {} if self.config_digest else {"lab_digest": digest()}
        document: dict[str, Any] = _plain(
            {**asdict(self), **models, "versions": {"python": platform.python_version(), **versions}}
        )
        del document["route"]["knob"]
        return document

    def _series(self, name: str, knobs: Sequence[float], seed: int) -> Series:
        """A policy under the run's strategy or its own, or `single:role`; see `SeriesName`."""
        parts = SeriesName.parse(name)
        if parts.strategy == SINGLE and not parts.settings:
            route = Route(name=f"single/{parts.policy}", strategy=Single(parts.policy), seed=seed)
            return Series(name=parts.label, knobs=(0.0,), routes=(route,))
        strategy = parts.strategy or self.route.strategy
        if strategy == SINGLE:
            raise ConfigError(
                "'single' takes no policy. Every run has always-weak and always-strong beside it; name "
                "another model as the policy single:mid.",
                where="strategy",
            )
        family = policy_family(parts.policy)
        chosen = parts.knobs or tuple(knobs) or family.knobs
        if len(set(chosen)) != len(chosen):
            raise ConfigError(
                f"{', '.join(f'{knob:g}' for knob in chosen)} repeat a value.",
                where="knobs",
                remedy="Give each one once.",
            )
        routes = []
        for knob in chosen:
            at_knob = family.at(knob, seed)
            inherited = dict(self.route.settings) if strategy == self.route.strategy else self._takeover
            if not TAKES_OVER.of(at_knob):
                inherited.pop(TAKEOVER, None)
            settings = {**inherited, **parts.settings}
            named = RouteSettings(strategy=strategy, policy=parts.policy, knob=knob, settings=settings).name
            routes.append(Route(name=named, strategy=build_strategy(strategy, at_knob, settings, seed), seed=seed))
        return Series(name=parts.label, knobs=chosen, routes=tuple(routes))

    @property
    def _takeover(self) -> dict[str, Any]:
        """What of the route's settings holds for other strategies, too."""
        return {key: value for key, value in self.route.settings.items() if key == TAKEOVER}


def _read_by(sweep: Sweep) -> set[str]:
    """The folders that its strategies read."""
    return {folder for route in sweep.routes for folder in NEEDS.of(route.strategy).artifacts}


def _plain(value: Any) -> Any:
    """Values that TOML can hold; None is left out."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Decimal) else value
