"""Boundary-guided training of a chooser: boundary policies, a supervised start (BoSFT), policy optimisation (BoPO).

Source: BAAR (arXiv 2602.21227), of which the abstract, the introduction and notes of third parties were read. The
reward's normalisation, the reference advantage's formula, thresholds and all constants are our choice.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

import numpy as np

from steproute.core.arrays import F64
from steproute.core.observation import Moment
from steproute.core.ports import Chooser, Reading
from steproute.core.problem import Problem
from steproute.core.seeded import uniform
from steproute.core.solution import ENVIRONMENT
from steproute.core.trace import Trace
from steproute.engine.limits import Limits
from steproute.engine.roles import Roles
from steproute.learn.rollouts import Grade, finished, solve_all
from steproute.policies.boundary import STATE, BoundaryRouter, chance_at, coming_sentences
from steproute.policies.choosers import First, Mixing
from steproute.strategies.preroute import Preroute

_ALWAYS: Final = 1_000_000
_LEAST_STORIES: Final = 5  # in which a term occurs


class Difficulty(StrEnum):
    """Easy: weak suffices. Hard: strong is needed. Intractable: neither solves it."""

    EASY = "easy"
    HARD = "hard"
    INTRACTABLE = "intractable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """runs: of each boundary policy per task; strata: mixing rates tried on hard tasks; group: rollouts per task.

    lam: the range from which λ is drawn. hard_bonus: β. reference: whether the advantage is relative to the boundary
    policies, too; without it the update is plain GRPO.
    """

    runs: int = 5
    strata: int = 10
    group: int = 8
    batch: int = 64
    passes: int = 10
    lam: tuple[float, float] = (0.05, 1.0)
    hard_bonus: float = 0.5
    reference: bool = True
    clip: float = 0.2
    divergence: float = 0.01
    entropy: float = 0.005
    rate: float = 0.05
    seed: int = 0
    in_flight: int = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """A solution: whether its answer is correct, dollars, and the texts and roles of its steps."""

    correct: bool
    usd: float
    texts: tuple[str, ...]
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundaryTask:
    """A problem with the rollouts of always-weak and always-strong, the anchors of every reward."""

    problem: Problem
    weak: tuple[Rollout, ...]
    strong: tuple[Rollout, ...]

    @property
    def difficulty(self) -> Difficulty:
        """By successes w and l out of K: intractable iff w + l = 0, easy iff w ≥ 0.8 K or w ≥ l, else hard."""
        weak, strong = (sum(each.correct for each in runs) for runs in (self.weak, self.strong))
        if weak + strong == 0:
            return Difficulty.INTRACTABLE
        return Difficulty.EASY if weak >= 0.8 * len(self.weak) or weak >= strong else Difficulty.HARD

    def reward(self, rollout: Rollout, lam: float, bonus: float) -> float:
        """s + β s [hard] − λ C, where C is 0 at always-weak's mean dollars and 1 at always-strong's."""
        low, high = (float(np.mean([each.usd for each in runs])) for runs in (self.weak, self.strong))
        cost = float(np.clip((rollout.usd - low) / max(high - low, 1e-12), -0.5, 1.5))
        return rollout.correct * (1 + bonus * (self.difficulty is Difficulty.HARD)) - lam * cost

    def references(self, lam: float, bonus: float) -> tuple[float, float]:
        """The mean rewards of always-weak and always-strong."""
        weak, strong = (
            float(np.mean([self.reward(each, lam, bonus) for each in runs])) for runs in (self.weak, self.strong)
        )
        return weak, strong


@dataclass(frozen=True, slots=True)
class Sampled:
    """Draws each step's writer by the router's probabilities; the draw depends on the texts alone."""

    router: BoundaryRouter
    lambdas: dict[str, float]
    draw: str
    reads: frozenset[Reading] = field(default=frozenset(), init=False)

    def choose(self, moment: Moment) -> str:
        """Strong with the router's probability at the problem's λ."""
        problem = moment.prefix.problem.id
        chance = chance_at(self.router, moment, self.lambdas[problem])
        drawn = uniform(f"{self.draw}/{problem}/{moment.step}")
        return moment.ladder[-1] if drawn < chance else moment.ladder[0]


class BoundaryTrainer:
    """Rollouts over the roles, which should have a step tree in front of them of width `settings.runs` or more."""

    def __init__(self, roles: Roles, grade: Grade, limits: Limits, settings: Settings) -> None:
        self._roles, self._grade, self._limits, self.settings = roles, grade, limits, settings

    async def tasks(self, problems: Sequence[Problem]) -> list[BoundaryTask]:
        """Each problem with its boundary rollouts. Raises BackendError if one fails."""
        weak, strong = [
            [await self._rollouts(problems, First(steps), seed) for seed in range(self.settings.runs)]
            for steps in (0, _ALWAYS)
        ]
        return [
            BoundaryTask(problem=problem, weak=tuple(w), strong=tuple(s))
            for problem, w, s in zip(problems, zip(*weak, strict=True), zip(*strong, strict=True), strict=True)
        ]

    async def supervised(self, tasks: Sequence[BoundaryTask]) -> BoundaryRouter:
        """BoSFT: easy and intractable tasks show always-weak, hard ones the cheapest success of mixed rollouts."""
        hard = [task for task in tasks if task.difficulty is Difficulty.HARD]
        strata = self.settings.strata
        mixed = [
            await self._rollouts([task.problem for task in hard], Mixing(k / strata, k), k) for k in range(strata + 1)
        ]
        shown = [(task, task.weak[0]) for task in tasks if task.difficulty is not Difficulty.HARD]
        for task, rollouts in zip(hard, zip(*mixed, strict=True), strict=True):
            successes = [each for each in (*rollouts, *task.strong) if each.correct]
            shown.append((task, min(successes, key=lambda each: each.usd)))
        router = untrained([task.problem for task in tasks])
        rng = np.random.default_rng(self.settings.seed)
        rows = [
            _rows(router, task.problem, each, _drawn_lambda(self.settings.lam, rng.random())) for task, each in shown
        ]
        features, strong = np.concatenate([x for x, _ in rows]), np.concatenate([a for _, a in rows])
        return replace(router, weights=_logistic(features, strong))

    async def optimised(self, start: BoundaryRouter, tasks: Sequence[BoundaryTask]) -> BoundaryRouter:
        """BoPO from `start`: clipped policy gradient, the advantage relative to the group and the boundary policies."""
        weights, adam = start.weights.copy(), _Adam(len(start.weights), self.settings.rate)
        rng = np.random.default_rng([self.settings.seed, 1])
        for number in range(self.settings.passes):
            order = rng.permutation(len(tasks))
            for at in range(0, len(order), self.settings.batch):
                batch = [tasks[place] for place in order[at : at + self.settings.batch]]
                rows = await self._group(replace(start, weights=weights), batch, f"{self.settings.seed}/{number}/{at}")
                weights = self._updated(weights, start.weights, adam, *rows)
        return replace(start, weights=weights)

    async def _group(self, router: BoundaryRouter, batch: Sequence[BoundaryTask], draw: str) -> tuple[F64, F64, F64]:
        """Features, (choice, feature), choices and advantages of `group` rollouts of each task."""
        settings = self.settings
        lambdas = {task.problem.id: _drawn_lambda(settings.lam, uniform(f"{draw}/{task.problem.id}")) for task in batch}
        problems = [task.problem for task in batch]
        choosers = [Sampled(router, lambdas, f"{draw}/{number}") for number in range(settings.group)]
        groups = await asyncio.gather(*(self._rollouts(problems, each, n) for n, each in enumerate(choosers)))
        features, choices, advantages = [], [], []
        for task, rollouts in zip(batch, zip(*groups, strict=True), strict=True):
            lam = lambdas[task.problem.id]
            for rollout, advantage in zip(rollouts, self.advantages(task, rollouts, lam), strict=True):
                rows, strong = _rows(router, task.problem, rollout, lam)
                features.append(rows)
                choices.append(strong)
                advantages.append(np.full(len(strong), advantage))
        return np.concatenate(features), np.concatenate(choices), np.concatenate(advantages)

    def advantages(self, task: BoundaryTask, rollouts: Sequence[Rollout], lam: float) -> F64:
        """(R − max(mean of the group, best boundary)) / (deviation of both + 0.05), (rollout,); plain GRPO's without
        the reference. A group that fails cheaply throughout is at 0 by GRPO, and on a hard task below 0 here."""
        bonus = self.settings.hard_bonus
        rewards = np.array([task.reward(each, lam, bonus) for each in rollouts])
        if not self.settings.reference:
            advantages: F64 = (rewards - rewards.mean()) / (rewards.std() + 0.05)
            return advantages
        references = task.references(lam, bonus)
        deviation = np.concatenate([rewards, references]).std()
        guided: F64 = (rewards - max(rewards.mean(), *references)) / (deviation + 0.05)
        return guided

    def _updated(self, weights: F64, start: F64, adam: "_Adam", features: F64, choices: F64, advantages: F64) -> F64:
        """Four steps of the clipped objective, with the divergence from the start and the entropy."""
        settings = self.settings
        before = _sigmoid(features @ weights)
        for _ in range(4):
            logits = features @ weights
            chance = _sigmoid(logits)
            ratio = np.where(choices, chance / before, (1 - chance) / (1 - before))
            is_clipped = np.where(advantages > 0, ratio > 1 + settings.clip, ratio < 1 - settings.clip)
            slope = np.where(is_clipped, 0, ratio * advantages) * (choices - chance)
            spread = chance * (1 - chance)
            slope -= settings.divergence * spread * (logits - features @ start) + settings.entropy * spread * logits
            weights = adam.step(weights, features.T @ slope / len(features))
        return weights

    async def _rollouts(self, problems: Sequence[Problem], chooser: Chooser, seed: int) -> list[Rollout]:
        traces = await solve_all(
            problems,
            self._roles,
            Preroute(chooser=chooser),
            seed,
            limits=self._limits,
            in_flight=self.settings.in_flight,
        )
        return [await self._rollout(problem, trace) for problem, trace in zip(problems, traces, strict=True)]

    async def _rollout(self, problem: Problem, trace: Trace) -> Rollout:
        correct = await self._grade(problem, finished(trace))
        written = [step for step in trace.steps if step.role != ENVIRONMENT]
        return Rollout(
            correct=correct,
            usd=float(trace.cost_usd),
            texts=tuple(step.text for step in written),
            roles=tuple(step.role for step in written),
        )


class _Adam:
    def __init__(self, size: int, rate: float) -> None:
        self.rate, self.count, self.mean, self.square = rate, 0, np.zeros(size), np.zeros(size)

    def step(self, weights: F64, gradient: F64) -> F64:
        """Ascend."""
        self.count += 1
        self.mean = 0.9 * self.mean + 0.1 * gradient
        self.square = 0.999 * self.square + 0.001 * gradient**2
        mean, square = self.mean / (1 - 0.9**self.count), self.square / (1 - 0.999**self.count)
        new: F64 = weights + self.rate * mean / (np.sqrt(square) + 1e-8)
        return new


def untrained(problems: Sequence[Problem]) -> BoundaryRouter:
    """A router that tosses a coin, with the words that several of the problems have."""
    counts = Counter(term for each in problems for term in frozenset().union(*coming_sentences(each.text, ())))
    terms = tuple(sorted(term for term, count in counts.items() if count >= _LEAST_STORIES))
    return BoundaryRouter(terms, np.zeros(len(STATE) + 2 * len(terms)))


def _rows(router: BoundaryRouter, problem: Problem, rollout: Rollout, lam: float) -> tuple[F64, F64]:
    """Features before each step, (step, feature), and whether strong wrote it."""
    rows = [
        router.features(problem.text, rollout.texts[:number], rollout.roles[number - 1] if number else "", lam)
        for number in range(len(rollout.texts))
    ]
    return np.array(rows).reshape(-1, len(router.weights)), np.array(
        [role != "weak" for role in rollout.roles], dtype=np.float64
    )


def _logistic(features: F64, strong: F64) -> F64:
    """Weights by regularised logistic regression; each class weighted by the inverse root of its share."""
    share = np.where(strong == 1, max(strong.mean(), 1e-3), max(1 - strong.mean(), 1e-3))
    importance = 1 / np.sqrt(share)
    weights, adam = np.zeros(features.shape[1]), _Adam(features.shape[1], 0.05)
    for _ in range(400):
        slope = importance * (strong - _sigmoid(features @ weights))
        weights = adam.step(weights, features.T @ slope / len(features) - 1e-3 * weights)
    return weights


def _drawn_lambda(bounds: tuple[float, float], draw: float) -> float:
    """Log-uniform."""
    low, high = bounds
    return float(low * (high / low) ** draw)


def _sigmoid(logits: F64) -> F64:
    chance: F64 = 1 / (1 + np.exp(-np.clip(logits, -30, 30)))
    return chance
