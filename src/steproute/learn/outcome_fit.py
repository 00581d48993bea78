"""TRIM-POMDP's model fitted to solutions of which only the final answer is known to be correct or not.

What is hidden is τ, the index of a solution's first incorrect step. As long as all steps are correct, a step with the
score r is correct with probability

    g(r) = sigmoid(slope · logit(r) + shift),

the scorer's score, recalibrated. A solution without an incorrect step has a correct answer. One with an incorrect step
has a correct answer with probability ρ, the recovery: the error did not matter, or was undone.

    P(τ = k)    = (1 − g(r_k)) Π_{t<k} g(r_t)
    P(no error) = Π_t g(r_t)
    P(answer correct) = P(no error) + ρ (1 − P(no error))

So an incorrect answer says that τ is one of 1 … n, and a correct one that there is none or, at odds of ρ, one of them.
If the scores say nothing, g is p_w and τ is geometric.

EM (Dempster, Laird and Rubin 1977). E: q(k) = P(τ = k | scores, answer). M: slope and shift by logistic regression, in
which each step counts as correct with P(τ > t) and as incorrect with q(t); ρ is the share of correct answers among the
expected solutions with an error. Priors hold slope and shift near 1 and 0, the scores read as probabilities, and ρ
near 0.1, as long as there are few solutions. At the end p_w is the expected share of correct steps among those up to
the first error, and the densities of (least earlier score, newest score) are those of `pomdp_fit` over every τ,
weighted by q.

The scores after τ say nothing about where it is, and are taken not to depend on it. A model of them, with a density for
each hidden state, fits the scores better and τ worse: EM drifts to explain how solutions differ, not where they fail
(docs/explanation/trim-pomdp.md).

An incorrect answer after correct steps (cut off, or not in the form that is asked for) counts as one incorrect step.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from steproute.core.errors import DatasetError
from steproute.core.logistic import logistic
from steproute.learn.pomdp_fit import BINS, STATES, cuts, density, fit_hazard, observation
from steproute.learn.rewriters import SoloSolutions, priced_rewriters
from steproute.policies.trim.pomdp_model import DERAILED, F64, NEWEST_INCORRECT, ON_TRACK, StepPomdp

_ROUNDS: Final = 1000
_NEWTON_STEPS: Final = 20
_BISECTIONS: Final = 60
_ACCURACIES: Final = np.concatenate([[0.0], np.exp(-np.geomspace(50, 1e-12, 700)), [1.0]])  # even in log(−log p)
_SETTLED: Final = 1e-6
_LEAST: Final = 1e-12
_LEAST_SCORE: Final = 1e-3  # beyond it a logit says how a scorer rounds
_PRIOR: Final = np.array([1.0, 0.0])  # slope and shift
_PRIOR_DEVIATION: Final = 0.25
_RECOVERED, _ERRORS = 5.0, 50.0  # a prior on ρ, as if so many had been seen: it holds ρ if scores and lengths cannot


@dataclass(frozen=True, slots=True, kw_only=True)
class GradedSolution:
    """One solution of the weak model: the score of each step, and whether its final answer is correct."""

    scores: tuple[float, ...]
    correct: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstErrors:
    """What EM finds; see the module.

    places: q of each solution, (steps + 1,), the chance of each place of the first error; the last is for none.
    """

    weak_accuracy: float
    slope: float
    shift: float
    recovery: float
    places: tuple[F64, ...]


def fit_on_outcomes(weak: Sequence[GradedSolution], rewriters: Sequence[SoloSolutions]) -> StepPomdp:
    """TRIM-POMDP's model without any label of a step.

    rewriters: at least one, in any order. Raises DatasetError if weak has no correct or no incorrect answer, or if a
    state has too few examples; ConfigError as `priced_rewriters`.
    """
    solutions = [solution for solution in weak if solution.scores]
    found = fit_first_errors(solutions)
    accuracies = [step_accuracy(each.answers, found.recovery) for each in rewriters]
    priced, step_tokens = priced_rewriters(rewriters, accuracies)
    return StepPomdp(
        weak_accuracy=found.weak_accuracy,
        rewriters=priced,
        hazard=fit_hazard([len(solution.scores) for solution in solutions]),
        observations=expected_observations(solutions, found.places),
        step_tokens=step_tokens,
    )


def fit_first_errors(solutions: Sequence[GradedSolution]) -> FirstErrors:
    """Where each solution first fails, by expectation maximisation. Raises DatasetError as `fit_on_outcomes`."""
    correct = sum(solution.correct for solution in solutions)
    if not 0 < correct < len(solutions):
        raise DatasetError(
            f"the weak model has {correct} correct and {len(solutions) - correct} incorrect "
            "answers, and both kinds are needed.",
            where="solutions",
            remedy="Use more problems, or others.",
        )
    padded = _Padded.of(solutions)
    reading, recovery = _PRIOR, _RECOVERED / _ERRORS
    for _ in range(_ROUNDS):
        before, q = (*reading, recovery), padded.places(reading, recovery)
        reading, recovery = padded.reading(reading, q), padded.recovery(q)
        if np.abs(np.subtract((*reading, recovery), before)).max() < _SETTLED:
            break
    q = padded.places(reading, recovery)
    sound, failing = padded.expected(q)
    return FirstErrors(
        weak_accuracy=float(sound.sum() / (sound.sum() + failing.sum())),
        slope=float(reading[0]),
        shift=float(reading[1]),
        recovery=recovery,
        places=padded.unpadded(q),
    )


def expected_observations(solutions: Sequence[GradedSolution], places: Sequence[F64], bins: int = BINS) -> F64:
    """The estimate of `fit_observations` over every place of the first error, weighted; (3, bins, bins).

    places: as FirstErrors. Raises DatasetError if a state has too few examples.
    """
    rows = np.array([observation(each.scores[: end + 1]) for each in solutions for end in range(len(each.scores))])
    weights = np.concatenate([_examples(q) for q in places], axis=1)
    return np.stack([density(name, rows, each, bins) for name, each in zip(STATES, weights, strict=True)])


def step_accuracy(solutions: Sequence[tuple[int, bool]], recovery: float = 0.0) -> float:
    """The p of greatest likelihood if a solution of n steps has a correct answer with probability p^n + ρ (1 − p^n).

    With ρ > 0 there can be several maxima; the highest counts.
    solutions: number of steps, and whether the answer is correct. recovery: ρ, below 1. Raises DatasetError if there
    are none.
    """
    counted = [(steps, correct) for steps, correct in solutions if steps]
    if not counted:
        raise DatasetError("a rewriter has none with a step.", where="solutions", remedy="Use more problems.")
    steps, correct = np.array([n for n, _ in counted], float), np.array([ok for _, ok in counted], bool)
    answers = _Answers(steps, correct, recovery)
    best = int(np.argmax([answers.log_likelihood(p) for p in _ACCURACIES]))
    low, high = _ACCURACIES[max(best - 1, 0)], _ACCURACIES[min(best + 1, len(_ACCURACIES) - 1)]
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if answers.slope(middle) > 0 else (low, middle)
    return float((low + high) / 2)


@dataclass(frozen=True, slots=True)
class _Answers:
    """Answers of solutions as a function of p; steps, correct: (solution,)."""

    steps: F64
    correct: NDArray[np.bool_]
    recovery: float

    def log_likelihood(self, p: float) -> float:
        """Of all answers; −inf if one cannot be."""
        return float(self._logs(p)[1].sum())

    def slope(self, p: float) -> float:
        """Of the log-likelihood, in log p; 0 < p < 1."""
        sound, chance = self._logs(p)
        return float((np.where(self.correct, self.steps, -self.steps) * np.exp(sound - chance)).sum())

    def _logs(self, p: float) -> tuple[F64, F64]:
        """log (1 − ρ) p^n, and the log-probability of each answer; each (solution,)."""
        with np.errstate(divide="ignore"):
            power, recovery, fails = self.steps * np.log(p), np.log(self.recovery), np.log1p(-self.recovery)
            sound = power + fails
            return sound, np.where(self.correct, np.logaddexp(sound, recovery), fails + np.log(-np.expm1(power)))


@dataclass(frozen=True, slots=True)
class _Padded:
    """All solutions side by side; real, logits: (solution, step), correct: (solution,)."""

    real: NDArray[np.bool_]
    logits: F64
    correct: NDArray[np.bool_]

    @classmethod
    def of(cls, solutions: Sequence[GradedSolution]) -> "_Padded":
        counts = np.array([len(solution.scores) for solution in solutions])
        real = np.arange(counts.max()) < counts[:, None]
        scores = np.full(real.shape, 0.5)
        scores[real] = np.concatenate([solution.scores for solution in solutions])
        scores = np.clip(scores, _LEAST_SCORE, 1 - _LEAST_SCORE)
        return cls(real, np.log(scores / (1 - scores)), np.array([solution.correct for solution in solutions]))

    def places(self, reading: F64, recovery: float) -> F64:
        """The E-step: q, (solution, step + 1)."""
        z = reading[0] * self.logits + reading[1]
        correct = np.where(self.real, -np.logaddexp(0, -z), 0.0)
        wrong = np.where(self.real, -np.logaddexp(0, z), -np.inf)
        before = np.cumsum(correct, axis=1) - correct
        odds = np.where(self.correct, np.log(max(recovery, _LEAST)), 0.0)
        none = np.where(self.correct, correct.sum(axis=1), -np.inf)
        logs = np.column_stack([before + wrong + odds[:, None], none])
        q: F64 = np.exp(logs - logs.max(axis=1, keepdims=True))
        q /= q.sum(axis=1, keepdims=True)
        return q

    def expected(self, q: F64) -> tuple[F64, F64]:
        """P(step t is correct, and so are all before it) and P(it is the first error), each (solution, step)."""
        failing = q[:, :-1]
        return np.where(self.real, np.maximum(1 - np.cumsum(failing, axis=1), 0), 0.0), failing

    def reading(self, start: F64, q: F64) -> F64:
        """Slope and shift by weighted logistic regression with the prior, by Newton's method."""
        sound, failing = self.expected(q)
        inputs = np.stack([self.logits[self.real], np.ones(self.real.sum())])
        sound, failing = sound[self.real], failing[self.real]
        reading, precision = start, np.eye(2) / _PRIOR_DEVIATION**2
        for _ in range(_NEWTON_STEPS):
            p = logistic(reading @ inputs)
            slope = inputs @ (sound * (1 - p) - failing * p) - precision @ (reading - _PRIOR)
            curvature = (inputs * ((sound + failing) * p * (1 - p))) @ inputs.T + precision
            step = np.linalg.solve(curvature, slope)
            reading = reading + step
            if np.abs(step).max() < _SETTLED:
                break
        return reading

    def recovery(self, q: F64) -> float:
        """ρ: correct answers among the expected solutions with an error, and those of the prior."""
        errors = 1 - q[:, -1]
        return float((errors[self.correct].sum() + _RECOVERED) / (errors.sum() + _ERRORS))

    def unpadded(self, q: F64) -> tuple[F64, ...]:
        """q of each solution, (steps + 1,)."""
        return tuple(np.append(row[:-1][real], row[-1]) for row, real in zip(q, self.real, strict=True))


def _examples(q: F64) -> F64:
    """How much each step of a solution is one of the examples that `states_seen` takes of a state; (3, steps)."""
    count = len(q) - 1
    weights = np.zeros((3, count))
    weights[NEWEST_INCORRECT] = q[:-1]
    weights[ON_TRACK, [end - 1 for end in cuts(0, count)]] = q[-1]
    for place in range(count - 1):
        weights[DERAILED, [end - 1 for end in cuts(place + 1, count)]] += q[place]
    return weights
