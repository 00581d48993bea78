"""TRIM-POMDP's model of step-level routing: hidden states, transitions, observations and rewards."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steproute.core.errors import ConfigError

F64 = NDArray[np.float64]
ON_TRACK, DERAILED, NEWEST_INCORRECT = range(3)
ACCEPT = 0
"""The action that keeps the newest step; action k has the k-th rewriter write it again, counted from 1."""


@dataclass(frozen=True, slots=True)
class Rewriter:
    """A role, or a second chance, that can write the newest step again.

    accuracy: p_k, per step on a correct prefix; if the newest step is incorrect it is `mends`, by default the same: the
    weak model seldom mends its own error. relative_cost: what one rewritten step costs, as a share of the dearest
    rewriter's. Raises ConfigError for an empty name or a number outside [0, 1].
    """

    name: str
    accuracy: float
    relative_cost: float = 1.0
    mends: float | None = None

    def __post_init__(self) -> None:
        if not self.name:
            raise ConfigError("a rewriter has no name.", where="rewriters", remedy="Name its role, such as strong.")
        for name, value in (
            ("accuracy", self.accuracy),
            ("relative_cost", self.relative_cost),
            ("mends", self.if_incorrect),
        ):
            if not 0 <= value <= 1:
                raise ConfigError(f"{value} is outside [0, 1].", where=f"rewriters.{self.name}.{name}")

    @property
    def if_incorrect(self) -> float:
        """P(its step is correct) if the newest step is not, on a correct prefix."""
        return self.accuracy if self.mends is None else self.mends


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPomdp:
    """One solution as a POMDP. Hidden: on track, derailed (an accepted step is incorrect), or newest step incorrect.

    weak_accuracy: p_w, per step on a correct prefix. rewriters: from the cheapest to the dearest, whose relative cost
    is 1; the authors' model has one, the strong model. hazard: (stages + 1,), hazard[n] is the probability that step n,
    counted from 1, is a solution's last one if it has at least n steps; hazard[stages] is 1. Whether the newest step is
    the last one is known when it comes.
    observations: (3, bins, bins), P(bin of the least earlier score, bin of the newest score | state).
    step_tokens: tokens of a step that the dearest rewriter is still to write; task_reward: for a correct answer.

    Raises ConfigError for values that are not a model. Source: TRIM, TRIM-POMDP; several rewriters are our extension.
    """

    weak_accuracy: float
    rewriters: tuple[Rewriter, ...]
    hazard: F64
    observations: F64
    step_tokens: float = 60.0
    task_reward: float = 100.0

    def __post_init__(self) -> None:
        if not 0 <= self.weak_accuracy <= 1:
            raise ConfigError(
                f"{self.weak_accuracy} is outside [0, 1].",
                where="weak_accuracy",
                remedy="Give the share of correct steps.",
            )
        _check_rewriters(self.rewriters)
        for name in ("step_tokens", "task_reward"):
            value = getattr(self, name)
            if not value > 0:
                raise ConfigError(f"{value} is not above 0.", where=name)
        if self.hazard.ndim != 1 or len(self.hazard) < 2 or ((self.hazard < 0) | (self.hazard > 1)).any():
            raise ConfigError(
                "has to be at least two probabilities, one for each count of steps from 0.", where="hazard"
            )
        if self.hazard[-1] != 1:
            raise ConfigError(
                f"its last entry is {self.hazard[-1]}. It has to be 1: every solution ends.", where="hazard"
            )
        shape = self.observations.shape
        if len(shape) != 3 or shape[0] != 3 or (self.observations < 0).any():
            raise ConfigError(f"shape {shape} is not (3, bins, bins) of probabilities.", where="observations")
        sums = self.observations.sum((1, 2))
        if not np.allclose(sums, 1, atol=1e-6):
            raise ConfigError(f"the states' sums are {sums.tolist()}. Each has to be 1.", where="observations")

    @property
    def stages(self) -> int:
        """Maximum steps per solution."""
        return len(self.hazard) - 1

    @property
    def relative_costs(self) -> F64:
        """Of a rewritten step by each rewriter, (rewriters,), as a share of the dearest."""
        return np.array([rewriter.relative_cost for rewriter in self.rewriters])

    def action_of(self, role: str) -> int:
        """The action that has `role` write the newest step again; raises ConfigError for a role without one."""
        names = [rewriter.name for rewriter in self.rewriters]
        if role not in names:
            raise ConfigError(
                f"{role!r} rewrote a step, but the plan has only {', '.join(names)}.",
                where="policy",
                remedy="Train the policy for the roles of this run.",
            )
        return names.index(role) + 1

    def next_is_last(self, stage: int) -> float:
        """P(the next step is the last one) at a decision that is not, about the step after `stage` accepted ones.

        That step is number stage + 1, so the next one is number stage + 2.
        """
        return float(self.hazard[min(stage + 2, self.stages)])

    def likelihood(self, least_earlier: float, newest: float) -> F64:
        """P(observation | state), (3,), from the bins that the two scores fall into. 1 where no step came earlier."""
        rows, columns = self.observations.shape[1:]
        row, column = min(int(least_earlier * rows), rows - 1), min(int(newest * columns), columns - 1)
        found: F64 = self.observations[:, row, column]
        return found

    def posterior(self, least_earlier: float, newest: float, prior: F64 | None = None) -> F64:
        """Belief (3,) after one observation, from the reference's uniform prior or the filter's predicted one.

        A prior that the observation rules out leaves the uniform-prior posterior. Source: TRIM, belief; Bayes' rule.
        """
        likelihood = self.likelihood(least_earlier, newest)
        for weights in (likelihood * prior if prior is not None else likelihood, likelihood):
            if (total := weights.sum()) > 0:
                found: F64 = weights / total
                return found
        return np.full(3, 1 / 3)

    def first_belief(self) -> F64:
        """Belief (3,) about the first weak step before it is seen."""
        return np.array([self.weak_accuracy, 0.0, 1 - self.weak_accuracy])

    def predict(self, belief: F64, action: int) -> F64:
        """Belief (3,) about the next weak step before it is seen: b'(s') = Σ_s T(s' | s, a) b(s).

        Source: TRIM, TRIM-POMDP's transition.
        """
        correct = self._still_correct_after(action, belief)
        return np.array([correct * self.weak_accuracy, 1 - correct, correct * (1 - self.weak_accuracy)])

    def still_correct(self, beliefs: F64) -> F64:
        """P(every accepted step is correct) after each action, (..., actions); beliefs: (..., 3)."""
        actions = range(len(self.rewriters) + 1)
        return np.stack([self._still_correct_after(action, beliefs) for action in actions], axis=-1)

    def _still_correct_after(self, action: int, beliefs: F64) -> F64:
        found: F64 = beliefs[..., ON_TRACK]
        if action != ACCEPT:
            rewriter = self.rewriters[action - 1]
            found = rewriter.accuracy * found + rewriter.if_incorrect * beliefs[..., NEWEST_INCORRECT]
        return found


def _check_rewriters(rewriters: Sequence[Rewriter]) -> None:
    costs = [rewriter.relative_cost for rewriter in rewriters]
    if not costs or costs[-1] != 1 or costs != sorted(costs):
        raise ConfigError(
            f"the relative costs are {costs}.",
            where="rewriters",
            remedy="Give at least one rewriter, from the cheapest to the dearest, whose relative cost is 1.",
        )
    names = [rewriter.name for rewriter in rewriters]
    if len(set(names)) < len(names):
        raise ConfigError(f"{', '.join(names)} holds a name twice.", where="rewriters")
