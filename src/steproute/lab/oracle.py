"""The upper bound on the lab: a policy that knows the checker's verdict."""

from dataclasses import dataclass
from typing import ClassVar

from steproute.core.decision import Accept, Decision, Rewrite
from steproute.core.observation import Observation
from steproute.core.ports import Reading
from steproute.lab.checker import StepLabel
from steproute.lab.labels import step_labels


@dataclass(frozen=True, slots=True)
class Oracle:
    """Regenerate exactly the first incorrect step; after an error nothing can be saved, so nothing is spent."""

    knobs: ClassVar[tuple[float, ...]] = (1.0,)
    reads: ClassVar[frozenset[Reading]] = frozenset()
    takes_over: ClassVar[bool] = False

    @classmethod
    def at(cls, knob: float, seed: int) -> "Oracle":
        """The oracle has no knob."""
        return cls()

    def decide(self, observation: Observation) -> Decision:
        """Raises DatasetError for a problem that is of no embedded world."""
        texts = [*observation.prefix.texts, observation.draft.text]
        labels = step_labels(observation.prefix.problem, texts)
        return Rewrite("strong") if labels[-1] is StepLabel.FIRST_ERROR else Accept()
