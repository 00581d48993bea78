"""The composition root: names and numbers in, models, policies, strategies and runs out."""

import platform
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from importlib.metadata import version
from importlib.resources import files
from inspect import signature
from pathlib import Path
from typing import Any, Final

import numpy as np
import tomli_w

from steproute.bench.sweep import Series, Sweep
from steproute.core.errors import ArtifactError, ConfigError
from steproute.core.ports import Policy, PolicyFamily, StepScorer, Strategy, takes_over
from steproute.core.registry import policies, strategies
from steproute.engine.cast import Cast, Judge, Writer
from steproute.engine.episode import Episode
from steproute.engine.limits import Limits
from steproute.engine.runner import Route, RunSettings
from steproute.lab.models import LAB_SAMPLING, PRICES, LabLikelihood, LabModel, LabPrm
from steproute.policies.artifact import FACTS, Artifact, read_artifact
from steproute.policies.stored import load_policy
from steproute.scorers.calibrated import CalibratedScorer, Isotonic, ScoreMap, Temperature
from steproute.strategies.single import Single

BASELINES: Final = ("random", "oracle")
_NOT_COMPARED: Final = ("in_flight", "versions")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """Everything that decides a run's results, resolved; saved as `run.toml`.

    config_digest: of the steproute.toml that describes the models, empty for the lab.
    Raises ConfigError for names that are unknown and numbers that cannot be.
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
    config_digest: str = ""
    seed: int = 0
    in_flight: int = 32
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if self.problems is not None and self.problems < 1:
            raise ConfigError(f"problems: {self.problems} is below 1. Give the number of problems to solve.")
        if self.in_flight < 1:
            raise ConfigError(f"in_flight: {self.in_flight} is below 1. Give how many problems to work on at once.")

    @property
    def settings(self) -> RunSettings:
        """What the runner needs."""
        return RunSettings(limits=self.limits, seed=self.seed, in_flight=self.in_flight)

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
        document: dict[str, Any] = _plain(
            {**asdict(self), "versions": {"python": platform.python_version(), **versions}}
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
    """A scorer's calibration; raises ArtifactError where it is missing, damaged or of another kind."""
    if not (folder / FACTS).exists():
        raise ArtifactError(f"scorer: {folder} holds no calibration. `steproute calibrate-scorer` makes one.")
    artifact = read_artifact(folder)
    try:
        if artifact.kind == "isotonic":
            return Isotonic(artifact.arrays["scores"], artifact.arrays["values"])
        if artifact.kind == "temperature":
            return Temperature(*artifact.arrays["numbers"].tolist())
    except (KeyError, TypeError, ConfigError) as failure:
        raise ArtifactError(f"scorer: {folder} is incomplete ({failure}). Calibrate it again.") from None
    raise ArtifactError(f"scorer: {folder} is of kind {artifact.kind!r}, not a calibration.")


def lab_cast(scorer: str = "") -> Cast:
    """The bundled lab: three writers, the PRM, and strong as a judge, with their prices.

    scorer: folder of the PRM's calibration, by `steproute calibrate-scorer`; none where empty. Raises ArtifactError
    where that is damaged or weights are missing.
    """
    prm: StepScorer = LabPrm()
    if scorer:
        prm = CalibratedScorer(prm, load_score_map(Path(scorer)))
    return Cast(
        writers={
            "weak": Writer(model=LabModel("lab-weak"), price=PRICES["lab-weak"], sampling=LAB_SAMPLING),
            "mid": Writer(model=LabModel("lab-mid"), price=PRICES["lab-mid"], sampling=LAB_SAMPLING),
            "strong": Writer(model=LabModel("lab-strong"), price=PRICES["lab-strong"], sampling=LAB_SAMPLING),
        },
        judges={
            "prm": Judge(scorer=prm, price=PRICES["lab-prm"]),
            "strong": Judge(scorer=LabLikelihood("lab-strong"), price=PRICES["lab-strong"]),
        },
    )


def claim_folder(folder: Path, config: RunConfig) -> None:
    """Write `run.toml`, or check that the run that is there has the same settings.

    Raises ConfigError that names the first setting that differs.
    """
    path, document = folder / "run.toml", config.document()
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(tomli_w.dumps(document))
        return
    there = tomllib.loads(path.read_text())
    for key in sorted({*there, *document} - set(_NOT_COMPARED)):
        if there.get(key) == document.get(key):
            continue
        if key == "config_digest" and there.get(key) and document[key]:
            change = "[models] or [scorers] of its steproute.toml have changed since it began"
        elif key == "config_digest":
            began, now = ("the lab", "a steproute.toml") if document[key] else ("a steproute.toml", "the lab")
            change = f"it began with the models of {began} and is now given those of {now}"
        else:
            change = f"{key} was {there.get(key)!r} and is now {document.get(key)!r}"
        raise ConfigError(f"run {folder.name!r}: {change}. Resume with the same settings, or name another run.")


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
