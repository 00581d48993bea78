"""Prefixes made longer by a draft: its steps, the environment's answer to them and how the solution ends there."""

from dataclasses import replace

from steproute.core.ports import Environment
from steproute.core.solution import ENVIRONMENT, Draft, Outcome, Prefix, Step
from steproute.engine.drafting import Drafting
from steproute.engine.endings import is_answered, outcome_after, outcome_of
from steproute.engine.metering import Blame
from steproute.engine.steps import steps_of, with_response


class Branches:
    """Extends prefixes of one problem. Nothing is committed, so it can be done from any prefix."""

    def __init__(self, environment: Environment | None, max_steps: int, drafting: Drafting) -> None:
        self._environment, self._max_steps, self._drafting = environment, max_steps, drafting

    def ending(self, prefix: Prefix, draft: Draft) -> tuple[Prefix, Outcome | None]:
        """The prefix with the draft's steps, before any answer of the environment, and how the solution ends there."""
        longer = prefix.extended(*steps_of(draft, prefix.separator))
        return longer, self._outcome_of(draft, longer)

    async def extended(self, prefix: Prefix, draft: Draft, steps: tuple[Step, ...]) -> Prefix:
        """The prefix with the draft and its steps, the environment's answer, and its outcome if the solution ends.

        Raises EnvironmentFailed.
        """
        longer = prefix.with_steps((*prefix.steps, *steps), (*prefix.drafts, draft.id))
        outcome = self._outcome_of(draft, longer)
        if self._environment is not None and is_answered(outcome):
            with Blame(ENVIRONMENT):
                response = await self._environment.respond(longer)
            longer = with_response(longer, response)
            outcome = outcome_after(response, longer, outcome, self._max_steps)
        return longer if longer.outcome is outcome else replace(longer, outcome=outcome)

    def _outcome_of(self, draft: Draft, prefix: Prefix) -> Outcome | None:
        return outcome_of(draft, prefix, self._max_steps, self._drafting.budget_of(draft))
