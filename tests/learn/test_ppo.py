import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("stable_baselines3", reason="training needs the learn extra")
import torch
from gymnasium.utils.env_checker import check_env

from steproute.config import lab_roles
from steproute.core.decision import Accept, Decision
from steproute.core.errors import ConfigError
from steproute.core.observation import Observation
from steproute.core.problem import Problem
from steproute.core.trace import Trace
from steproute.engine.step_tree import StepTree
from steproute.evaluation.datasets import load_problems
from steproute.lab.models import PRICES
from steproute.learn import networks
from steproute.learn.networks import AGG_ARCHITECTURE, ARCHITECTURES, SEQ_ARCHITECTURE, Architecture
from steproute.learn.ppo import PpoSettings, RoutingVecEnv, Trained, ppo, train_network
from steproute.learn.rewriters import relative_prices, routing_loop
from steproute.learn.rollouts import solve_all
from steproute.learn.routing_env import RoutingEnv
from steproute.policies.trim.learned import decisions_of
from steproute.policies.trim.seq import HEADS, LAYERS
from steproute.strategies.stepwise import Stepwise

pytestmark = pytest.mark.training

DOCS = Path(__file__).parents[2] / "docs"
PROBLEMS = load_problems("lab:validation", 20, 3)


async def grade(problem: Problem, trace: Trace) -> bool:
    return trace.answer == problem.answer


def test_the_environment_passes_gymnasiums_check(tmp_path: Path) -> None:
    with StepTree(tmp_path / "tree", 2) as tree:
        env = RoutingEnv(PROBLEMS, tree.roles(lab_roles()), grade, low=1e-3, high=1e-2)
        check_env(env, skip_render_check=True)
        env.close()


def prices(rewriters: tuple[str, ...]) -> dict[str, float]:
    return relative_prices(lab_roles(), rewriters)


REWRITERS = pytest.mark.parametrize("rewriters", [("strong",), ("mid", "strong")], ids=["two roles", "three roles"])


@REWRITERS
def test_rewards_add_up_to_the_answer_less_what_the_rewriters_cost(tmp_path: Path, rewriters: tuple[str, ...]) -> None:
    chances = np.random.default_rng(0)
    with StepTree(tmp_path / "tree", 2) as tree:
        env = RoutingEnv(PROBLEMS, tree.roles(lab_roles()), grade, low=1e-3, high=1e-2, prices=prices(rewriters))
        for index in range(len(PROBLEMS)):
            env.reset(seed=index, options={"problem": index})
            total, ended, info = 0.0, False, {}
            regenerated = 0
            while not ended:
                action = np.int64(chances.integers(len(rewriters) + 1))
                regenerated += int(action)
                _, reward, ended, _, info = env.step(action)
                total += reward
            assert (info["spent"] > 0) == (regenerated > 0)
            assert total == pytest.approx(info["right"] - info["lam"] * info["spent"])
        env.close()


@dataclass(frozen=True)
class InTurn:
    """Takes the decisions in turn, step by step."""

    rewriters: tuple[str, ...]

    def decide(self, observation: Observation) -> Decision:
        decisions = decisions_of(self.rewriters)
        return decisions[observation.step % len(decisions)]


@REWRITERS
def test_the_environment_walks_the_engines_loop(tmp_path: Path, rewriters: tuple[str, ...]) -> None:
    """The same decisions on the same tree and seed give the tokens that the engine's account has, at the lab's prices:
    a token of mid costs a quarter of one of strong."""
    policy, decisions = InTurn(rewriters), decisions_of(rewriters)
    with StepTree(tmp_path / "tree", 1) as tree:
        roles = tree.roles(lab_roles())
        traces = asyncio.run(solve_all(PROBLEMS, roles, Stepwise(policy=policy)))
        env = RoutingEnv(PROBLEMS, roles, grade, low=1e-3, high=1e-3, prices=prices(rewriters))
        for index, trace in enumerate(traces):
            env.reset(options={"problem": index})
            info = {}
            for step in trace.steps:
                _, _, ended, _, info = env.step(np.int64(decisions.index(step.decision or Accept())))
            assert ended
            assert info["spent"] == trace.generated_tokens("strong") + trace.generated_tokens("mid") / 4
            assert info["right"] == asyncio.run(grade(PROBLEMS[index], trace))
        env.close()


def test_with_a_second_chance_all_that_is_billed_counts_in_strong_tokens(tmp_path: Path) -> None:
    rewriters = ("resample", "mid", "strong")
    policy, decisions = InTurn(rewriters), decisions_of(rewriters)
    with StepTree(tmp_path / "tree", 1) as tree:
        roles = tree.roles(lab_roles())
        traces = asyncio.run(solve_all(PROBLEMS[:4], roles, routing_loop(policy, rewriters, 2)))
        env = RoutingEnv(PROBLEMS[:4], roles, grade, low=1e-3, high=1e-3, prices=prices(rewriters), width=2)
        for index, trace in enumerate(traces):
            env.reset(options={"problem": index})
            info, total, ended = {}, 0.0, False
            while not ended:
                decision = policy.decide(env._rollout.news)  # type: ignore[union-attr, arg-type]
                _, reward, ended, _, info = env.step(np.int64(decisions.index(decision)))
                total += reward
            strong_token = float(PRICES["lab-strong"].output) / 1e6
            assert info["spent"] == pytest.approx(float(trace.cost_usd) / strong_token)
            assert env.spent(trace) == pytest.approx(info["spent"])
        env.close()


@REWRITERS
@pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=ARCHITECTURES)
def test_numpy_runs_the_network_that_torch_trained(architecture: Architecture, rewriters: tuple[str, ...]) -> None:
    loop = asyncio.new_event_loop()
    view: dict[str, Any] = {"low": 1e-3, "high": 1e-2, "loop": loop, "seed": 0, "size": 4, "prices": prices(rewriters)}
    env = RoutingVecEnv(architecture, PROBLEMS, lab_roles(), grade, **view)
    policy = ppo(architecture, env, rollout=4, seed=0).policy
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    policy.set_training_mode(False)
    seen = np.random.default_rng(0).random((200, architecture.inputs)).astype(np.float32)
    if architecture is SEQ_ARCHITECTURE:
        seen[:, 1] = 1 + np.arange(200) % 30
    with torch.no_grad():
        expected = policy.get_distribution(torch.from_numpy(seen)).distribution.logits.numpy()
    network = architecture.export(policy)
    logits = np.array([network.logits(row.astype(np.float64)) for row in seen])
    assert logits.shape == (200, network.decisions) == (200, len(rewriters) + 1)
    ours = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    assert np.abs(ours - expected).max() < 1e-5
    assert np.ptp(ours[:, 0]) > 0.01
    env.close()
    loop.close()


def test_the_networks_have_the_size_that_the_documents_state() -> None:
    text = " ".join((DOCS / "explanation/learned-policies.md").read_text().split())
    widths = [layer.out_features for layer in networks._AggHeads().actor if isinstance(layer, torch.nn.Linear)]
    assert f"a shared encoder and one head each for actor and critic, all of two blocks of width {widths[0]}," in text
    assert widths == [networks._WIDTH] * 2
    assert f"ours has two layers of width {networks._WIDTH} and four heads" in text
    assert (LAYERS, HEADS) == (2, 4)


def test_the_value_error_of_trim_seq_does_not_move_its_encoder_at_first() -> None:
    """The encoder is shared. With a random value head the value error moved it 400 to 2 000 times as much as the policy
    did, the clipped gradient was all but the value's, and one training seed of five never left always-regenerate."""
    loop = asyncio.new_event_loop()
    env = RoutingVecEnv(SEQ_ARCHITECTURE, PROBLEMS, lab_roles(), grade, low=1e-3, high=1e-2, loop=loop, seed=0, size=4)
    policy = ppo(SEQ_ARCHITECTURE, env, rollout=4, seed=0).policy
    seen = torch.rand(64, SEQ_ARCHITECTURE.inputs)
    seen[:, 1] = 1 + torch.arange(64) % 30
    encoder = list(policy.features_extractor.parameters())
    value_error = ((policy.predict_values(seen) - 1) ** 2).mean()
    chance = policy.get_distribution(seen).distribution.logits[:, 0].mean()
    by_value, by_policy = (
        [part for part in torch.autograd.grad(loss, encoder, allow_unused=True) if part is not None]
        for loss in (value_error, chance)
    )
    assert not any(part.any() for part in by_value)
    assert any(part.any() for part in by_policy)
    env.close()
    loop.close()


def test_a_killed_training_goes_on_to_the_same_policy(tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def learn(path: Path, solutions: int) -> tuple[Trained, int]:
        """Train, and die after so many solutions."""
        left = solutions

        async def grade_or_die(problem: Problem, trace: Trace) -> bool:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return await grade(problem, trace)

        with StepTree(path, 2) as tree:
            settings = PpoSettings(passes=2, held_out=0.2, seed=1)
            trained = train_network(AGG_ARCHITECTURE, PROBLEMS, tree.roles(lab_roles()), grade_or_die, settings)
            return trained, tree.computations

    undisturbed, called = learn(tmp_path / "a", 10_000)
    with pytest.raises(Killed):
        learn(tmp_path / "b", 20)
    resumed, called_after = learn(tmp_path / "b", 10_000)
    assert 0 < called_after < called
    assert resumed.rewards == undisturbed.rewards
    assert resumed.family.network.weights.keys() == undisturbed.family.network.weights.keys()
    for name, weights in undisturbed.family.network.weights.items():
        assert np.array_equal(resumed.family.network.weights[name], weights)


def test_training_input_that_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="problems: 3 are too few"):
        train_network(AGG_ARCHITECTURE, PROBLEMS[:3], lab_roles(), grade, PpoSettings())
    with pytest.raises(ConfigError, match="lam: -1"):
        PpoSettings(lam=(-1, -1))
    with pytest.raises(ConfigError, match="passes: 0"):
        PpoSettings(passes=0)
    with pytest.raises(ConfigError, match="there are none to route"):
        RoutingEnv([], lab_roles(), grade, low=1e-3, high=1e-3)
    with pytest.raises(ConfigError, match="'big' has no model"):
        train_network(AGG_ARCHITECTURE, PROBLEMS, lab_roles(), grade, PpoSettings(), rewriters=("big", "strong"))
