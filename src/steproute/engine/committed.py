"""The solution so far: its prefix, the notes on its steps and the drafts that are accepted."""

from collections.abc import Callable
from dataclasses import replace

from steproute.core.decision import Decision
from steproute.core.events import Accepted, Decided, Event, Scored
from steproute.core.solution import Draft, Prefix, Scores, Step
from steproute.core.usage import Purpose
from steproute.engine.account import Account
from steproute.engine.steps import DecidedDraft, shared_steps, steps_of, with_decision, with_scores


class Committed:
    """Holds the committed prefix, and settles on the account what becomes of its drafts."""

    def __init__(self, prefix: Prefix, account: Account, emit: Callable[[Event], None]) -> None:
        self.prefix = prefix
        self._account, self._emit = account, emit
        self._newest: DecidedDraft | None = None

    def note_scores(self, prefix: Prefix, scores: Scores) -> None:
        """Put the scores of a prefix on the committed steps, if it is this one."""
        self._emit(Scored(scores))
        if prefix is self.prefix or prefix.text == self.prefix.text:
            self.prefix = with_scores(self.prefix, scores.values)

    def note_decision(self, draft: Draft, scores: tuple[float, ...] | None, decision: Decision) -> None:
        """Remember the newest decision for the step that comes of it."""
        self._newest = DecidedDraft(draft, scores, decision)
        self._emit(Decided(decision, draft, scores[-1] if scores else None))

    def steps_of(self, draft: Draft) -> tuple[Step, ...]:
        """The steps of a draft that is about to be accepted, with the newest decision."""
        steps = steps_of(draft, self.prefix.separator)
        return steps if self._newest is None else with_decision(steps, draft, self._newest)

    def accept(self, prefix: Prefix) -> Prefix:
        """Commit the prefix that the newest decision led to."""
        self._newest = None
        return self.commit(prefix)

    def commit(self, prefix: Prefix) -> Prefix:
        """Make a branch the solution. Its drafts are accepted, those of the solution before that it lacks discarded."""
        before, self.prefix = self.prefix, prefix
        if prefix.drafts[: len(before.drafts)] == before.drafts:  # it continues the solution, the usual case
            discarded, kept = 0, len(before.steps)
        else:
            discarded, kept = len(before.drafts), shared_steps(before, prefix)
        for draft in before.drafts[:discarded]:
            self._account.settle(draft, Purpose.DISCARDED)
        for draft in prefix.drafts[len(before.drafts) - discarded :]:
            self._account.settle(draft, Purpose.ACCEPTED)
        for step in prefix.steps[kept:]:
            self._emit(Accepted(step))
        return prefix

    def restart(self) -> Prefix:
        """Drop all steps, whose tokens are thereby discarded."""
        return self.commit(replace(self.prefix, steps=(), drafts=(), outcome=None))
