"""The repair of false equalities: their values are calculated again."""

from dataclasses import dataclass

from steproute.core.solution import Prefix
from steproute.tools.arithmetic import corrected


@dataclass(frozen=True, slots=True)
class ArithmeticRepair:
    """Replaces the value of each false equality of a step, and the later uses of that value in the step.

    The choice of the calculation stays the model's: `3 * 4 = 11` becomes `3 * 4 = 12`, whether or not a product was to
    be calculated.
    """

    def repaired(self, prefix: Prefix, text: str) -> str | None:
        """The step with exact values; None if nothing is false, or if it cannot be corrected by one number."""
        return corrected(text)
