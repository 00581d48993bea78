"""That PPO learns, on a world of two steps whose best policy is known: the identity test of Stable-Baselines3."""

import hashlib
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np
import pytest

pytest.importorskip("stable_baselines3", reason="training needs the learn extra")
from stable_baselines3 import PPO

from steproute.core.observation import Observation
from steproute.core.problem import Problem
from steproute.core.solution import Draft, Meter, Prefix, Sampling, Scores, Step, Stop
from steproute.core.trace import Trace
from steproute.core.usage import Price, Usage
from steproute.engine.roles import ModelRole, Roles, ScorerRole
from steproute.learn import ppo as ppo_module
from steproute.learn.networks import AGG_ARCHITECTURE, SEQ_ARCHITECTURE, Architecture
from steproute.learn.ppo import PpoSettings, Trained, train_network
from steproute.learn.rollouts import Grade
from steproute.policies.trim.learned import DecisionNetwork

pytestmark = pytest.mark.training

TOKENS = 10
LAM = 0.02  # a strong step costs 0.2 of a correct answer, and is worth 0.5 on average
PROBLEMS = [Problem.ask(id=f"p{index}", text="Two steps?", answer="1") for index in range(60)]


@dataclass(frozen=True)
class CoinModel:
    """Writes "good" with its chance, else "bad"; the second step holds the answer. later: its chance there."""

    name: str
    chance: float
    later: float | None = None

    async def propose(
        self, prefix: Prefix, n: int = 1, sampling: Sampling = Sampling(), meter: Meter | None = None
    ) -> list[Draft]:
        chance = self.later if prefix.steps and self.later is not None else self.chance
        drafts = []
        for index in range(n):
            coin = hashlib.blake2b(f"{self.name}/{sampling.seed + index}".encode(), digest_size=8).digest()
            word = "good" if int.from_bytes(coin) / 2**64 < chance else "bad"
            text = f"{word} \\boxed{{1}}" if prefix.steps else word
            usage = Usage(input_tokens=1, output_tokens=TOKENS)
            drafts.append(Draft(model=self.name, text=text, stop=Stop.SEPARATOR, usage=usage))
        return drafts


@dataclass(frozen=True)
class TellingScorer:
    """0.9 for a good step, 0.1 for a bad one."""

    name: str = "telling"

    async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
        values = tuple(0.9 if step.text.startswith("good") else 0.1 for step in prefix.steps)
        return Scores(values=values, model=self.name, usage=Usage(input_tokens=1))


CAST = Roles(
    models={"weak": ModelRole(model=CoinModel("weak", 0.5)), "strong": ModelRole(model=CoinModel("strong", 1.0))},
    scorers={"prm": ScorerRole(scorer=TellingScorer())},
)
MID_PRICE, STRONG_PRICE = (Price(input=Decimal(0), output=Decimal(price)) for price in (1, 4))
THREE = Roles(
    models={
        "weak": CAST.models["weak"],
        "mid": ModelRole(model=CoinModel("mid", 1.0, later=0.0), price=MID_PRICE),
        "strong": ModelRole(model=CoinModel("strong", 1.0), price=STRONG_PRICE),
    },
    scorers=CAST.scorers,
)


async def all_good(problem: Problem, trace: Trace) -> bool:
    return all(step.text.startswith("good") for step in trace.steps)


def train(
    architecture: Architecture,
    settings: PpoSettings,
    grade: Grade = all_good,
    roles: Roles = CAST,
    rewriters: tuple[str, ...] = ("strong",),
) -> Trained:
    return train_network(architecture, PROBLEMS, roles, grade, settings, rewriters=rewriters)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("architecture", [AGG_ARCHITECTURE, SEQ_ARCHITECTURE], ids=["agg", "seq"])
def test_ppo_finds_the_best_policy_of_two_steps(architecture: Architecture, seed: int) -> None:
    """Regenerate a bad step, keep a good one: 1 - 2 x 0.5 x 0.2 = 0.8 on average; both constant policies get less."""
    settings = PpoSettings(lam=(LAM, LAM), passes=15, held_out=0.3, seed=seed)
    trained = train(architecture, settings)
    network = trained.family.network
    for earlier in ((), (0.9,)):
        assert chosen(network, architecture, (*earlier, 0.1)) == 1, "a bad step is worth a strong one"
        assert chosen(network, architecture, (*earlier, 0.9)) == 0, "a good step is not"
    best = max(reward for _, reward in trained.rewards)
    assert best > 0.7, "always-strong earns 0.6 and always-weak 0.25"


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("architecture", [AGG_ARCHITECTURE, SEQ_ARCHITECTURE], ids=["agg", "seq"])
def test_ppo_finds_the_best_role_for_each_of_two_steps(architecture: Architecture, seed: int) -> None:
    """A strong step costs 0.4, mid's a quarter of it. Mid's first step is always good, its second always bad, so
    the best policy has mid rewrite a bad first step and strong a bad second one: 1 - 0.5 x 0.1 - 0.5 x 0.4 = 0.75."""
    settings = PpoSettings(lam=(2 * LAM, 2 * LAM), passes=40, held_out=0.3, seed=seed)
    trained = train(architecture, settings, roles=THREE, rewriters=("mid", "strong"))
    network = trained.family.network
    assert trained.family.rewriters == ("mid", "strong")
    assert chosen(network, architecture, (0.1,)) == 1, "mid repairs the first step, and is cheaper"
    assert chosen(network, architecture, (0.9, 0.1)) == 2, "only strong repairs the second step"
    for good in ((0.9,), (0.9, 0.9)):
        assert chosen(network, architecture, good) == 0, "a good step is not worth another one"
    best = max(reward for _, reward in trained.rewards)
    assert best > 0.7, "without mid the best policy earns 0.6"


def chosen(network: DecisionNetwork, architecture: Architecture, scores: tuple[float, ...]) -> int:
    """0 to accept, k for the k-th rewriter, after these scores."""
    draft = Draft(model="weak", text="next", stop=Stop.SEPARATOR, usage=Usage(output_tokens=TOKENS))
    prefix = Prefix(problem=PROBLEMS[0], steps=tuple(Step(role="weak", text="s", tokens=TOKENS) for _ in scores[1:]))
    observation = Observation(prefix=prefix, draft=draft, scores=scores, max_steps=30)
    return int(network.logits(architecture.features(observation, 0.0)).argmax())


def test_the_best_checkpoint_is_kept_not_the_last_one() -> None:
    """From the third pass on no answer counts, so the policies that come then earn less on the held-out problems."""
    networks: list[DecisionNetwork] = []
    judged = 0

    def export(policy: object) -> DecisionNetwork:
        networks.append(AGG_ARCHITECTURE.export(policy))  # type: ignore[arg-type]
        return networks[-1]

    async def grade(problem: Problem, trace: Trace) -> bool:
        nonlocal judged
        judged += 1
        return await all_good(problem, trace) and len(networks) < 3

    settings = PpoSettings(lam=(LAM, LAM), passes=5, held_out=0.2, seed=0)
    trained = train(replace(AGG_ARCHITECTURE, export=export), settings, grade)
    rewards = [reward for _, reward in trained.rewards]
    assert judged > 0
    assert len(rewards) == len(networks) > 3
    best = int(np.argmax(rewards))
    assert best < len(rewards) - 1
    assert trained.family.network is networks[best]


def test_held_out_problems_are_never_trained_on() -> None:
    by_route: dict[str, set[str]] = {}

    async def grade(problem: Problem, trace: Trace) -> bool:
        by_route.setdefault(trace.route, set()).add(problem.id)
        return await all_good(problem, trace)

    train(AGG_ARCHITECTURE, PpoSettings(lam=(LAM, LAM), passes=3, held_out=0.25, seed=0), grade)
    held_out = {problem.id for problem in PROBLEMS[:15]}
    assert by_route["rollouts"] == held_out, "the checkpoints are judged on these"
    assert by_route["rollout"] == {problem.id for problem in PROBLEMS} - held_out


def test_entropy_is_annealed_and_advantages_are_normalised_over_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    entropies: list[float] = []
    moments: list[tuple[float, float]] = []
    made = ppo_module.ppo

    def recorded(*arguments: object) -> PPO:
        model = made(*arguments)  # type: ignore[arg-type]
        learn = model.train

        def train_and_record() -> None:
            entropies.append(model.ent_coef)
            advantages = model.rollout_buffer.advantages
            moments.append((float(advantages.mean()), float(advantages.std())))
            assert not model.normalize_advantage
            learn()

        model.train = train_and_record
        return model

    monkeypatch.setattr(ppo_module, "ppo", lambda *a, **k: recorded(*a, *k.values()))
    train(AGG_ARCHITECTURE, PpoSettings(lam=(LAM, LAM), passes=20, held_out=0.2, seed=0))
    assert len(entropies) > 5
    assert entropies[0] == pytest.approx(0.01)
    assert entropies == sorted(entropies, reverse=True)
    assert 0.001 <= entropies[-1] < 0.0025
    assert np.allclose(moments, (0, 1), atol=1e-4)
