"""Policies that come from an artefact: written by training, read back by name of folder."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np

from steproute.core.errors import ArtifactError, ConfigError
from steproute.core.ports import PolicyFamily
from steproute.core.registry import policies
from steproute.policies.agg import AggNetwork
from steproute.policies.artifact import Artifact, read_artifact
from steproute.policies.learned import F64, DecisionNetwork, LearnedFamily
from steproute.policies.mixture import BudgetCurve, MixtureFamily
from steproute.policies.pomdp import PomdpFamily
from steproute.policies.pomdp_plan import Plan
from steproute.policies.query import QueryFamily, SimilarityRanking, TextClassifier, TfIdf
from steproute.policies.seq import SeqNetwork
from steproute.policies.step_pomdp import StepPomdp

POMDP: Final = "pomdp"
AGG: Final = "agg"
AGG_CONFIDENCE: Final = "agg-confidence"
SEQ: Final = "seq"
QUERY_SW: Final = "query-sw"
QUERY_CLASSIFIER: Final = "query-classifier"
MIXTURE: Final = "mixture"
_NUMBERS: Final = ("weak_accuracy", "strong_accuracy", "step_tokens", "task_reward")


def load_policy(folder: Path) -> PolicyFamily:
    """The policies of an artefact, one a knob; raises ArtifactError where it is damaged or of unknown kind."""
    return _built(read_artifact(folder), folder)


def _built(artifact: Artifact, folder: Path) -> PolicyFamily:
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


def network_artifact(kind: str, family: LearnedFamily, facts: dict[str, Any]) -> Artifact:
    """A network and its range of λ as an artefact; `facts` say what it was trained on."""
    return Artifact(kind=kind, arrays=family.network.weights, facts={**facts, "low": family.low, "high": family.high})


def query_artifact(family: QueryFamily, facts: dict[str, Any]) -> Artifact:
    """A query-level predictor and its grid as an artefact; `facts` say what it was fitted on."""
    predictor = family.predictor
    assert isinstance(predictor, SimilarityRanking | TextClassifier)
    arrays = {"idf": predictor.text.idf, "grid": np.array(family.knobs)}
    if isinstance(predictor, SimilarityRanking):
        arrays |= {"vectors": predictor.vectors, "right": predictor.right}
        kind = QUERY_SW
    else:
        arrays |= {"weights": predictor.weights, "bias": np.array([predictor.bias])}
        kind = QUERY_CLASSIFIER
    return Artifact(kind=kind, arrays=arrays, facts={**facts, "terms": list(predictor.text.terms)})


def mixture_artifact(
    curve: BudgetCurve, cost: float, goal: float, deviation: float, policy: str, facts: dict[str, Any]
) -> Artifact:
    """A calibrated policy as an artefact, whole: where `policy` is a folder, its artefact goes along.

    The numbers are those of MixtureFamily. Raises ConfigError for an unknown policy, ArtifactError for a damaged one.
    """
    inner = read_artifact(Path(policy)) if "/" in policy else None
    if inner is None:
        policies.get(policy)
    made = {
        "policy": policy,
        "inner": None if inner is None else {"kind": inner.kind, "facts": dict(inner.facts)},
        "curve": asdict(curve),
        "numbers": {"cost": cost, "goal": goal, "deviation": deviation},
    }
    return Artifact(kind=MIXTURE, arrays={} if inner is None else inner.arrays, facts={**facts, **made})


def _pomdp(artifact: Artifact) -> PomdpFamily:
    arrays = {name: np.asarray(array, float) for name, array in artifact.arrays.items()}
    numbers = {name: float(artifact.facts["model"][name]) for name in _NUMBERS}
    model = StepPomdp(hazard=arrays["hazard"], observations=arrays["observations"], **numbers)
    plan = Plan(model=model, costs=arrays["costs"], upper=arrays["upper"], alphas=arrays["alphas"])
    return PomdpFamily(plan, artifact.facts["belief"])


def _learned(artifact: Artifact) -> LearnedFamily:
    network = _NETWORKS[artifact.kind]({name: np.asarray(array, float) for name, array in artifact.arrays.items()})
    return LearnedFamily(network, float(artifact.facts["low"]), float(artifact.facts["high"]))


def _query(artifact: Artifact) -> QueryFamily:
    arrays = {name: np.asarray(array, float) for name, array in artifact.arrays.items()}
    text = TfIdf(tuple(artifact.facts["terms"]), arrays["idf"])
    predictor: SimilarityRanking | TextClassifier
    if artifact.kind == QUERY_SW:
        predictor = SimilarityRanking(text, arrays["vectors"], arrays["right"])
    else:
        predictor = TextClassifier(text, arrays["weights"], float(arrays["bias"][0]))
    return QueryFamily(predictor, tuple(arrays["grid"].tolist()))


def _mixture(artifact: Artifact) -> MixtureFamily:
    facts = artifact.facts
    family: PolicyFamily
    if facts["inner"] is None:
        family = policies.get(facts["policy"])  # type: ignore[assignment]
    else:
        inner = Artifact(kind=facts["inner"]["kind"], arrays=artifact.arrays, facts=facts["inner"]["facts"])
        family = _built(inner, Path(facts["policy"]))
    curve = facts["curve"]
    return MixtureFamily(
        family,
        BudgetCurve(axis=curve["axis"], knobs=tuple(curve["knobs"]), costs=tuple(curve["costs"])),
        **{name: float(facts["numbers"][name]) for name in ("cost", "goal", "deviation")},
    )


_NETWORKS: Final[Mapping[str, Callable[[dict[str, F64]], DecisionNetwork]]] = {
    AGG: AggNetwork,
    AGG_CONFIDENCE: AggNetwork,
    SEQ: SeqNetwork,
}
_KINDS: Final[Mapping[str, Callable[[Artifact], PolicyFamily]]] = {
    POMDP: _pomdp,
    AGG: _learned,
    AGG_CONFIDENCE: _learned,
    SEQ: _learned,
    QUERY_SW: _query,
    QUERY_CLASSIFIER: _query,
    MIXTURE: _mixture,
}
