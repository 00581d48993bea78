"""TRIM-POMDP's model of step-level routing: what is hidden, how it moves, what is seen, what it pays."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steproute.core.errors import ConfigError

F64 = NDArray[np.float64]
ON_TRACK, DERAILED, NEWEST_WRONG = range(3)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPomdp:
    """One solution as a POMDP. Hidden: on track, derailed (an accepted step is wrong), or the newest step is wrong.

    weak_accuracy, strong_accuracy: p_w and p_s, per step on a right prefix. hazard: (stages + 1,), hazard[n] is the
    probability that step n, counted from 1, is a solution's last one if it has at least n steps; hazard[stages] is 1.
    Whether the newest step is the last one is known when it comes.
    observations: (3, bins, bins), P(bin of the least earlier score, bin of the newest score | state).
    step_tokens: tokens of a step that is still to come; task_reward: for a right answer.

    Raises ConfigError for values that are not a model. Source: TRIM, TRIM-POMDP.
    """

    weak_accuracy: float
    strong_accuracy: float
    hazard: F64
    observations: F64
    step_tokens: float = 60.0
    task_reward: float = 100.0

    def __post_init__(self) -> None:
        for name in ("weak_accuracy", "strong_accuracy"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ConfigError(f"{value} is outside [0, 1].", where=name, remedy="Give the share of right steps.")
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
        """How many steps a solution has at most."""
        return len(self.hazard) - 1

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

    def predict(self, belief: F64, *, regenerate: bool) -> F64:
        """Belief (3,) about the next weak step before it is seen: b'(s') = Σ_s T(s' | s, a) b(s).

        Source: TRIM, TRIM-POMDP's transition.
        """
        right = self.still_right(belief)[int(regenerate)]
        return np.array([right * self.weak_accuracy, 1 - right, right * (1 - self.weak_accuracy)])

    def still_right(self, beliefs: F64) -> tuple[F64, F64]:
        """P(every accepted step is right) after accepting and after regenerating the newest step.

        beliefs: (..., 3). Returns (...,) twice.
        """
        on_track = beliefs[..., ON_TRACK]
        return on_track, self.strong_accuracy * (on_track + beliefs[..., NEWEST_WRONG])
