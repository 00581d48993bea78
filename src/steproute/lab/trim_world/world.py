"""The world's problems: which there are, and how difficult each of them is."""

from collections.abc import Iterator
from math import exp
from statistics import NormalDist
from typing import Final, Literal, get_args

from steproute.core.errors import DatasetError
from steproute.core.problem import Problem
from steproute.core.seeded import hash_64
from steproute.lab.trim_world.parameters import WorldParameters, load_parameters

Split = Literal["train", "validation", "test"]
NAME: Final = "trim-world"
_ANSWERS: Final = 1000
_NORMAL: Final = NormalDist()


def is_trim_world(data: str) -> bool:
    """Whether a data set's name is one of this world's: trim-world, trim-world:train, trim-world:test/spread."""
    return data.partition(":")[0] == NAME


def generate(variant: str, seed: int, parameters: WorldParameters | None = None) -> Iterator[Problem]:
    """Problems without end. `variant` is SPLIT or SPLIT/ASSUMPTION, such as `test/spread`; empty for test/published.

    A problem's tags hold each model's step accuracy on it. The same problem of two assumptions has the same id, and so
    the same draws. Raises DatasetError for an unknown split or assumption.
    """
    parameters = parameters or load_parameters()
    split, _, name = variant.partition("/")
    split, name = split or "test", name or "published"
    if split not in get_args(Split):
        raise DatasetError(f"{NAME} has no split {split!r}.", where="data", remedy=f"Use {', '.join(get_args(Split))}.")
    if name not in parameters.assumptions:
        raise DatasetError(
            f"{NAME} has no assumption {name!r}.", where="data", remedy=f"Use {', '.join(parameters.assumptions)}."
        )
    assumption, index = parameters.assumptions[name], 0
    while True:
        problem_id = f"trim-{split}-{seed}-{index}"
        draw = hash_64(f"difficulty/{problem_id}")
        difficulty = _NORMAL.inv_cdf(((draw >> 11) + 0.5) * 2.0**-53)
        logits = {model: logit - assumption.spread * difficulty for model, logit in assumption.logits.items()}
        yield Problem.ask(
            id=problem_id,
            text=f"Problem {index} of {NAME}:{split}/{name}, seed {seed}.",
            answer=str(draw % _ANSWERS),
            tags={model: repr(1 / (1 + exp(-logit))) for model, logit in logits.items()},
        )
        index += 1
