"""The checker of the embedded worlds as a step scorer: a judge that is never wrong, for upper bounds."""

from typing import ClassVar, Final

from steproute.core.solution import Meter, Prefix, Scores
from steproute.core.usage import NOTHING_USED, Usage
from steproute.lab.checker import StepLabel
from steproute.lab.labels import step_labels

CHECKER: Final = "checker"
"""Its role among the embedded scorers."""


class CheckingScorer:
    """Scores 1 for a correct step on a correct prefix, else 0, at no cost."""

    name: ClassVar[str] = "lab-checker"

    def most_usage(self, prefix: Prefix) -> Usage:
        """Nothing."""
        return NOTHING_USED

    async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
        """One score per step. Raises DatasetError for a problem that is of no embedded world."""
        labels = step_labels(prefix.problem, prefix.texts)
        values = tuple(float(label is StepLabel.CORRECT) for label in labels)
        return Scores(values=values, model=self.name, usage=NOTHING_USED)
