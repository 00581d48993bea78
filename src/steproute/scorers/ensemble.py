"""Several scorers as one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

from steproute.core.concurrency import gather_or_cancel
from steproute.core.errors import ConfigError, ScorerError
from steproute.core.ports import READS_AUTHORS, READS_CONFIDENCE, StepScorer
from steproute.core.settings import settings_of
from steproute.core.solution import Meter, Prefix, Scores
from steproute.core.usage import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsembleSettings:
    """combine: a step's score is the members' mean, lowest or product, or their mean by `weights`, one a member.

    Raises ConfigError for weights that are not above 0, and for some without `weighted`.
    """

    combine: Literal["mean", "min", "product", "weighted"] = "mean"
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if bool(self.weights) != (self.combine == "weighted"):
            raise ConfigError(
                f"{self.weights} with combine = {self.combine!r}. 'weighted' alone needs them.", where="weights"
            )
        if not all(weight > 0 for weight in self.weights):
            raise ConfigError(
                f"{self.weights} holds one that is not above 0.", where="weights", remedy="Leave that member out."
            )


class EnsembleScorer:
    """A StepScorer made of others, which are asked at the same time.

    In an episode its members keep their own limiters, retries, prices and account lines. Raises ConfigError if it has
    no members, or not one weight for each.
    """

    def __init__(
        self, name: str, members: Sequence[StepScorer], settings: EnsembleSettings = EnsembleSettings()
    ) -> None:
        self.name, self.settings, self._members = name, settings, tuple(members)
        if not self._members:
            raise ConfigError("is empty.", where="of", remedy="Name the scorers that the ensemble is made of.")
        if settings.weights and len(settings.weights) != len(self._members):
            raise ConfigError(
                f"{len(settings.weights)} for {len(self._members)} members.",
                where="weights",
                remedy="Give one for each.",
            )

    @classmethod
    def from_settings(cls, name: str, table: Mapping[str, Any]) -> "EnsembleScorer":
        """From a table of `steproute.toml`: the scorers themselves as `of`, and the fields of EnsembleSettings.

        Raises ConfigError.
        """
        own = {key: value for key, value in table.items() if key != "of"}
        return cls(name, table.get("of", ()), settings_of(own, EnsembleSettings))

    @property
    def reads_confidence(self) -> bool:
        """Whether a member reads the writers' confidence instead of text."""
        return any(map(READS_CONFIDENCE.of, self._members))

    @property
    def reads_authors(self) -> bool:
        """Whether a member reads who wrote the steps."""
        return any(map(READS_AUTHORS.of, self._members))

    async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
        """One score per step. Raises the first member's ScorerError or BackendError and cancels the other members."""
        meter = meter or Meter()
        return self.combined(await gather_or_cancel(*(member.score(prefix, meter.part()) for member in self._members)))

    def combined(self, scores: Sequence[Scores]) -> Scores:
        """The members' scores as one. Raises ScorerError if they are not of the same number of steps."""
        counts = [len(each.values) for each in scores]
        if len(set(counts)) != 1:
            given = ", ".join(f"{count} by {each.model}" for count, each in zip(counts, scores, strict=True))
            raise ScorerError(f"its members do not give one score per step each: {given}", where=self.name)
        return Scores(
            values=tuple(map(self._one, zip(*(each.values for each in scores), strict=True))),
            model=self.name,
            usage=sum((each.usage for each in scores), Usage()),
            latency_s=max(each.latency_s for each in scores),
            calls=tuple(call for each in scores for call in each.billed),
        )

    def _one(self, values: Sequence[float]) -> float:
        match self.settings.combine:
            case "min":
                return min(values)
            case "product":
                return prod(values)
        weights = self.settings.weights or (1.0,) * len(values)
        return sum(weight * value for weight, value in zip(weights, values, strict=True)) / sum(weights)
