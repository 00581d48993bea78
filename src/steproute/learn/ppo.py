"""TRIM-Agg and TRIM-Seq by PPO (Stable-Baselines3) over a step tree; the result is a network that NumPy alone runs."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import gymnasium as gym
import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv

from steproute.core.errors import ConfigError
from steproute.core.problem import Problem
from steproute.engine.limits import Limits
from steproute.engine.roles import Roles
from steproute.learn.networks import Architecture
from steproute.learn.rewriters import relative_prices, routing_loop
from steproute.learn.rollouts import IN_FLIGHT, Grade, finished, solve_all
from steproute.learn.routing_env import F32, RoutingEnv
from steproute.policies.trim.learned import LearnedFamily
from steproute.policies.trim.threshold import Threshold
from steproute.strategies.stepwise import Stepwise

_JUDGED_LAMBDAS: Final = 5
_MINIBATCHES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class PpoSettings:
    """`passes` over the training problems, of which the share `held_out` picks the best checkpoint.

    All other constants are TRIM's (TRIM, TRIM-Agg), but a batch is 64 environments for the mean length of a solution,
    not 64 whole problems, and is cut into 8 minibatches.
    lam: λ in right answers a strong token, (low, high); equal for one λ, None for the range in which an average strong
    step costs from 0.01 % to 30 % of a correct answer. Raises ConfigError for values that cannot be.
    """

    lam: tuple[float, float] | None = None
    passes: int = 10
    held_out: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.lam is not None and not 0 < self.lam[0] <= self.lam[1]:
            raise ConfigError(
                f"{self.lam[0]:g} is no cost of a strong token.", where="lam", remedy="Give a number above 0."
            )
        if self.passes < 1:
            raise ConfigError(
                f"{self.passes} is below 1.", where="passes", remedy="Give how often to go through the problems."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """The best policy on the held-out problems, and (pass, held-out reward) as training went on."""

    family: LearnedFamily
    rewards: list[tuple[float, float]]


def train_network(
    architecture: Architecture,
    problems: Sequence[Problem],
    roles: Roles,
    grade: Grade,
    settings: PpoSettings,
    on_progress: Callable[[float], None] = lambda share: None,
    *,
    rewriters: Sequence[str] = ("strong",),
    limits: Limits = Limits(),
    width: int = 4,
) -> Trained:
    """A policy for one λ or conditioned on it, with one action for each role or second chance of `rewriters`.

    width: drafts of the rung `resample`.
    Deterministic in the settings if the roles are. Raises ConfigError for too few problems to hold some out, or for a
    rewriter without a model or price, BackendError for a problem that fails.
    """
    held = int(len(problems) * settings.held_out)
    if held < 1 or held >= len(problems):
        raise ConfigError(
            f"{len(problems)} are too few to hold {settings.held_out:g} of them out.",
            where="problems",
            remedy="Use more.",
        )
    prices = relative_prices(roles, rewriters)
    torch.manual_seed(settings.seed)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    loop = asyncio.new_event_loop()
    try:
        watched, learnt = problems[:held], problems[held:]
        strong = loop.run_until_complete(solve_all(watched, roles, Stepwise(policy=Threshold(1.0)), limits=limits))
        decisions = sum(len(finished(trace).steps) for trace in strong)
        tokens = sum(trace.generated_tokens("strong") for trace in strong) / decisions
        low, high = settings.lam or (0.0001 / tokens, 0.3 / tokens)
        env = RoutingVecEnv(
            architecture,
            learnt,
            roles,
            grade,
            low=low,
            high=high,
            prices=prices,
            limits=limits,
            width=width,
            loop=loop,
            seed=settings.seed,
        )
        model = ppo(architecture, env, rollout=max(1, round(decisions / held)), seed=settings.seed)
        keeper = _Keeper(architecture, env, watched, settings.passes, on_progress)
        try:
            model.learn(total_timesteps=settings.passes * len(learnt) * decisions // held, callback=keeper)
        finally:
            env.close()
        return Trained(family=keeper.best(), rewards=keeper.rewards)
    finally:
        loop.close()
        torch.set_num_threads(threads)


class RoutingVecEnv(VecEnv):
    """Many routing environments in one event loop, so that their model calls share batches.

    Problems come in passes, each in an order of its own, and go to the environments in turn, whoever ends first.
    """

    def __init__(
        self,
        architecture: Architecture,
        problems: Sequence[Problem],
        roles: Roles,
        grade: Grade,
        *,
        low: float,
        high: float,
        loop: asyncio.AbstractEventLoop,
        seed: int,
        prices: Mapping[str, float] = {"strong": 1.0},
        limits: Limits = Limits(),
        width: int = 4,
        size: int = IN_FLIGHT,
    ) -> None:
        view: dict[str, Any] = {"features": architecture.features, "inputs": architecture.inputs}
        view |= {"low": low, "high": high, "prices": prices, "limits": limits, "width": width, "loop": loop}
        self.envs = [RoutingEnv(problems, roles, grade, **view) for _ in range(size)]
        super().__init__(size, self.envs[0].observation_space, self.envs[0].action_space)
        self.loop = loop
        self.started = 0
        self._rng, self._order = np.random.default_rng(seed), list[int]()
        for index, env in enumerate(self.envs):
            env.np_random = np.random.default_rng([seed, index])
        self._actions: Any = None

    def reset(self) -> F32:
        """Begin a problem in every environment."""
        self.loop.run_until_complete(self._begin(range(self.num_envs)))
        return self._seen.copy()

    def step_async(self, actions: Any) -> None:
        """Take the decisions that `step_wait` carries out."""
        self._actions = actions

    def step_wait(self) -> Any:
        """Carry the decisions out; an environment that ends begins its next problem."""
        rewards = np.zeros(self.num_envs, np.float32)
        dones = np.zeros(self.num_envs, bool)
        infos: list[dict[str, Any]] = []

        async def act() -> None:
            results = await asyncio.gather(
                *(env.act(int(action)) for env, action in zip(self.envs, self._actions, strict=True))
            )
            for index, (seen, reward, ended, _, info) in enumerate(results):
                self._seen[index], rewards[index], dones[index] = seen, reward, ended
                infos.append({**info, "terminal_observation": seen, "TimeLimit.truncated": False} if ended else info)
            await self._begin(np.flatnonzero(dones).tolist())

        self.loop.run_until_complete(act())
        return self._seen.copy(), rewards, dones, infos

    async def _begin(self, indices: Sequence[int]) -> None:
        if len(indices) == self.num_envs:
            self._seen = np.zeros((self.num_envs, *self.observation_space.shape), np.float32)
        turns = [self._next_problem() for _ in indices]
        begun = await asyncio.gather(*(self.envs[i].begin(turn) for i, turn in zip(indices, turns, strict=True)))
        for index, (seen, _) in zip(indices, begun, strict=True):
            self._seen[index] = seen

    def _next_problem(self) -> int:
        if not self._order:
            self._order = self._rng.permutation(len(self.envs[0].problems)).tolist()
        self.started += 1
        return self._order.pop()

    def close(self) -> None:
        """Stop what is under way."""
        for env in self.envs:
            env.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """One attribute of each environment."""
        return [getattr(self.envs[i], attr_name) for i in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Set one attribute of each environment."""
        for i in self._get_indices(indices):
            setattr(self.envs[i], attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Call one method of each environment."""
        return [getattr(self.envs[i], method_name)(*args, **kwargs) for i in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper[Any, Any, Any, Any]], indices: Any = None) -> list[bool]:
        """None of them is."""
        return [False for _ in self._get_indices(indices)]


def ppo(architecture: Architecture, env: RoutingVecEnv, rollout: int, seed: int) -> PPO:
    """The untrained agent with TRIM's constants; rollout: decisions of an environment a batch."""
    return PPO(
        architecture.policy,
        env,
        learning_rate=lambda left: 3e-4 * left,
        n_steps=rollout,
        batch_size=rollout * env.num_envs // _MINIBATCHES,
        n_epochs=3,
        gamma=1.0,
        gae_lambda=0.95,
        clip_range=0.2,
        clip_range_vf=0.2,
        vf_coef=0.5,
        ent_coef=0.01,
        normalize_advantage=False,  # the callback does it over the whole batch, as TRIM does
        max_grad_norm=0.5,
        seed=seed,
        device="cpu",
        policy_kwargs={
            "features_extractor_class": architecture.extractor,
            "optimizer_class": torch.optim.Adam,
            "optimizer_kwargs": {"eps": 1e-5, "weight_decay": 1e-5},
        },
    )


class _Keeper(BaseCallback):
    """Anneals the entropy coefficient, normalises advantages over the batch, and keeps the best policy of all."""

    def __init__(
        self,
        architecture: Architecture,
        env: RoutingVecEnv,
        watched: Sequence[Problem],
        passes: int,
        on_progress: Callable[[float], None],
    ) -> None:
        super().__init__()
        self.architecture = architecture
        self.env, self.watched, self.passes, self.on_progress = env, watched, passes, on_progress
        self.rewards: list[tuple[float, float]] = []
        self._best: LearnedFamily | None = None

    def best(self) -> LearnedFamily:
        """The policy with the highest reward on the held-out problems."""
        assert self._best is not None
        return self._best

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        left = self.model._current_progress_remaining
        self.model.ent_coef = 0.001 + 0.009 * left
        self.on_progress(1 - left)
        if self._passed() >= len(self.rewards) + 1:
            self._judge()

    def _on_rollout_end(self) -> None:
        advantages = self.model.rollout_buffer.advantages
        self.model.rollout_buffer.advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)

    def _on_training_end(self) -> None:
        self._judge()
        self.on_progress(1.0)

    def _passed(self) -> float:
        return self.env.started / len(self.env.envs[0].problems)

    def _judge(self) -> None:
        env = self.env.envs[0]
        family = LearnedFamily(
            self.architecture.export(self.model.policy),
            env.low,
            env.high,
            grid=_JUDGED_LAMBDAS,
            rewriters=tuple(env.prices),
        )
        reward = float(np.mean([self._reward(family, lam) for lam in family.knobs]))
        if not self.rewards or reward > max(before for _, before in self.rewards):
            self._best = LearnedFamily(family.network, env.low, env.high, rewriters=family.rewriters)
        self.rewards.append((self._passed(), reward))

    def _reward(self, family: LearnedFamily, lam: float) -> float:
        return self.env.loop.run_until_complete(self._mean_reward(family, lam))

    async def _mean_reward(self, family: LearnedFamily, lam: float) -> float:
        env = self.env.envs[0]
        strategy = routing_loop(family.at(lam, 0), family.rewriters, env.width)
        traces = await solve_all(self.watched, env.roles, strategy, limits=env.limits)
        pairs = zip(self.watched, map(finished, traces), strict=True)
        return float(np.mean([await env.grade(p, trace) - lam * env.spent(trace) for p, trace in pairs]))
