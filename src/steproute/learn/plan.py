"""The plan of TRIM-POMDP for every stage, belief, token count and a list of costs at once, with a certified gap.

Action 0 accepts; action k has the k-th rewriter, with accuracy p_k, or m_k if the newest step is incorrect, and
relative cost c_k, write the newest step again.
After any action the belief about the next step lies on one line: with x the probability that every accepted step is
correct, it is (x·p_w, 1 − x, x·(1 − p_w)). So the value still to come is a convex function F_n of x alone:

    F_n(x) = h(n+2) Σ_o P(o) V_last(b_o) + (1 − h(n+2)) Σ_o P(o) V_{n+1}(b_o)
    V_n(b) = max{F_n(b_0), max_k F_n(p_k b_0 + m_k b_2) − cost·c_k·tokens}

Stage n is a decision after n accepted steps: it is about step n + 1, and the next decision is about step n + 2, which
is a solution's last step with probability h(n+2).

Backward induction keeps one alpha vector over {correct, incorrect so far} for each point of a grid on [0, 1], whose
maximum is a lower bound, and values on the grid, whose chords are an upper bound. The newest step's tokens enter only
the cost that is paid now: with Δ_n^k(b) = F_n(p_k b_0 + m_k b_2) − F_n(b_0), the best action is the k with the largest
Δ_n^k(b) − cost·c_k·tokens if that is above 0, and accepting otherwise. The authors' model has one rewriter.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from steproute.core.errors import ConfigError
from steproute.policies.trim.pomdp_model import ACCEPT, F64, StepPomdp
from steproute.policies.trim.pomdp_plan import Plan, cell, kinks, on_line

POINTS: Final = 401
_BLOCK: Final = 64
"""Points that are backed up together: so few that their arrays fit into memory that is reused."""


def plan(model: StepPomdp, costs: Sequence[float], points: int = POINTS) -> Plan:
    """Backward induction over all stages for each cost; the gap falls with the square of `points`.

    Raises ConfigError for a negative cost.
    """
    if any(not cost >= 0 for cost in costs):
        raise ConfigError(
            f"{list(costs)} holds a negative one.", where="costs", remedy="Give rewards per token, such as 0.25."
        )
    blocks = np.array_split(np.linspace(0, 1, points), math.ceil(points / _BLOCK))
    lines = [_Line(model, x, points) for x in blocks]
    upper = np.empty((len(costs), model.stages, points))
    alphas = np.empty((len(costs), model.stages, points, 2))
    for index, cost in enumerate(costs):
        last_upper, last_alphas = _joined(line.last(cost) for line in lines)
        upper[index, -1], alphas[index, -1] = last_upper, last_alphas
        for stage in reversed(range(model.stages - 1)):
            hazard = model.next_is_last(stage)
            after = upper[index, stage + 1], alphas[index, stage + 1]
            next_upper, next_alphas = _joined(line.back_up(cost, *after) for line in lines)
            upper[index, stage] = hazard * last_upper + (1 - hazard) * next_upper
            alphas[index, stage] = hazard * last_alphas + (1 - hazard) * next_alphas
    return Plan(model=model, costs=np.asarray(costs, float), upper=upper, alphas=alphas)


def _joined(parts: Iterable[tuple[F64, F64]]) -> tuple[F64, F64]:
    """Values and alpha vectors of the whole grid from those of its blocks."""
    upper, alphas = zip(*parts, strict=True)
    return np.concatenate(upper), np.concatenate(alphas)


_Lines = tuple[F64, F64]
"""A linear function of x for each point and observation: its values at x = 0 and at x = 1."""


class _Line:
    """The geometry of beliefs on the line, which no stage and no cost changes. Arrays are (x, observations).

    x: some of the points of the grid, whose number is `points`.
    """

    def __init__(self, model: StepPomdp, x: F64, points: int) -> None:
        on_track, derailed, newest_incorrect = model.observations.reshape(3, -1)
        p_w = model.weak_accuracy
        self.model = model
        self.x = x
        self.good = p_w * on_track  # P(o, newest correct | all accepted correct)
        self.bad = (1 - p_w) * newest_incorrect  # P(o, newest incorrect | all accepted correct)
        self.correct = self.good + self.bad  # P(o | all accepted correct)
        self.incorrect = derailed  # P(o | not all accepted correct)
        if_correct = self.x[:, None] * self.correct
        self.seen = if_correct + (1 - self.x[:, None]) * self.incorrect  # P(o)
        safe = np.where(self.seen > 0, self.seen, 1.0)
        self.mended = [each.accuracy * self.good + each.if_incorrect * self.bad for each in model.rewriters]
        after = [self.x[:, None] * each / safe for each in (self.good, *self.mended)]
        self.after = [np.minimum(each, 1.0) for each in after]  # x after each action
        self.cells = [cell(each, points) for each in self.after]

    def last(self, cost: float) -> tuple[F64, F64]:
        """E_o of the last decision's value at each x: (x,), exact, and its alpha vectors, (x, 2)."""
        reward = self.model.task_reward
        actions = [(np.zeros_like(self.incorrect), reward * self.good)]
        for mended, paid in zip(self.mended, self._paid(cost), strict=True):
            actions.append((-paid * self.incorrect, reward * mended - paid * self.correct))
        alphas = self._best(actions)
        return on_line(alphas, self.x), alphas

    def back_up(self, cost: float, upper: F64, alphas: F64) -> tuple[F64, F64]:
        """E_o of the value of a decision that is not the last one, after which F is `upper` and `alphas`."""
        turns = kinks(alphas)
        at_0, at_1 = _taken(alphas, turns, self.after[ACCEPT], self.cells[ACCEPT][0])
        actions = [(at_0 * self.incorrect, at_1 * self.good + at_0 * self.bad)]
        high = _chord(upper, self.cells[ACCEPT])
        for index, (mended, paid) in enumerate(zip(self.mended, self._paid(cost), strict=True), start=1):
            at_0, at_1 = _taken(alphas, turns, self.after[index], self.cells[index][0])
            still_correct = mended * at_1 + (self.correct - mended) * at_0
            actions.append(((at_0 - paid) * self.incorrect, still_correct - paid * self.correct))
            high = np.maximum(high, _chord(upper, self.cells[index]) - paid)
        return np.einsum("xo,xo->x", self.seen, high), self._best(actions)

    def _paid(self, cost: float) -> list[float]:
        """For a step that each rewriter is still to write."""
        return [cost * self.model.step_tokens * rewriter.relative_cost for rewriter in self.model.rewriters]

    def _best(self, actions: Sequence[_Lines]) -> F64:
        """Sum over observations of the action's line that is highest at each x: (x, 2)."""
        x, best = self.x[:, None], actions[0]
        for action in actions[1:]:
            better = action[0] * (1 - x) + action[1] * x > best[0] * (1 - x) + best[1] * x
            best = np.where(better, action[0], best[0]), np.where(better, action[1], best[1])
        return np.stack([values.sum(1) for values in best], -1)


def _taken(alphas: F64, turns: F64, x: F64, index: NDArray[np.intp]) -> tuple[F64, F64]:
    """The better line at x of those on both sides of its cell: its values at 0 and at 1."""
    index = index + (x > turns[index])
    return alphas[:, 0][index], alphas[:, 1][index]


def _chord(values: F64, place: tuple[NDArray[np.intp], F64]) -> F64:
    index, weight = place
    found: F64 = values[index]
    return found + (values[index + 1] - found) * weight
