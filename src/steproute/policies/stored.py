"""Policies that come from an artefact: written by training, read back by name of folder."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, get_args

import numpy as np

from steproute.artifacts import (
    Artifact,
    UnsoundArtifact,
    read_artifact,
    sound_arrays,
    sound_choice,
    sound_number,
    sound_numbers,
)
from steproute.core.arrays import F64
from steproute.core.construction import family_of
from steproute.core.errors import ArtifactError, ConfigError
from steproute.core.ports import PolicyFamily
from steproute.core.registry import policies
from steproute.policies.advantage import AdvantageFamily, AdvantageNetwork
from steproute.policies.boundary import BoundaryFamily, BoundaryRouter
from steproute.policies.mixture import Axis, BudgetCurve, MixtureFamily
from steproute.policies.query import QueryFamily, SimilarityRanking, TextClassifier, TfIdf
from steproute.policies.route_table_file import ROUTE_TABLE, family_of_table, with_parts
from steproute.policies.steer import ConfidenceMixture, SteerFamily
from steproute.policies.trim.agg import AggNetwork
from steproute.policies.trim.learned import DecisionNetwork, LearnedFamily
from steproute.policies.trim.pomdp_model import Rewriter, StepPomdp
from steproute.policies.trim.pomdp_plan import Plan
from steproute.policies.trim.pomdp_policy import Belief, PomdpFamily
from steproute.policies.trim.rung_table import RungFamily, RungTable
from steproute.policies.trim.seq import SeqNetwork

POMDP: Final = "pomdp"
AGG: Final = "agg"
AGG_CONFIDENCE: Final = "agg-confidence"
SEQ: Final = "seq"
QUERY_SW: Final = "query-sw"
QUERY_CLASSIFIER: Final = "query-classifier"
ADVANTAGE: Final = "advantage"
MIXTURE: Final = "mixture"
STEER: Final = "steer"
RUNGS: Final = "rungs"
BOUNDARY: Final = "boundary"
_FEATURES: Final = {AGG: "log-odds", AGG_CONFIDENCE: "log-odds"}
"""What the aggregate networks read of the scores."""

_NUMBERS: Final = ("weak_accuracy", "step_tokens", "task_reward")


def load_policy(folder: Path) -> PolicyFamily:
    """The policies of an artefact, one for each knob; raises ArtifactError that names the field if one is unsound."""
    try:
        return _built(with_parts(read_artifact(folder), folder), folder)
    except UnsoundArtifact as failure:
        remedy = failure.remedy or "Train the policy again."
        raise ArtifactError(f"{failure.message}.", where="policy", remedy=remedy) from None


def _built(artifact: Artifact, folder: Path) -> PolicyFamily:
    if artifact.kind not in _KINDS:
        raise ArtifactError(f"{folder} is of kind {artifact.kind!r}, which this version does not know.", where="policy")
    try:
        family = _KINDS[artifact.kind](artifact)
        for knob in family.knobs:
            family.at(knob, 0)
    except ArtifactError:
        raise
    except KeyError as failure:
        raise ArtifactError(
            f"{folder} is incomplete: {failure} is missing.", where="policy", remedy="Train the policy again."
        ) from None
    except (ConfigError, TypeError, ValueError, IndexError, RecursionError, OverflowError) as failure:
        raise ArtifactError(
            f"{folder} does not fit together ({failure}).", where="policy", remedy="Train the policy again."
        ) from None
    return family


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
    table: dict[str, Any] = {name: getattr(model, name) for name in _NUMBERS}
    table["rewriters"] = [asdict(rewriter) for rewriter in model.rewriters]
    return Artifact(
        kind=POMDP, arrays=arrays, facts={**facts, "model": table, "belief": family.belief, "gap": plan.gap}
    )


def network_artifact(kind: str, family: LearnedFamily, facts: dict[str, Any]) -> Artifact:
    """A network, its roles and its range of λ as an artefact; `facts` say what it was trained on."""
    made: dict[str, Any] = {"low": family.low, "high": family.high, "roles": ["weak", *family.rewriters]}
    if kind in _FEATURES:
        made["features"] = _FEATURES[kind]
    return Artifact(kind=kind, arrays=family.network.weights, facts={**facts, **made})


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


def advantage_artifact(family: AdvantageFamily, facts: dict[str, Any]) -> Artifact:
    """A network of Arbitrage and its grid as an artefact; `facts` say what it was trained on."""
    return Artifact(kind=ADVANTAGE, arrays={**family.network.weights, "grid": np.array(family.knobs)}, facts=facts)


def mixture_artifact(
    curve: BudgetCurve,
    cost: float,
    goal: float,
    deviation: float,
    policy: str,
    facts: dict[str, Any],
    folder: Path | None = None,
) -> Artifact:
    """A calibrated policy as an artefact, whole: the artefact of a trained policy, in its `folder`, goes along.

    The numbers are those of MixtureFamily. Raises ConfigError for an unknown policy, ArtifactError for a damaged one.
    """
    inner = None if folder is None else with_parts(read_artifact(folder), folder)
    if inner is None:
        policies.get(policy)
    made = {
        "policy": policy,
        "inner": None if inner is None else {"kind": inner.kind, "facts": dict(inner.facts)},
        "curve": asdict(curve),
        "numbers": {"cost": cost, "goal": goal, "deviation": deviation},
    }
    return Artifact(kind=MIXTURE, arrays={} if inner is None else inner.arrays, facts={**facts, **made})


def steer_artifact(family: SteerFamily, facts: dict[str, Any]) -> Artifact:
    """A mixture as an artefact; `facts` say what it was fitted on."""
    return Artifact(kind=STEER, arrays=asdict(family.mixture), facts=facts)


def rungs_artifact(family: RungFamily, facts: dict[str, Any]) -> Artifact:
    """Tables of one ladder as an artefact; `facts` say what they were fitted on."""
    first = family.tables[0]
    arrays = {
        "edges": first.edges,
        "actions": np.stack([table.actions for table in family.tables]),
        "lost": np.array([table.lost for table in family.tables]),
    }
    return Artifact(kind=RUNGS, arrays=arrays, facts={**facts, "ladder": list(first.ladder), "width": first.width})


def _rungs(artifact: Artifact) -> RungFamily:
    arrays = sound_arrays(artifact, edges=1, actions=4, lost=1)
    ladder, width = artifact.facts["ladder"], sound_number(artifact.facts, "width")
    if not isinstance(ladder, list) or not all(isinstance(rung, str) for rung in ladder):
        raise ArtifactError(
            f"ladder: {ladder!r:.80} is no list of rungs.", where="policy", remedy="Train the policy again."
        )
    return RungFamily(
        [
            RungTable(tuple(ladder), arrays["edges"], actions.astype(int), float(lost), int(width))
            for actions, lost in zip(arrays["actions"], arrays["lost"], strict=True)
        ]
    )


def boundary_artifact(family: BoundaryFamily, facts: dict[str, Any]) -> Artifact:
    """A chooser's router as an artefact; `facts` say what it was trained on."""
    router = family.router
    return Artifact(kind=BOUNDARY, arrays={"weights": router.weights}, facts={**facts, "terms": list(router.terms)})


def _boundary(artifact: Artifact) -> BoundaryFamily:
    return BoundaryFamily(BoundaryRouter(_terms(artifact), sound_arrays(artifact, weights=1)["weights"]))


def _steer(artifact: Artifact) -> SteerFamily:
    return SteerFamily(ConfidenceMixture(**sound_arrays(artifact, shares=1, means=1, deviations=1)))


def _pomdp(artifact: Artifact) -> PomdpFamily:
    arrays = sound_arrays(artifact, hazard=1, observations=3, costs=1, upper=3, alphas=4)
    table = artifact.facts["model"]
    numbers = {name: sound_number(table, name) for name in _NUMBERS}
    model = StepPomdp(
        rewriters=_rewriters(table), hazard=arrays["hazard"], observations=arrays["observations"], **numbers
    )
    shape = (len(arrays["costs"]), model.stages, arrays["upper"].shape[2])
    if arrays["upper"].shape != shape or arrays["alphas"].shape != (*shape, 2) or shape[2] < 2:
        raise ArtifactError(
            f"upper, alphas: shapes {arrays['upper'].shape} and {arrays['alphas'].shape} are not "
            f"those of a plan of {shape[0]} costs and {shape[1]} stages.",
            where="policy",
            remedy="Train the policy again.",
        )
    plan = Plan(model=model, costs=arrays["costs"], upper=arrays["upper"], alphas=arrays["alphas"])
    return PomdpFamily(plan, sound_choice(artifact.facts, "belief", get_args(Belief)))


def _rewriters(table: Mapping[str, Any]) -> tuple[Rewriter, ...]:
    """Of a model's table; one from before there were several names the strong model's accuracy alone."""
    if "rewriters" not in table:
        return (Rewriter("strong", sound_number(table, "strong_accuracy")),)
    rows = table["rewriters"]
    if not isinstance(rows, list) or not all(isinstance(row, dict) and isinstance(row["name"], str) for row in rows):
        raise ArtifactError(
            f"rewriters: {rows!r:.80} is no list of roles.", where="policy", remedy="Train the policy again."
        )
    return tuple(
        Rewriter(
            row["name"],
            sound_number(row, "accuracy"),
            sound_number(row, "relative_cost"),
            None if row.get("mends") is None else sound_number(row, "mends"),
        )
        for row in rows
    )


def _learned(artifact: Artifact) -> LearnedFamily:
    network = _NETWORKS[artifact.kind](sound_arrays(artifact))
    low, high = sound_number(artifact.facts, "low"), sound_number(artifact.facts, "high")
    if not 0 < low <= high:
        raise ArtifactError(
            f"low, high: {low:g}, {high:g} are no range of λ.", where="policy", remedy="Train the policy again."
        )
    features = artifact.facts.get("features")
    if features != _FEATURES.get(artifact.kind):
        raise ArtifactError(
            f"features: it was trained on {features or 'raw scores'!r}.",
            where="policy",
            remedy="Train the policy again.",
        )
    return LearnedFamily(network, low, high, rewriters=_learned_rewriters(artifact.facts))


def _learned_rewriters(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """The roles after weak; an artefact from before there were several is of the strong model alone."""
    roles = facts.get("roles", ["weak", "strong"])
    if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles) or roles[:1] != ["weak"]:
        raise ArtifactError(
            f"roles: {roles!r:.80} is not weak and then other roles.", where="policy", remedy="Train the policy again."
        )
    return tuple(roles[1:])


def _terms(artifact: Artifact) -> tuple[str, ...]:
    terms = artifact.facts["terms"]
    if not isinstance(terms, list) or not all(isinstance(term, str) for term in terms):
        raise ArtifactError(
            f"terms: {terms!r:.80} is no list of words.", where="policy", remedy="Train the policy again."
        )
    return tuple(terms)


def _query(artifact: Artifact) -> QueryFamily:
    terms = _terms(artifact)
    predictor: SimilarityRanking | TextClassifier
    if artifact.kind == QUERY_SW:
        arrays = sound_arrays(artifact, idf=1, grid=1, vectors=2, right=1)
        predictor = SimilarityRanking(TfIdf(terms, arrays["idf"]), arrays["vectors"], arrays["right"])
    else:
        arrays = sound_arrays(artifact, idf=1, grid=1, weights=1, bias=1)
        predictor = TextClassifier(TfIdf(terms, arrays["idf"]), arrays["weights"], float(arrays["bias"][0]))
    if not 0 <= (chance := predictor.probability("a question")) <= 1:
        raise ArtifactError(
            f"its arrays predict {chance:g}, which is no probability.", where="policy", remedy="Train the policy again."
        )
    return QueryFamily(predictor, tuple(arrays["grid"].tolist()))


def _advantage(artifact: Artifact) -> AdvantageFamily:
    arrays = sound_arrays(artifact, grid=1)
    grid = arrays.pop("grid")
    return AdvantageFamily(AdvantageNetwork(arrays), tuple(grid.tolist()))


def _mixture(artifact: Artifact) -> MixtureFamily:
    facts, curve = artifact.facts, artifact.facts["curve"]
    numbers = {name: sound_number(facts["numbers"], name) for name in ("cost", "goal", "deviation")}
    for name, value in numbers.items():
        if value < 0:
            raise ArtifactError(f"{name}: {value:g} is negative.", where="policy", remedy="Calibrate the policy again.")
    inner = _inner(artifact)
    costs = BudgetCurve(
        axis=sound_choice(curve, "axis", get_args(Axis)),
        knobs=sound_numbers(curve, "knobs"),
        costs=sound_numbers(curve, "costs"),
    )
    for knob in costs.knobs:
        inner.at(knob, 0)
    return MixtureFamily(inner, costs, **numbers)


def _inner(artifact: Artifact) -> PolicyFamily:
    """The policy that a mixture is made of: a registered one by name, or the artefact that went along."""
    facts = artifact.facts
    if not isinstance(facts["policy"], str):
        raise ArtifactError(
            f"policy: {facts['policy']!r:.80} is no name.", where="policy", remedy="Calibrate the policy again."
        )
    if facts["inner"] is None:
        return family_of(policies.get(facts["policy"]))
    kind, inner_facts = facts["inner"]["kind"], facts["inner"]["facts"]
    if not isinstance(kind, str) or not isinstance(inner_facts, dict):
        raise ArtifactError("inner: is no artefact.", where="policy", remedy="Calibrate the policy again.")
    return _built(Artifact(kind=kind, arrays=artifact.arrays, facts=inner_facts), Path(facts["policy"]))


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
    ADVANTAGE: _advantage,
    QUERY_SW: _query,
    QUERY_CLASSIFIER: _query,
    MIXTURE: _mixture,
    STEER: _steer,
    RUNGS: _rungs,
    BOUNDARY: _boundary,
    ROUTE_TABLE: family_of_table,
}
