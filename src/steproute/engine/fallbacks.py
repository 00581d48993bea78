"""What an episode does without, as its limits declare."""

from steproute.core.decision import Accept, Decision, Rewrite
from steproute.core.errors import BackendError, ScorerError
from steproute.core.trace import Fallback
from steproute.core.writable import writable
from steproute.engine.endings import named
from steproute.engine.limits import Limits


class Fallbacks:
    """The failures that a solution continues without, and its notes, which tell a reader what was done instead.

    stand_ins: the ids of drafts by a role that wrote for one that failed. They are kept whatever their scores.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.failures: list[Fallback] = []
        self.notes: list[str] = []
        self.stand_ins: set[int] = set()

    def keep_draft(self, failure: BackendError, role: str, step: int) -> bool:
        """Whether the draft that the failed role was to replace is accepted. Raises a failure that will not pass."""
        if self._limits.on_strong_failure == "fail":
            return False
        self._add(failure, role, f"step {step}: {role} failed ({failure}); the draft was accepted")
        return True

    def use_stand_in(self, failure: BackendError, role: str, step: int, stand_in: str) -> bool:
        """Whether another role writes the step for the failed one. Raises a failure that will not pass."""
        if self._limits.on_weak_failure == "fail":
            return False
        self._add(failure, role, f"step {step}: {role} failed ({failure}); {stand_in} wrote it")
        return True

    def go_unscored(self, failure: BackendError | ScorerError, role: str, step: int) -> bool:
        """Whether `unscored_decision` is made about the step. Raises a failure that will not pass."""
        declared = self._limits.on_scorer_failure
        if declared == "fail":
            return False
        self._add(failure, role, f"step {step}: the scorer failed ({failure}); {declared} as declared")
        return True

    @property
    def unscored_decision(self) -> Decision:
        """The declared decision about a draft whose scorer failed."""
        return Accept() if self._limits.on_scorer_failure == "accept" else Rewrite("strong")

    def _add(self, failure: BackendError | ScorerError, role: str, note: str) -> None:
        if failure.is_lasting:
            raise failure
        self.failures.append(Fallback(role=failure.role or role, reason=writable(named(failure))))
        self.notes.append(writable(note))
