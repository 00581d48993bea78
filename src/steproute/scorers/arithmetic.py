"""A veto: steps that state a false equality."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from steproute.core.errors import ConfigError
from steproute.core.settings import settings_of
from steproute.core.solution import Meter, Prefix, Scores
from steproute.core.usage import Usage
from steproute.tools.arithmetic import is_false

FALSE: Final = 0.05
"""The score of a step with a false equality: one flag in twenty, at most, is at a step that people call correct."""
_KEPT: Final = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class ArithmeticSettings:
    """error_rate: the share of incorrect steps among those without a false equality.

    Such a step scores 1 − `error_rate`. Leave it at 0 in an ensemble with `combine = "min"`, where 1 is no opinion.
    Raises ConfigError for a share outside [0, 1].
    """

    error_rate: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.error_rate <= 1:
            raise ConfigError(
                f"{self.error_rate} is no share.", where="error_rate", remedy="Give a number from 0 to 1."
            )


class ArithmeticScorer:
    """A StepScorer without calls and costs: FALSE for a step that states a false equality, and else a constant.

    It says nothing about most steps. Use it beside a PRM, in an ensemble with `combine = "min"`.
    """

    def __init__(self, name: str = "arithmetic", settings: ArithmeticSettings = ArithmeticSettings()) -> None:
        self.name, self.settings = name, settings

    @classmethod
    def from_settings(cls, name: str, table: Mapping[str, Any]) -> "ArithmeticScorer":
        """From a table of `steproute.toml`: the fields of ArithmeticSettings. Raises ConfigError."""
        return cls(name, settings_of(table, ArithmeticSettings))

    async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
        """One score per step."""
        values = tuple(FALSE if _is_false(text) else 1 - self.settings.error_rate for text in prefix.texts)
        return Scores(values=values, model=self.name, usage=Usage())


@lru_cache(maxsize=_KEPT)
def _is_false(text: str) -> bool:
    """A loop scores each step again whenever a longer prefix is scored."""
    return is_false(text) is True
