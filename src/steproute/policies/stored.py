"""Policies that come from an artefact: written by training, read back by name of folder."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from steproute.core.errors import ArtifactError, ConfigError
from steproute.core.ports import PolicyFamily
from steproute.policies.agg import AggFamily, DecisionNetwork
from steproute.policies.artifact import Artifact, read_artifact
from steproute.policies.pomdp import PomdpFamily
from steproute.policies.pomdp_plan import Plan
from steproute.policies.step_pomdp import StepPomdp

POMDP: Final = "pomdp"
AGG: Final = "agg"
_NUMBERS: Final = ("weak_accuracy", "strong_accuracy", "step_tokens", "task_reward")


def load_policy(folder: Path) -> PolicyFamily:
    """The policies of an artefact, one a knob; raises ArtifactError where it is damaged or of unknown kind."""
    artifact = read_artifact(folder)
    if artifact.kind not in _KINDS:
        raise ArtifactError(f"policy: {folder} is of kind {artifact.kind!r}, which this version does not know.")
    try:
        return _KINDS[artifact.kind](artifact)
    except (KeyError, TypeError, ConfigError) as failure:
        raise ArtifactError(f"policy: {folder} is incomplete ({failure}). Train the policy again.") from None


def pomdp_artifact(family: PomdpFamily, facts: dict[str, Any]) -> Artifact:
    """A plan as an artefact; `facts` say what it was fitted on."""
    plan, model = family.plan, family.plan.model
    arrays = {
        "hazard": model.hazard,
        "observations": model.observations,
        "costs": plan.costs,
        "upper": plan.upper,
        "alphas": plan.alphas,
    }
    numbers = {name: getattr(model, name) for name in _NUMBERS}
    return Artifact(
        kind=POMDP, arrays=arrays, facts={**facts, "model": numbers, "belief": family.belief, "gap": plan.gap}
    )


def agg_artifact(family: AggFamily, facts: dict[str, Any]) -> Artifact:
    """A network and its range of λ as an artefact; `facts` say what it was trained on."""
    return Artifact(kind=AGG, arrays=family.network.weights, facts={**facts, "low": family.low, "high": family.high})


def _pomdp(artifact: Artifact) -> PomdpFamily:
    arrays = {name: np.asarray(array, float) for name, array in artifact.arrays.items()}
    numbers = {name: float(artifact.facts["model"][name]) for name in _NUMBERS}
    model = StepPomdp(hazard=arrays["hazard"], observations=arrays["observations"], **numbers)
    plan = Plan(model=model, costs=arrays["costs"], upper=arrays["upper"], alphas=arrays["alphas"])
    return PomdpFamily(plan, artifact.facts["belief"])


def _agg(artifact: Artifact) -> AggFamily:
    network = DecisionNetwork({name: np.asarray(array, float) for name, array in artifact.arrays.items()})
    return AggFamily(network, float(artifact.facts["low"]), float(artifact.facts["high"]))


_KINDS: Final[Mapping[str, Callable[[Artifact], PolicyFamily]]] = {POMDP: _pomdp, AGG: _agg}
