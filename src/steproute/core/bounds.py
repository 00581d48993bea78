"""Whole numbers that a user gives, checked before anything is made of them."""

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
