"""TRIM-POMDP's published parameters, as shipped in `parameters.json`. Card: docs/reference/trim-world-card.md."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

import msgspec
import numpy as np

from steproute.core.arrays import F64
from steproute.core.errors import ConfigError

WEAK: Final = "trim-weak"
STRONG: Final = "trim-strong"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelParameters:
    """One model. step_accuracy: P(next step correct | correct prefix), as published. step_tokens: mean per step.

    hazard: hazard[n] is P(a solution has n steps | it has at least n); the last entry is 1.
    """

    step_accuracy: float
    step_tokens: float
    hazard: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumption:
    """How step accuracy varies between problems: sigmoid(logit − spread · z), with one z ~ N(0, 1) per problem.

    logits: of each model, by name. A spread of 0 gives every problem the same accuracy.
    """

    logits: Mapping[str, float]
    spread: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedPoint:
    """One point of a published curve; strong_tokens is the mean per problem."""

    knob: float
    accuracy: float
    strong_tokens: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldParameters:
    """Everything that decides the world's draws, and the published curves to compare with.

    observations: (3, bins, bins), P(bin of the minimum previous score, bin of the newest score | state), for the states
    on track, derailed, newest step is the first error. token_spread: σ of a step's log-normal token count.
    prompt_tokens: of a problem. Raises ConfigError for numbers that define no world.
    """

    models: Mapping[str, ModelParameters]
    observations: F64
    token_spread: float
    prompt_tokens: int
    assumptions: Mapping[str, Assumption]
    curves: Mapping[str, tuple[PublishedPoint, ...]]

    def __post_init__(self) -> None:
        for name, model in self.models.items():
            if not 0 <= model.step_accuracy <= 1:
                raise ConfigError(f"{model.step_accuracy} is outside [0, 1].", where=f"models.{name}.step_accuracy")
            if not model.hazard or model.hazard[-1] != 1 or not all(0 <= h <= 1 for h in model.hazard):
                raise ConfigError("has to be probabilities that end with 1.", where=f"models.{name}.hazard")
        if self.observations.ndim != 3 or not (self.observations.sum(2) > 0).all():
            raise ConfigError(f"{self.observations.shape} has a row without probability.", where="observations")


@cache
def load_parameters() -> WorldParameters:
    """The parameters in the package."""
    text = (files("steproute.lab.trim_world") / "parameters.json").read_bytes()
    return parameters_from(msgspec.json.decode(text))


def parameters_from(document: dict[str, Any]) -> WorldParameters:
    """Parameters from a decoded `parameters.json`. Each state's observations are normalised, against rounding."""
    observations = np.array(document["observations"], float)
    return WorldParameters(
        models=msgspec.convert(document["models"], dict[str, ModelParameters]),
        observations=observations / observations.sum((1, 2), keepdims=True),
        token_spread=document["token_spread"],
        prompt_tokens=document["prompt_tokens"],
        assumptions=msgspec.convert(document["assumptions"], dict[str, Assumption]),
        curves={
            name: tuple(
                PublishedPoint(knob=knob, accuracy=accuracy, strong_tokens=tokens) for knob, accuracy, tokens in rows
            )
            for name, rows in document["curves"].items()
        },
    )
