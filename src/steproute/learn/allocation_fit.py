"""An allocation fitted to final answers: no step needs a label.

A solution is correct if every step is, and each step is correct with a chance that its sub-task and its author decide;
a product of logistic regressions, whose likelihood is maximised.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from steproute.core.arrays import F64, I64
from steproute.core.errors import DatasetError
from steproute.core.solution import Step
from steproute.policies.allocation_model import AllocationModel, confidence_features, masked, subtask_features
from steproute.policies.query import TfIdf
from steproute.retrieval.tfidf import terms_of

PENALTIES: Final = (0.1, 0.5, 2.0, 8.0)
_LEAST_PROBLEMS: Final = 5  # in whose sub-tasks a term occurs
_LEAST_OF_EITHER: Final = 10
_START: Final = 2.0  # most steps are correct
_RARE: Final = -4.0  # log-odds of a recovery
_LEAST: Final = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A solution with a step for each sub-task. read_tokens: of the call that wrote the first step."""

    problem: str
    subtasks: tuple[str, ...]
    steps: tuple[Step, ...]
    read_tokens: int
    correct: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    """features, attempts: of each role's steps, (step, feature) and (step,), the solution; correct: (attempt,)."""

    features: tuple[F64, ...]
    attempts: tuple[I64, ...]
    correct: NDArray[np.bool_]


def fit_allocation(fitted: Sequence[Attempt], validation: Sequence[Attempt], roles: tuple[str, ...]) -> AllocationModel:
    """The model of greatest likelihood on `fitted`, with the penalty under which `validation` is likeliest.

    roles: the authors, from the cheapest to the most expensive. Raises DatasetError for too few answers of either kind,
    and for a role without steps.
    """
    correct = sum(attempt.correct for attempt in fitted)
    if min(correct, len(fitted) - correct) < _LEAST_OF_EITHER or not validation:
        raise DatasetError(
            f"{correct} of {len(fitted)} answers are correct; {_LEAST_OF_EITHER} of either are the least.",
            where="attempts",
            remedy="Use more problems.",
        )
    step_tokens, _ = (np.array([_mean_tokens(each, role) for role in roles]) for each in (fitted, validation))
    text = _terms(fitted)
    rows, others = (_rows(text, each, roles, sure=False) for each in (fitted, validation))
    weights, recovery = _chosen(rows, others)
    sure_rows, sure_others = (_rows(text, each, roles, sure=True) for each in (fitted, validation))
    sure, _ = _chosen(sure_rows, sure_others)
    return AllocationModel(
        text=text,
        roles=roles,
        weights=weights,
        sure=sure,
        step_tokens=step_tokens,
        recovery=recovery,
        read_per_character=sum(a.read_tokens for a in fitted) / sum(len(a.problem) for a in fitted),
        characters=float(np.mean([len(attempt.problem) for attempt in fitted])),
        subtasks=float(np.mean([len(attempt.subtasks) for attempt in fitted])),
    )


def log_loss(model: AllocationModel, attempts: Sequence[Attempt]) -> float:
    """Of the answers, in nats per solution; before the steps are there."""
    rows = _rows(model.text, attempts, model.roles, sure=False)
    return -_Answers(rows).log_likelihood(model.weights, model.recovery) / len(attempts)


def _terms(attempts: Sequence[Attempt]) -> TfIdf:
    distinct = {attempt.subtasks for attempt in attempts}
    problems = [set(terms_of(masked(" \n".join(subtasks)))) for subtasks in distinct]
    subtasks = [set(terms_of(masked(each))) for subtasks in distinct for each in subtasks]
    often = Counter(term for terms in problems for term in terms)
    held = Counter(term for terms in subtasks for term in terms)
    terms = tuple(sorted(term for term in held if often[term] >= _LEAST_PROBLEMS))
    return TfIdf(terms, np.log((1 + len(subtasks)) / (1 + np.array([held[term] for term in terms], float))) + 1)


def _rows(text: TfIdf, attempts: Sequence[Attempt], roles: tuple[str, ...], *, sure: bool) -> _Rows:
    """sure: with how sure each step's author was, 0 if that is unknown."""
    known: dict[tuple[str, int, int], F64] = {}
    features, places = ([[] for _ in roles] for _ in range(2))  # type: ignore[var-annotated]
    for place, attempt in enumerate(attempts):
        count = len(attempt.subtasks)
        for index, (subtask, step) in enumerate(zip(attempt.subtasks, attempt.steps, strict=False)):
            key, role = (subtask, index, count), roles.index(step.role)
            if key not in known:
                known[key] = subtask_features(text, *key)
            further = confidence_features(step.confidence) if sure and step.confidence is not None else (0.0, 0.0)
            features[role].append(np.append(known[key], further) if sure else known[key])
            places[role].append(place)
    return _Rows(
        features=tuple(map(np.array, features)),
        attempts=tuple(map(np.array, places)),
        correct=np.array([attempt.correct for attempt in attempts]),
    )


def _chosen(rows: _Rows, validation: _Rows) -> tuple[F64, float]:
    """Weights (role, feature) and the recovery of the penalty that suits `validation` best."""
    answers, others = _Answers(rows), _Answers(validation)
    found = [answers.fitted(penalty) for penalty in PENALTIES]
    return max(found, key=lambda each: others.log_likelihood(*each))


def _mean_tokens(attempts: Sequence[Attempt], role: str) -> float:
    tokens = [step.tokens for attempt in attempts for step in attempt.steps if step.role == role]
    if not tokens:
        raise DatasetError(f"{role} wrote no step.", where="attempts", remedy="Have every role write solutions.")
    return float(np.mean(tokens))


@dataclass(frozen=True, slots=True)
class _Answers:
    """The likelihood of answers; see the module."""

    rows: _Rows

    def fitted(self, penalty: float) -> tuple[F64, float]:
        """Weights and recovery of greatest likelihood less penalty / 2 · Σ of the terms' squared weights."""
        from scipy.optimize import minimize

        roles, size = len(self.rows.features), self.rows.features[0].shape[1]
        constant = int(np.flatnonzero((self.rows.features[0] == 1).all(axis=0))[0])
        start, penalties = np.zeros((roles, size)), np.full((roles, size), penalty)
        start[:, constant], penalties[:, constant] = _START, _LEAST
        whole = np.append(penalties.ravel(), _LEAST)
        found = minimize(self._loss, np.append(start.ravel(), _RARE), args=(whole,), jac=True, method="L-BFGS-B")
        return found.x[:-1].reshape(roles, size), float(1 / (1 + np.exp(-found.x[-1])))

    def log_likelihood(self, weights: F64, recovery: float) -> float:
        """Of all answers."""
        _, chances = self._chances(weights, recovery)
        return float(np.log(np.where(self.rows.correct, chances, 1 - chances)).sum())

    def _loss(self, values: F64, penalties: F64) -> tuple[float, F64]:
        """The penalised negative log-likelihood and its gradient."""
        rows, weights = self.rows, values[:-1].reshape(len(self.rows.features), -1)
        recovery = float(1 / (1 + np.exp(-values[-1])))
        steps, chances = self._chances(weights, recovery)
        sound = (chances - recovery) / (1 - recovery)
        slopes = np.where(rows.correct, (1 - recovery) * sound / chances, -sound / np.maximum(1 - sound, _LEAST))
        gradient = [
            (slopes[attempts] * (1 - own)) @ features
            for features, attempts, own in zip(rows.features, rows.attempts, steps, strict=True)
        ]
        recovered = np.where(rows.correct, (1 - sound) * recovery * (1 - recovery) / chances, -recovery).sum()
        loss = 0.5 * float(penalties @ values**2) - self.log_likelihood(weights, recovery)
        return loss, penalties * values - np.append(np.concatenate(gradient), recovered)

    def _chances(self, weights: F64, recovery: float) -> tuple[list[F64], F64]:
        """P(step is correct), (step,) of each role, and P(answer is correct), (attempt,)."""
        rows, logs = self.rows, np.zeros(len(self.rows.correct))
        odds = [features @ own for features, own in zip(rows.features, weights, strict=True)]
        for attempts, own in zip(rows.attempts, odds, strict=True):
            logs += np.bincount(attempts, -np.logaddexp(0, -own), len(logs))
        chances = recovery + (1 - recovery) * np.exp(logs)
        return [1 / (1 + np.exp(-own)) for own in odds], np.clip(chances, _LEAST, 1 - _LEAST)
