"""The text router's plumbing: what is trained is what the judge `router` computes, and the loop that asks it."""

import asyncio
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs the learn extra")
pytest.importorskip("transformers", reason="the text router needs the prm extra")

from benchmarks.text_router import BASE, EPOCHS, TRAINED, auc_of, lab_rows, router_settings

from steproute.config import lab_roles
from steproute.core.decision import Rewrite
from steproute.core.ports import Needs
from steproute.engine.episode import Episode
from steproute.engine.roles import Roles, ScorerRole
from steproute.evaluation.datasets import load_problems
from steproute.lab.hugging_face import export_for_servers
from steproute.learn.advantage_rows import AdvantageRow
from steproute.learn.text_router import RouterTuning, tune_router
from steproute.policies.trim.threshold import Threshold
from steproute.scorers.transformers_prm import TransformersPrm
from steproute.strategies.stepwise import Stepwise

pytestmark = pytest.mark.training


def router_in(folder: Path, rows: list[AdvantageRow], tuning: RouterTuning) -> Path:
    export_for_servers(BASE, folder / "base")
    settings = router_settings(folder / "base")
    tune_router(rows, "checker", settings, folder / "router", tuning=tuning)
    return folder / "router"


@pytest.mark.long
def test_a_minutes_training_on_the_lab_finds_savable_steps(tmp_path: Path) -> None:
    rows = lab_rows(500, tmp_path / "tree.zst")
    tuning = RouterTuning(epochs=EPOCHS, batch=32, learning_rate=1e-3, trained=TRAINED)
    assert auc_of(router_in(tmp_path, rows, tuning), rows) >= 0.85


def test_the_loop_with_the_judge_router_asks_no_reward_model(tmp_path: Path) -> None:
    """A few batches leave a folder that the judge reads, and its scores decide as the paper says."""
    rows = lab_rows(8, tmp_path / "tree.zst")
    tuning = RouterTuning(epochs=1, batch=8, learning_rate=1e-3)
    folder = router_in(tmp_path, rows, tuning)
    scorer = TransformersPrm("router", router_settings(folder))
    lab = lab_roles()
    roles = Roles(models=lab.models, scorers={"router": ScorerRole(scorer=scorer)}, ladder=lab.ladder)
    strategy = Stepwise(policy=Threshold(0.5), judge="router")
    assert strategy.needs == Needs(scorers=("router",))
    problem = load_problems("lab:test", 1, 0)[0]
    trace = asyncio.run(Episode(problem, roles, route="r", seed=0).run(strategy))
    assert not trace.failed
    assert {line.role for line in trace.account} <= {"weak", "strong", "router"}
    scores = [step.rejected_score if isinstance(step.decision, Rewrite) else step.score for step in trace.steps]
    for step, score in zip(trace.steps, scores, strict=True):
        assert score is not None
        assert isinstance(step.decision, Rewrite) == (score < 0.5)
