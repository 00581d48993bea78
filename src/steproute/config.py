"""The composition root: names and numbers in, models, policies, strategies and runs out."""

import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from importlib.metadata import version
from importlib.resources import files
from inspect import signature
from pathlib import Path
from typing import Any, Final

import numpy as np

from steproute.bench.sweep import Series, Sweep
from steproute.core.errors import ArtifactError, ConfigError
from steproute.core.ports import Policy, PolicyFamily, StepScorer, Strategy, takes_over
from steproute.core.registry import policies, strategies
from steproute.engine.cast import Cast, Judge, Writer
from steproute.engine.episode import Episode
from steproute.engine.limits import Limits
from steproute.engine.run_folder import checked_name
from steproute.engine.runner import Route, RunSettings
from steproute.lab.digest import lab_digest
from steproute.lab.models import LAB_SAMPLING, PRICES, LabLikelihood, LabModel, LabPrm
from steproute.lab.trim_world import models as trim_world
from steproute.lab.trim_world.parameters import STRONG, WEAK
from steproute.lab.trim_world.world import is_trim_world
from steproute.policies.artifact import FACTS, Artifact, UnsoundArtifact, read_artifact
from steproute.policies.artifact_fields import sound_arrays
from steproute.policies.stored import load_policy
from steproute.scorers.calibrated import CalibratedScorer, Isotonic, ScoreMap, Temperature
from steproute.strategies.single import Single

BASELINES: Final = ("random", "oracle")
PLACE_SCORER: Final = "prm-place"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """Everything that decides a run's results, resolved; saved as `run.toml`.

    config_digest: of the steproute.toml that describes the models, empty for the lab; calibrations: the folders that
    it names. Raises ConfigError for names that are unknown or no plain names, and numbers that cannot be.
    """

    name: str
    data: str
    problems: int | None = None
    strategy: str = "stepwise"
    policy: str = "threshold"
    knobs: tuple[float, ...] = ()
    baselines: tuple[str, ...] = ()
    takeover_steps: int | None = None
    ahead: int | None = None
    hedge: float | None = None
    scorer: str = ""
    calibrations: tuple[str, ...] = ()
    config_digest: str = ""
    seed: int = 0
    in_flight: int = 32
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        checked_name(self.name)
        if self.problems is not None and self.problems < 1:
            raise ConfigError(f"problems: {self.problems} is below 1. Give the number of problems to solve.")
        if self.in_flight < 1:
            raise ConfigError(f"in_flight: {self.in_flight} is below 1. Give how many problems to work on at once.")

    @property
    def settings(self) -> RunSettings:
        """What the runner needs."""
        return RunSettings(limits=self.limits, seed=self.seed, in_flight=self.in_flight)

    @property
    def artifacts(self) -> list[str]:
        """The folders of its trained policies and of its scorers' calibrations."""
        policies = [name.partition(":")[2] or name for name in (self.policy, *self.baselines)]
        folders = [name for name in policies if "/" in name]
        scorer = [self.scorer] if self.scorer not in ("", PLACE_SCORER) else []
        return sorted({*folders, *self.calibrations, *scorer})

    def sweep(self) -> Sweep:
        """The routes of this run."""
        policy = self._series(self.policy, self.knobs)
        baselines = tuple(self._series(name, ()) for name in self.baselines if name != self.policy)
        routes = [route for series in (policy, *baselines) for route in series.routes]
        if self.takeover_steps is not None and not any(
            getattr(route.strategy, "takeover_steps", None) for route in routes
        ):
            raise _no_takeover(self.takeover_steps, ", ".join((self.policy, *self.baselines)))
        return Sweep(
            weak=Route(name="single/weak", strategy=Single("weak")),
            strong=Route(name="single/strong", strategy=Single("strong")),
            policy=policy,
            baselines=baselines,
        )

    def document(self) -> dict[str, Any]:
        """The content of `run.toml`."""
        versions = {name: version(name) for name in ("steproute", "numpy", "onnxruntime", "math-verify")}
        models = {} if self.config_digest else {"lab_digest": lab_digest()}
        document: dict[str, Any] = _plain(
            {**asdict(self), **models, "versions": {"python": platform.python_version(), **versions}}
        )
        return document

    def _series(self, name: str, knobs: Sequence[float]) -> Series:
        """`policy` under the run's strategy, `strategy:policy`, or `single:role`."""
        before, _, after = name.partition(":")
        strategy, policy = (before, after) if after else (self.strategy, name)
        if before == "single" and after:
            route = Route(name=f"single/{policy}", strategy=Single(policy))
            return Series(name=name, knobs=(0.0,), routes=(route,))
        if strategy == "single":
            raise ConfigError(
                "strategy: 'single' takes no policy. Every run has always-weak and always-strong beside it; "
                "name another model as the policy single:mid."
            )
        family = policy_family(policy)
        settings: dict[str, float | None] = {}
        if strategy == self.strategy:
            settings |= {"ahead": self.ahead, "hedge": self.hedge}
        chosen = tuple(knobs) or family.knobs
        if len(set(chosen)) != len(chosen):
            raise ConfigError(f"knobs: {', '.join(f'{knob:g}' for knob in chosen)} repeat a value. Give each one once.")
        routes = []
        for knob in chosen:
            at_knob = family.at(knob, self.seed)
            steps = self.takeover_steps if takes_over(at_knob) else None
            built = build_strategy(strategy, at_knob, takeover_steps=steps, **settings)
            routes.append(Route(name=f"{strategy}/{policy}={knob:g}", strategy=built))
        return Series(name=name, knobs=chosen, routes=tuple(routes))


def policy_family(name: str) -> PolicyFamily:
    """A registered policy by name, a trained one that is shipped (lab-agg), or any trained one by its folder's path.

    Raises ConfigError for an unknown name, ArtifactError for a folder that holds no sound policy.
    """
    if "/" in name:
        return load_policy(Path(name))
    if has_shipped(name):
        return load_policy(_shipped_folder(name))
    family: PolicyFamily = policies.get(name)  # type: ignore[assignment]
    return family


def has_shipped(name: str) -> bool:
    """Whether `name`, such as lab-agg, is a trained policy that comes with this installation."""
    return name.startswith("lab-") and (_shipped_folder(name) / FACTS).is_file()


def _shipped_folder(name: str) -> Path:
    return Path(str(files("steproute.lab"))) / "policies" / name.removeprefix("lab-")


def build_policy(name: str, knob: float, seed: int) -> Policy:
    """A policy at one knob value; raises ConfigError for an unknown name or a knob out of range."""
    return policy_family(name).at(knob, seed)


def build_strategy(name: str, policy: Policy, **settings: float | None) -> Strategy[Episode]:
    """A strategy around a policy, with those of its settings that are not None.

    Raises ConfigError for an unknown name, one that takes no policy, and settings that it or its policy does not use.
    """
    if name == "single":
        raise ConfigError("strategy: 'single' takes no policy. Use stepwise or another that decides.")
    kind = strategies.get(name)
    given = {key: value for key, value in settings.items() if value is not None}
    has = [key for key in signature(kind).parameters if key != "policy"]
    for key in given:
        if key not in has:
            raise ConfigError(f"{key}: strategy {name!r} has no such setting, but {', '.join(has) or 'none'}.")
    if "takeover_steps" in given and not takes_over(policy):
        raise _no_takeover(given["takeover_steps"], type(policy).__name__)
    strategy: Strategy[Episode] = kind(policy=policy, **given)
    return strategy


def score_map_artifact(score_map: ScoreMap, facts: dict[str, Any]) -> Artifact:
    """A scorer's calibration as an artefact; `facts` say what it was fitted on."""
    if isinstance(score_map, Isotonic):
        return Artifact(kind="isotonic", arrays={"scores": score_map.scores, "values": score_map.values}, facts=facts)
    assert isinstance(score_map, Temperature)
    numbers = np.array([score_map.temperature, score_map.shift])
    return Artifact(kind="temperature", arrays={"numbers": numbers}, facts=facts)


def load_score_map(folder: Path) -> ScoreMap:
    """A scorer's calibration; raises ArtifactError if it is missing, damaged or of another kind."""
    if not (folder / FACTS).exists():
        raise ArtifactError(f"scorer: {folder} holds no calibration. `steproute calibrate-scorer` makes one.")
    try:
        artifact = read_artifact(folder)
        if artifact.kind == "isotonic":
            knots = sound_arrays(artifact, scores=1, values=1)
            return Isotonic(knots["scores"], knots["values"])
        if artifact.kind == "temperature":
            return Temperature(*sound_arrays(artifact, numbers=1)["numbers"].tolist())
    except (TypeError, ConfigError, UnsoundArtifact) as failure:
        reason = failure.reason if isinstance(failure, UnsoundArtifact) else failure
        raise ArtifactError(f"scorer: {folder} is incomplete or damaged ({reason}). Calibrate it again.") from None
    raise ArtifactError(f"scorer: {folder} is of kind {artifact.kind!r}, not a calibration.")


def lab_cast(scorer: str = "") -> Cast:
    """The bundled lab: three writers, the PRM, and strong as a judge, with their prices.

    scorer: what scores as `prm`: the verifier if empty, the older PRM if "prm-place" (for null checks), else the
    verifier with the calibration in that folder, by `steproute calibrate-scorer`. Raises ArtifactError if that is
    damaged or weights are missing.
    """
    place = LabPrm("lab-prm-place")
    prm: StepScorer = place if scorer == PLACE_SCORER else LabPrm()
    if scorer and scorer != PLACE_SCORER:
        prm = CalibratedScorer(prm, load_score_map(Path(scorer)))
    return Cast(
        writers={
            "weak": Writer(model=LabModel("lab-weak"), price=PRICES["lab-weak"], sampling=LAB_SAMPLING),
            "mid": Writer(model=LabModel("lab-mid"), price=PRICES["lab-mid"], sampling=LAB_SAMPLING),
            "strong": Writer(model=LabModel("lab-strong"), price=PRICES["lab-strong"], sampling=LAB_SAMPLING),
        },
        judges={
            "prm": Judge(scorer=prm, price=PRICES["lab-verifier"]),
            PLACE_SCORER: Judge(scorer=place, price=PRICES["lab-prm-place"]),
            "strong": Judge(scorer=LabLikelihood("lab-strong"), price=PRICES["lab-strong"]),
        },
    )


def trim_world_roles() -> Cast:
    """TRIM's world: two models and a PRM that draw by the authors' published parameters, at assumed prices."""
    return Cast(
        writers={
            role: Writer(
                model=trim_world.DrawingModel(name), price=trim_world.PRICES[name], sampling=trim_world.SAMPLING
            )
            for role, name in (("weak", WEAK), ("strong", STRONG))
        },
        judges={"prm": Judge(scorer=trim_world.DrawingPrm(), price=trim_world.PRICES[trim_world.PRM])},
    )


def embedded_roles(data: str, scorer: str = "") -> Cast:
    """The embedded models that solve a data set: TRIM's world for its own problems, else the lab.

    scorer: see `lab_cast`. Raises ConfigError for a calibration in TRIM's world, whose PRM has none.
    """
    if not is_trim_world(data):
        return lab_cast(scorer)
    if scorer:
        raise ConfigError(f"scorer: {scorer!r} calibrates the lab's PRM, and {data} has its own. Leave it out.")
    return trim_world_roles()


def _no_takeover(steps: float, policy: str) -> ConfigError:
    return ConfigError(
        f"takeover_steps: {steps} has no effect, since no takeover comes from {policy}. Leave it out, or use "
        "the policy threshold+takeover."
    )


def _plain(value: Any) -> Any:
    """Values that TOML can hold; None is left out."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Decimal) else value
