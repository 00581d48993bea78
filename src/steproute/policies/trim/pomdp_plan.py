"""The result of TRIM-POMDP's planner: bounds on the value still to come, and the decisions that follow from them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steproute.policies.trim.pomdp_model import F64, StepPomdp


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The value still to come, F_n(x), for each cost and stage, on a grid over x = P(all accepted steps are correct).

    costs: (costs,), reward per token of the dearest rewriter. upper: (costs, stages, points), values whose chords bound
    F_n from above. alphas: (costs, stages, points, 2), the line through (x = 0, alphas[…, 0]) and (x = 1,
    alphas[…, 1]) bounds F_n from below. Stage n is a decision after n accepted steps, about step n + 1, that is not the
    last one.
    """

    model: StepPomdp
    costs: F64
    upper: F64
    alphas: F64

    @property
    def gap(self) -> float:
        """The largest upper − lower bound over every cost, stage and x, in units of reward."""
        x, kink = np.linspace(0, 1, self.upper.shape[-1]), kinks(self.alphas)
        weight = (kink - x[:-1]) * (len(x) - 1)
        chord = self.upper[..., :-1] * (1 - weight) + self.upper[..., 1:] * weight
        lower = np.maximum(on_line(self.alphas[..., :-1, :], kink), on_line(self.alphas[..., 1:, :], kink))
        return float(max((chord - lower).max(), (self.upper - on_line(self.alphas, x)).max()))

    def bounds(self, cost: int, stage: int, x: F64) -> tuple[F64, F64]:
        """Certified lower and upper bound on F_n(x); `cost` is an index into `costs`."""
        index, weight = cell(x, self.upper.shape[-1])
        alphas, values = self.alphas[cost, stage], self.upper[cost, stage]
        lower = np.maximum(on_line(alphas[index], x), on_line(alphas[index + 1], x))
        return lower, values[index] * (1 - weight) + values[index + 1] * weight

    def advantage(self, cost: int, stage: int, beliefs: F64) -> F64:
        """Δ_n^k(b), the advantage of rewriter k over accepting, excluding the newest step's own cost.

        beliefs: (..., 3). Returns (..., rewriters), the middle of `advantage_bounds`.
        """
        low, high = self.advantage_bounds(cost, stage, beliefs)
        return (low + high) / 2

    def last_advantage(self, beliefs: F64) -> F64:
        """The same for the decision that ends the solution, exact."""
        x = self.model.still_correct(beliefs)
        return self.model.task_reward * (x[..., 1:] - x[..., :1])

    def advantage_bounds(self, cost: int, stage: int, beliefs: F64) -> tuple[F64, F64]:
        """Certified lower and upper bound on Δ_n^k(b), each (..., rewriters)."""
        low, high = self.bounds(cost, stage, self.model.still_correct(beliefs))
        return low[..., 1:] - high[..., :1], high[..., 1:] - low[..., :1]

    def best_action(self, cost: int, stage: int | None, beliefs: F64, tokens: float) -> NDArray[np.intp]:
        """0 to accept or k for the k-th rewriter, (...,): whichever earns most, and of equals the cheapest.

        stage: None for the decision that ends the solution. tokens: of the newest step.
        """
        advantage = self.last_advantage(beliefs) if stage is None else self.advantage(cost, stage, beliefs)
        gains = advantage - self.costs[cost] * tokens * self.model.relative_costs
        best: NDArray[np.intp] = np.concatenate([np.zeros_like(gains[..., :1]), gains], axis=-1).argmax(-1)
        return best


def cell(x: F64, points: int) -> tuple[NDArray[np.intp], F64]:
    """The cell that holds x of a grid of `points` on [0, 1], and how far into it x lies."""
    scaled = x * (points - 1)
    index = np.minimum(scaled.astype(np.intp), points - 2)
    return index, scaled - index


def on_line(alphas: F64, x: F64) -> F64:
    """Value at x of the lines from (0, alphas[…, 0]) to (1, alphas[…, 1])."""
    found: F64 = alphas[..., 0] * (1 - x) + alphas[..., 1] * x
    return found


def kinks(alphas: F64) -> F64:
    """Where in each cell of the grid the lines of its two ends cross, (..., points − 1)."""
    left, right = alphas[..., :-1, :], alphas[..., 1:, :]
    x = np.linspace(0, 1, alphas.shape[-2])
    rise = (left[..., 1] - left[..., 0]) - (right[..., 1] - right[..., 0])
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = np.where(rise == 0, x[:-1], (right[..., 0] - left[..., 0]) / rise)
    found: F64 = np.clip(crossing, x[:-1], x[1:])
    return found
