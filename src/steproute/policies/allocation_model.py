"""An allocation that was fitted: each role's chance at a sub-task by its words, and what reading and writing take."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from steproute.artifacts import Artifact, UnsoundArtifact, read_artifact, sound_arrays, sound_number
from steproute.core.arrays import F64
from steproute.core.errors import ArtifactError, ConfigError
from steproute.core.solution import Confidence, Step
from steproute.core.usage import Price, Usage
from steproute.policies.allocation import Outline, Tariff, most_valuable
from steproute.policies.query import TfIdf

ALLOCATION: Final = "allocation"
_LEAST_LOGPROB: Final = -5.0
_NUMBER: Final = re.compile(r"\d+(?:\.\d+)?")
_NAME: Final = re.compile(r"(?<=[\w,] )[A-Z]\w+")
_NUMBERS: Final = ("recovery", "read_per_character", "characters", "subtasks")
_REMEDY: Final = "Fit it again with steproute.learn.allocation_fit."


@dataclass(frozen=True, kw_only=True)
class AllocationModel:
    """P(the step is correct | those before it are), for each role and sub-task.

    roles: from the cheapest to the most expensive. weights: (role, feature), those of `subtask_features`; sure: (role,
    feature + 2), once the step is there, with its author's mean and least log-probability. recovery: the chance of a
    correct answer despite an incorrect step. step_tokens: (role,), written for a sub-task. read_per_character: tokens
    read before the first step, per character of the problem. characters, subtasks: of the usual problem.
    """

    text: TfIdf
    roles: tuple[str, ...]
    weights: F64
    sure: F64
    step_tokens: F64
    recovery: float
    read_per_character: float
    characters: float
    subtasks: float

    def __post_init__(self) -> None:
        size, count = len(subtask_features(self.text, "", 0, 1)), len(self.roles)
        if not (self.weights.shape == (count, size) and self.sure.shape == (count, size + 2)):
            raise ConfigError(f"shapes {self.weights.shape}, {self.sure.shape} for {count} roles.", where="weights")
        if self.step_tokens.shape != (count,) or not count:
            raise ConfigError(f"shape {self.step_tokens.shape} for {count} roles.", where="step_tokens")
        if not 0 <= self.recovery < 1:
            raise ConfigError(f"{self.recovery:g} is outside [0, 1).", where="recovery")

    def at(self, price: float) -> "Allocation":
        """The allocator at a price of the most expensive role's usual solution, in correct answers."""
        return Allocation(self, price)

    def features(self, subtasks: Sequence[str]) -> F64:
        """(subtask, feature)."""
        return np.array([subtask_features(self.text, each, i, len(subtasks)) for i, each in enumerate(subtasks)])

    def chances(self, features: F64) -> F64:
        """P(correct) of each role, (subtask, role)."""
        return _logistic(features @ self.weights.T)

    def chance_so_far(self, features: F64, steps: Sequence[Step]) -> float:
        """P(all steps are correct), given how sure their authors were; those that were never asked for it count 1."""
        return float(np.prod([self._judged(row, step) for row, step in zip(features, steps, strict=False)]))

    def _judged(self, features: F64, step: Step) -> float:
        if step.role not in self.roles or step.confidence is None:
            return 1.0
        seen = np.array([*features, *confidence_features(step.confidence)])
        return float(_logistic(self.sure[self.roles.index(step.role)] @ seen))

    def tariff(self, outline: Outline) -> Tariff:
        """What is left costs, in usual solutions of the most expensive role."""
        done = outline.steps
        written = float(sum(step.tokens for step in done))
        left = len(outline.subtasks) - len(done)
        unit = self._priced(outline.prices, self.characters, 0.0, round(self.subtasks))
        whole = self._priced(outline.prices, len(outline.problem), written, left)
        usual = float(unit["writing"][:, -1].sum() + unit["switching"][0, -1]) or 1.0
        newest = done[-1].role if done else ""
        return Tariff(
            **{name: dollars / usual for name, dollars in whole.items()},
            before=self.roles.index(newest) if newest in self.roles else -1,
            closes=outline.closes,
        )

    def _priced(self, prices: Mapping[str, Price], characters: float, written: float, count: int) -> dict[str, F64]:
        """Dollars of `count` sub-tasks after so many written tokens, each (subtask, role)."""
        read = self.read_per_character * characters + written + self.step_tokens.mean() * np.arange(count)
        own = [prices[role] for role in self.roles]
        fresh, cached = (
            np.array([float(price.cost(one)) for price in own])
            for one in (Usage(input_tokens=1), Usage(cache_read_tokens=1))
        )
        output = np.array([float(price.output) / 1e6 for price in own])
        return {
            "writing": np.tile(output * self.step_tokens, (count, 1)),
            "keeping": read[:, None] * cached,
            "switching": read[:, None] * fresh,
        }


@dataclass(frozen=True, slots=True)
class Allocation:
    """Chooses the allocation of greatest P(correct answer) − price · cost."""

    model: AllocationModel
    price: float

    @property
    def roles(self) -> tuple[str, ...]:
        """From the cheapest to the most expensive."""
        return self.model.roles

    def allocate(self, outline: Outline) -> tuple[str, ...]:
        """One role for each sub-task that is left. If the steps so far are hopeless, it is a cheap one."""
        model, features = self.model, self.model.features(outline.subtasks)
        left = features[len(outline.steps) :]
        worth = (1 - model.recovery) * model.chance_so_far(features, outline.steps)
        best = most_valuable(np.log(model.chances(left)), model.tariff(outline), worth, self.price)
        return tuple(model.roles[index] for index in best)


def masked(text: str) -> str:
    """A sub-task with its numbers and names alike, so that what counts is the kind of work."""
    return _NAME.sub("name", _NUMBER.sub("0", text))


def subtask_features(text: TfIdf, subtask: str, index: int, count: int) -> F64:
    """Terms of the masked sub-task, 1, the logarithms of its place and of its length, and whether it is the last."""
    words = len(subtask.split())
    return np.array(
        [*text.vector(masked(subtask)), 1.0, np.log(1 + index), np.log(1 + words), float(index == count - 1)]
    )


def confidence_features(confidence: Confidence) -> tuple[float, float]:
    """The mean and the least log-probability, not below a bound."""
    return max(confidence.mean_logprob, _LEAST_LOGPROB), max(confidence.min_logprob, _LEAST_LOGPROB)


def allocation_artifact(model: AllocationModel, facts: Mapping[str, Any]) -> Artifact:
    """A fitted allocation as an artefact; `facts` say what it was fitted on."""
    arrays = {"idf": model.text.idf, "weights": model.weights, "sure": model.sure, "step_tokens": model.step_tokens}
    own = {name: getattr(model, name) for name in _NUMBERS}
    return Artifact(
        kind=ALLOCATION,
        arrays=arrays,
        facts={**facts, **own, "terms": list(model.text.terms), "roles": list(model.roles)},
    )


def load_allocation(folder: Path) -> AllocationModel:
    """A fitted allocation from its folder; raises ArtifactError if it is missing, damaged or of another kind."""
    try:
        return _built(read_artifact(folder), folder)
    except UnsoundArtifact as failure:
        raise ArtifactError(f"{failure.message}.", where="allocation", remedy=_REMEDY) from None
    except ConfigError as failure:
        raise ArtifactError(failure.message, where=f"allocation: {failure.where}", remedy=_REMEDY) from None


def _built(artifact: Artifact, folder: Path) -> AllocationModel:
    if artifact.kind != ALLOCATION:
        raise UnsoundArtifact(f"{folder} is of kind {artifact.kind!r}, not an {ALLOCATION}")
    arrays = sound_arrays(artifact, idf=1, weights=2, sure=2, step_tokens=1)
    numbers = {name: sound_number(artifact.facts, name) for name in _NUMBERS}
    text = TfIdf(_names(artifact, "terms"), arrays["idf"])
    return AllocationModel(
        text=text,
        roles=_names(artifact, "roles"),
        weights=arrays["weights"],
        sure=arrays["sure"],
        step_tokens=arrays["step_tokens"],
        **numbers,
    )


def _names(artifact: Artifact, field: str) -> tuple[str, ...]:
    names = artifact.facts.get(field)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UnsoundArtifact(f"{field}: {names!r:.80} is no list of names")
    return tuple(names)


def _logistic(values: F64) -> F64:
    chances: F64 = np.clip(1 / (1 + np.exp(-values)), 1e-9, 1 - 1e-9)
    return chances
