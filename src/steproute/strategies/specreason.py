"""SpecReason: strong reads every weak step and grades it; it writes only those that it grades too low."""

from dataclasses import dataclass

from steproute.strategies.stepwise import Stepwise


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecReason(Stepwise):
    """SpecReason (arXiv 2504.07891): TRIM's loop with strong as the judge, which is paid for reading at its price."""

    judge: str = "strong"
