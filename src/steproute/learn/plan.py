"""The plan of TRIM-POMDP for every stage, belief, token count and a list of costs at once, with a certified gap.

After either action the belief about the next step lies on one line: with x the probability that every accepted step is
right, it is (x·p_w, 1 − x, x·(1 − p_w)). So what is still to come is a convex function F_n of x alone:

    F_n(x) = h(n+2) Σ_o P(o) V_last(b_o) + (1 − h(n+2)) Σ_o P(o) V_{n+1}(b_o)
    V_n(b) = max{F_n(b_0), F_n(p_s (b_0 + b_2)) − cost·tokens}

Stage n is a decision after n accepted steps: it is about step n + 1, and the next decision is about step n + 2, which
is a solution's last step with probability h(n+2).

Backward induction keeps one alpha vector over {right, wrong so far} for each point of a grid on [0, 1], whose maximum
is a lower bound, and values on the grid, whose chords are an upper bound. The newest step's tokens enter only the cost
that is paid now: Δ_n(b) = F_n(p_s (b_0 + b_2)) − F_n(b_0), and regenerate iff Δ_n(b) > cost·tokens.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from steproute.core.errors import ConfigError
from steproute.policies.trim.pomdp_model import F64, StepPomdp
from steproute.policies.trim.pomdp_plan import Plan, cell, kinks, on_line

POINTS: Final = 401


def plan(model: StepPomdp, costs: Sequence[float], points: int = POINTS) -> Plan:
    """Backward induction over all stages for each cost; the gap falls with the square of `points`.

    Raises ConfigError for a negative cost.
    """
    if any(not cost >= 0 for cost in costs):
        raise ConfigError(
            f"{list(costs)} holds a negative one.", where="costs", remedy="Give rewards per token, such as 0.25."
        )
    line = _Line(model, points)
    upper = np.empty((len(costs), model.stages, points))
    alphas = np.empty((len(costs), model.stages, points, 2))
    for index, cost in enumerate(costs):
        last_upper, last_alphas = line.last(cost)
        upper[index, -1], alphas[index, -1] = last_upper, last_alphas
        for stage in reversed(range(model.stages - 1)):
            hazard = model.next_is_last(stage)
            next_upper, next_alphas = line.back_up(cost, upper[index, stage + 1], alphas[index, stage + 1])
            upper[index, stage] = hazard * last_upper + (1 - hazard) * next_upper
            alphas[index, stage] = hazard * last_alphas + (1 - hazard) * next_alphas
    return Plan(model=model, costs=np.asarray(costs, float), upper=upper, alphas=alphas)


class _Line:
    """The geometry of beliefs on the line, which no stage and no cost changes. Arrays are (points, observations)."""

    def __init__(self, model: StepPomdp, points: int) -> None:
        on_track, derailed, newest_wrong = model.observations.reshape(3, -1)
        p_w, p_s = model.weak_accuracy, model.strong_accuracy
        self.model = model
        self.x = np.linspace(0, 1, points)
        self.good = p_w * on_track  # P(o, newest right | all accepted right)
        self.bad = (1 - p_w) * newest_wrong  # P(o, newest wrong | all accepted right)
        self.right = self.good + self.bad  # P(o | all accepted right)
        self.wrong = derailed  # P(o | not all accepted right)
        self.if_right = self.x[:, None] * self.right
        self.if_wrong = (1 - self.x[:, None]) * self.wrong
        self.seen = self.if_right + self.if_wrong  # P(o)
        safe = np.where(self.seen > 0, self.seen, 1.0)
        self.accept = np.minimum(self.x[:, None] * self.good / safe, 1.0)  # x after accepting
        self.regenerate = np.minimum(p_s * self.if_right / safe, 1.0)  # x after regenerating
        self.accept_cell, self.regenerate_cell = cell(self.accept, points), cell(self.regenerate, points)

    def last(self, cost: float) -> tuple[F64, F64]:
        """E_o of the last decision's value: (points,), exact, and its alpha vectors, (points, 2)."""
        reward, paid = self.model.task_reward, cost * self.model.step_tokens
        repaired = reward * self.model.strong_accuracy
        alphas = self._best(
            (np.zeros_like(self.wrong), reward * self.good), (-paid * self.wrong, (repaired - paid) * self.right)
        )
        return on_line(alphas, self.x), alphas

    def back_up(self, cost: float, upper: F64, alphas: F64) -> tuple[F64, F64]:
        """E_o of the value of a decision that is not the last one, after which F is `upper` and `alphas`."""
        paid, p_s = cost * self.model.step_tokens, self.model.strong_accuracy
        turns = kinks(alphas)
        wrong, right = _taken(alphas, turns, self.accept, self.accept_cell[0])
        accept = wrong * self.wrong, right * self.good + wrong * self.bad
        wrong, right = _taken(alphas, turns, self.regenerate, self.regenerate_cell[0])
        regenerate = (wrong - paid) * self.wrong, (p_s * right + (1 - p_s) * wrong - paid) * self.right
        high = np.maximum(_chord(upper, self.accept_cell), _chord(upper, self.regenerate_cell) - paid)
        return np.einsum("xo,xo->x", self.seen, high), self._best(accept, regenerate)

    def _best(self, accept: tuple[F64, F64], regenerate: tuple[F64, F64]) -> F64:
        """Sum over observations of the action's line, (if wrong, if right), that is higher at each x: (points, 2)."""
        x = self.x[:, None]
        better = regenerate[0] * (1 - x) + regenerate[1] * x > accept[0] * (1 - x) + accept[1] * x
        return np.stack([np.where(better, *pair).sum(1) for pair in zip(regenerate, accept, strict=True)], -1)


def _taken(alphas: F64, turns: F64, x: F64, index: NDArray[np.intp]) -> tuple[F64, F64]:
    """The better line at x of those on both sides of its cell: its values at 0 and at 1."""
    index = index + (x > turns[index])
    return alphas[:, 0][index], alphas[:, 1][index]


def _chord(values: F64, place: tuple[NDArray[np.intp], F64]) -> F64:
    index, weight = place
    found: F64 = values[index]
    return found + (values[index + 1] - found) * weight
