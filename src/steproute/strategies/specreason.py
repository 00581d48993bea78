"""SpecReason: the strong model grades every step of the weak model and rewrites those with a low grade."""

from dataclasses import dataclass

from steproute.strategies.stepwise import Stepwise


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecReason(Stepwise):
    """SpecReason (arXiv 2504.07891): TRIM's loop with the strong model as the scorer, which costs its price per token
    that it reads."""

    judge: str = "strong"
