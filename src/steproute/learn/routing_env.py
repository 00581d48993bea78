"""Routing as a Gymnasium environment: the engine's own loop, with the decisions taken from outside."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from steproute.core.decision import Decision
from steproute.core.errors import ConfigError
from steproute.core.events import Billed, Drafted, Event
from steproute.core.observation import Observation
from steproute.core.problem import Problem
from steproute.core.trace import Trace
from steproute.engine.episode import Episode
from steproute.engine.limits import Limits
from steproute.engine.roles import Roles
from steproute.learn.rewriters import dollars_per_token, routing_loop
from steproute.learn.rollouts import Grade, finished
from steproute.policies.trim.agg import AGGREGATES, agg_features
from steproute.policies.trim.learned import F64, decisions_of, lambda_feature

F32 = NDArray[np.float32]
Features = Callable[[Observation, float], F64]
_ROLLOUT: Final = "rollout"


@dataclass(frozen=True, slots=True)
class _Asking:
    """A policy that asks for every decision."""

    decide: Callable[[Observation], "asyncio.Future[Decision]"]
    takes_over: bool = False


@dataclass(slots=True)
class Rollout:
    """One problem under way. `news` is the newest observation, or the trace once the solution has ended.

    prices, width: see RoutingEnv. spent: on the rewriters' tokens so far, in strong tokens; on everything if
    `token_usd`, the dollars of a strong token, is given.
    """

    problem: Problem
    roles: Roles
    seed: int
    limits: Limits
    prices: Mapping[str, float]
    width: int = 4
    token_usd: float | None = None
    spent: float = 0.0
    news: Observation | Trace | None = None
    _task: "asyncio.Task[Trace] | None" = field(default=None, init=False)
    _asked: "asyncio.Future[Observation] | None" = field(default=None, init=False)
    _told: "asyncio.Future[Decision] | None" = field(default=None, init=False)

    async def begin(self) -> Observation | Trace:
        """Up to the first decision."""
        episode = Episode(
            self.problem, self.roles, route=_ROLLOUT, limits=self.limits, seed=self.seed, on_event=self._hear
        )
        self._asked = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(episode.run(routing_loop(_Asking(self._ask), tuple(self.prices), self.width)))
        return await self._next()

    async def act(self, decision: Decision) -> Observation | Trace:
        """Carry the decision out and go on to the next one."""
        assert self._told is not None
        told, self._asked = self._told, asyncio.get_running_loop().create_future()
        told.set_result(decision)
        return await self._next()

    async def abandon(self) -> None:
        """Stop working on the problem."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _next(self) -> Observation | Trace:
        assert self._task is not None
        assert self._asked is not None
        either: list[asyncio.Future[Any]] = [self._task, self._asked]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        self.news = self._task.result() if self._task.done() else self._asked.result()
        return self.news

    def _ask(self, observation: Observation) -> "asyncio.Future[Decision]":
        assert self._asked is not None
        self._told = asyncio.get_running_loop().create_future()
        self._asked.set_result(observation)
        return self._told

    def _hear(self, event: Event) -> None:
        if self.token_usd is not None:
            self.spent += float(event.line.cost_usd) / self.token_usd if isinstance(event, Billed) else 0.0
        elif isinstance(event, Drafted):
            self.spent += self.prices.get(event.draft.role, 0.0) * event.draft.usage.output_tokens


class RoutingEnv(gym.Env[F32, np.int64]):
    """One problem an episode of the environment; action 0 accepts the newest step, k has rewriter k write it again.

    Observation (inputs,): what `features` makes of a moment and of log λ mapped to [-1, 1]; TRIM-Agg's by default.
    Reward: 1 at the end if the answer is correct, and for a rewritten step −λ × its tokens × the rewriter's price. λ is
    drawn log-uniformly from [low, high] at each reset. prices: the rewriters in the order of their actions, each with
    the price of its token over that of a strong token. With a second chance among them the reward is −λ × all that is
    billed, in strong tokens. width: drafts of the rung `resample`. `reset` takes `options={"problem": index}`. A
    problem that ends before the first decision is replaced by another. Source: TRIM, TRIM-Agg, whose only rewriter is
    the strong model.
    Raises ConfigError for no problems or an empty range of λ, BackendError for a problem that fails.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 - Gymnasium's own declaration

    def __init__(
        self,
        problems: Sequence[Problem],
        roles: Roles,
        grade: Grade,
        *,
        low: float,
        high: float,
        features: Features = agg_features,
        inputs: int = AGGREGATES + 1,
        prices: Mapping[str, float] = {"strong": 1.0},
        limits: Limits = Limits(),
        width: int = 4,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        if not problems:
            raise ConfigError("there are none to route.", where="problems", remedy="Raise their number.")
        if not 0 < low <= high:
            raise ConfigError(
                f"[{low:g}, {high:g}] is no range of costs.",
                where="lam",
                remedy="Give two numbers above 0, smaller first.",
            )
        self.decisions, self.prices = decisions_of(tuple(prices)), prices
        self.action_space = gym.spaces.Discrete(len(self.decisions))
        self.observation_space = gym.spaces.Box(-1.0, np.inf, (inputs,), np.float32)
        self.problems, self.roles, self.grade, self.limits = problems, roles, grade, limits
        self.low, self.high, self.lam = low, high, low
        self.width, self.token_usd = width, dollars_per_token(roles, tuple(prices))
        self._see, self._inputs = features, inputs
        self._loop = loop or asyncio.new_event_loop()
        self._owns_loop = loop is None
        self._rollout: Rollout | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[F32, dict[str, Any]]:
        """Begin a problem; see the class."""
        super().reset(seed=seed)
        return self._loop.run_until_complete(self.begin((options or {}).get("problem")))

    def step(self, action: np.int64) -> tuple[F32, float, bool, bool, dict[str, Any]]:
        """Decide about the newest step."""
        return self._loop.run_until_complete(self.act(int(action)))

    def close(self) -> None:
        """Stop the problem under way."""
        if not self._loop.is_closed():
            if self._rollout is not None:
                self._loop.run_until_complete(self._rollout.abandon())
            if self._owns_loop:
                self._loop.close()

    async def begin(self, problem: int | None = None) -> tuple[F32, dict[str, Any]]:
        """`reset`, for whoever runs several environments in one loop."""
        if self._rollout is not None:
            await self._rollout.abandon()
        self.lam = float(self.low * (self.high / self.low) ** self.np_random.random())
        for _ in self.problems:
            index = int(self.np_random.integers(len(self.problems))) if problem is None else problem
            seed = int(self.np_random.integers(2**31))
            self._rollout = Rollout(
                self.problems[index], self.roles, seed, self.limits, self.prices, self.width, self.token_usd
            )
            news = await self._rollout.begin()
            if isinstance(news, Observation):
                return self._features(news), {}
            finished(news)
            problem = None
        raise ConfigError(
            "none of those drawn came to a first decision. Solve one to see why it fails.", where="problems"
        )

    async def act(self, action: int) -> tuple[F32, float, bool, bool, dict[str, Any]]:
        """`step`, for whoever runs several environments in one loop."""
        assert self._rollout is not None
        before = self._rollout.spent
        news = await self._rollout.act(self.decisions[action])
        reward = -self.lam * (self._rollout.spent - before)
        if isinstance(news, Observation):
            return self._features(news), reward, False, False, {}
        right = await self.grade(self._rollout.problem, finished(news))
        info = {"right": right, "spent": self._rollout.spent, "lam": self.lam}
        return np.zeros(self._inputs, np.float32), reward + right, True, False, info

    def spent(self, trace: Trace) -> float:
        """What the rewriters' tokens of a solution cost, in strong tokens; all that is billed with second chances."""
        if self.token_usd is not None:
            return float(trace.cost_usd) / self.token_usd
        return sum(price * trace.generated_tokens(role) for role, price in self.prices.items())

    def _features(self, observation: Observation) -> F32:
        return self._see(observation, lambda_feature(self.lam, self.low, self.high)).astype(np.float32)
