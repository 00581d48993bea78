from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from steproute import Roles
from steproute.artifacts import write_artifact
from steproute.config import RouteSettings, RunConfig, check_needs, lab_roles, trim_world_roles
from steproute.core.errors import ConfigError
from steproute.engine.roles import ModelRole, ScorerRole
from steproute.lab.planner import OraclePlanner
from steproute.policies.mixture import BudgetCurve
from steproute.policies.stored import AGG, mixture_artifact, network_artifact
from steproute.policies.trim.agg import AggNetwork
from steproute.policies.trim.learned import LearnedFamily
from steproute.scorers.confidence import ConfidenceScorer
from steproute.scorers.ensemble import EnsembleScorer

LAB = lab_roles()


def run_of(policy: str, *baselines: str, **route: Any) -> RunConfig:
    return RunConfig(name="a", data="lab", route=RouteSettings(policy=policy, **route), baselines=baselines)


def without_scorers(roles: Roles) -> Roles:
    return replace(roles, scorers={})


def test_the_lab_has_all_that_its_policies_need() -> None:
    names = ("random", "confidence", "automix-prm:threshold", "single:mid", "oracle", "specreason:threshold")
    check_needs(run_of("threshold", *names).sweep().routes, LAB)


def test_a_model_that_cannot_read_plans_is_found_before_the_first_call() -> None:
    with pytest.raises(ConfigError, match="'strong' has to read the plans that it is shown, and lab-strong cannot"):
        check_needs(run_of("threshold", strategy="mppa").sweep().routes, LAB)
    check_needs(run_of("threshold", strategy="mppa", settings={"merge": "vote"}).sweep().routes, LAB)


def test_a_plan_needs_its_planner_and_models_that_read_sub_tasks() -> None:
    routes = run_of("threshold", strategy="r2-reasoner", settings={"allocation": "strong"}).sweep().routes
    with pytest.raises(ConfigError, match="it asks the model 'planner', and there are only"):
        check_needs(routes, LAB)
    check_needs(routes, replace(LAB, models={**LAB.models, "planner": ModelRole(model=OraclePlanner())}))
    world = trim_world_roles()
    with pytest.raises(ConfigError, match="'strong' has to read the subtasks that it is shown, and .* cannot"):
        check_needs(routes, replace(world, models={**world.models, "planner": ModelRole(model=OraclePlanner())}))


@pytest.mark.parametrize(
    ("policy", "strategy", "scorer"),
    [
        ("threshold", "stepwise", "prm"),
        ("threshold", "pipelined", "prm"),
        ("threshold", "cascade", "prm"),
        ("random", "automix-prm", "prm"),
        ("threshold", "specreason", "strong"),
    ],
)
def test_a_route_without_its_scorer_is_rejected(policy: str, strategy: str, scorer: str) -> None:
    routes = run_of(policy, strategy=strategy).sweep().routes
    with pytest.raises(ConfigError, match=rf"reads scores of the scorer '{scorer}', and there is none. Describe \[sco"):
        check_needs(routes, without_scorers(LAB))


def test_without_a_scorer_the_policies_that_need_none_are_named() -> None:
    routes = run_of("threshold").sweep().routes
    with pytest.raises(
        ConfigError, match="needs no scorer: --policy confidence, which reads the weak model's log-prob"
    ):
        check_needs(routes, without_scorers(LAB))
    with pytest.raises(ConfigError, match=r"--policy confidence after you set logprobs = 5 below \[models.weak\]"):
        check_needs(routes, without_scorers(trim_world_roles()))


def test_policies_that_read_no_scores_need_no_scorer() -> None:
    check_needs(run_of("random", "confidence", "cascade:random", "automix:random").sweep().routes, without_scorers(LAB))


def test_a_route_without_its_model_is_rejected() -> None:
    with pytest.raises(ConfigError, match="single/mid: it asks the model 'mid', and there are only strong, weak"):
        check_needs(run_of("random", "single:mid").sweep().routes, trim_world_roles())


def test_every_role_of_a_trained_policy_is_asked_for(tmp_path: Path) -> None:
    """Of TRIM-Agg and of the policy that calibration makes of it."""
    weights = {"logits.weight": np.zeros((3, 6)), "logits.bias": np.arange(3.0)}
    block = {"weight": np.eye(6), "bias": np.zeros(6), "gain": np.ones(6), "shift": np.zeros(6)}
    network = AggNetwork({**weights, **{f"blocks.0.{name}": array for name, array in block.items()}})
    family = LearnedFamily(network, 1e-3, 1e-1, rewriters=("mid", "strong"))
    write_artifact(network_artifact(AGG, family, {}), tmp_path / "agg")
    curve = BudgetCurve(axis="tokens", knobs=family.knobs[:2], costs=(10.0, 20.0))
    mixture = mixture_artifact(curve, 15.0, 0.4, 0.1, "agg", {}, tmp_path / "agg")
    write_artifact(mixture, tmp_path / "calibrated")
    for folder in ("agg", "calibrated"):
        routes = run_of(str(tmp_path / folder)).sweep().routes
        check_needs(routes, LAB)
        with pytest.raises(ConfigError, match=r"it asks the model 'mid', .* Describe \[models.mid\]"):
            check_needs(routes, trim_world_roles())


def test_a_policy_that_reads_log_probabilities_needs_them() -> None:
    with pytest.raises(ConfigError, match=r"its policy reads log-probabilities, and the model 'weak' gives none"):
        check_needs(run_of("confidence").sweep().routes, trim_world_roles())


@pytest.mark.parametrize("members", [0, 2])
def test_a_scorer_that_reads_log_probabilities_needs_them_of_every_model(members: int) -> None:
    sure = ConfidenceScorer("sure")
    judge = ScorerRole(scorer=sure)
    if members:
        other = trim_world_roles().scorer()
        judge = ScorerRole(scorer=EnsembleScorer("both", [sure, other.scorer]), members={"sure": judge, "other": other})
    mixed = Roles(models={**trim_world_roles().models, "weak": LAB.model("weak")}, scorers={"prm": judge})
    with pytest.raises(ConfigError, match="the scorer 'prm' reads log-probabilities, and the model 'strong' gives"):
        check_needs(run_of("threshold").sweep().routes, mixed)
