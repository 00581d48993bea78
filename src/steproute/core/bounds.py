"""Whole numbers that a user gives, checked before anything is made of them."""

from math import isfinite
from typing import Final

from steproute.core.errors import ConfigError

LARGEST_SEED: Final = 2**32 - 1
"""The largest that every library takes which draws by a seed."""
MOST_PROBLEMS: Final = 10_000_000
"""More than any data set has; the lab's problems have no end, and a run holds all of its problems."""


def check_between(name: str, value: int, least: int, most: int, remedy: str) -> None:
    """Raises ConfigError that names the setting, the value and the remedy, for one below `least` or above `most`."""
    if not least <= value <= most:
        bound = f"below {least}" if value < least else f"above {most}"
        raise ConfigError(f"{value} is {bound}. {remedy}", where=name)


def check_seed(name: str, seed: int) -> None:
    """Raises ConfigError for a seed that some library does not take."""
    check_between(name, seed, 0, LARGEST_SEED, f"Give a whole number from 0 to {LARGEST_SEED}.")


def check_whole(name: str, value: float) -> None:
    """Raises ConfigError that names `name` for a number of steps that is not whole, or below 0."""
    if not (isfinite(value) and value >= 0 and value == int(value)):
        raise ConfigError(f"{value:g} is no number of steps.", where=name, remedy="Give 0 or more.")
