"""A scorer of an agent's turns. One that judges each step by a call of its own judges no turn twice."""

import time
from dataclasses import replace

from steproute.core.ports import READS_AUTHORS, NewestStepScorer
from steproute.core.solution import Meter, ModelCall, Prefix, Scores
from steproute.core.usage import Usage
from steproute.core.usage_bounds import most_scored
from steproute.engine.roles import ScorerRole
from steproute.serve.turn_memory import Conversation, TurnMemory


class TurnScorer:
    """Judges the turns of one conversation that its memory does not know, one after the other."""

    def __init__(self, role: str, scorer: NewestStepScorer, conversation: Conversation, memory: TurnMemory) -> None:
        self.name, self.reads_authors = scorer.name, READS_AUTHORS.of(scorer)
        self._role, self._scorer = role, scorer
        self._conversation, self._memory = conversation, memory

    def most_usage(self, prefix: Prefix) -> Usage:
        """See BoundedScorer."""
        known = [self._memory.score(key, self._role) for key in self._keys(prefix)]
        judged = (_up_to(prefix, number) for number, score in enumerate(known) if score is None)
        return sum((most_scored(self._scorer, each) for each in judged), Usage())

    async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
        """One score per turn. Raises as the scorer does, with all that was judged until then remembered."""
        meter, began = meter or Meter(), time.monotonic()
        values, calls = [], list[ModelCall]()
        for number, key in enumerate(self._keys(prefix)):
            value = self._memory.score(key, self._role)
            if value is None:
                scores = await self._scorer.score_newest(_up_to(prefix, number), meter.part())
                (value,), billed = scores.values, scores.billed
                calls += billed
                self._memory.keep_score(key, self._role, value)
            values.append(value)
        return Scores(
            values=tuple(values),
            model=self.name,
            usage=sum((call.usage for call in calls), Usage()),
            latency_s=time.monotonic() - began,
            calls=tuple(calls),
        )

    def _keys(self, prefix: Prefix) -> list[bytes]:
        """Of the conversation's turns and, if there is one more, the newest."""
        known = self._conversation.keys
        further = prefix.texts[len(known) :]
        return [*known, *map(self._conversation.key_of_next, further)]


def scorer_of_turns(role: str, scorer: ScorerRole, conversation: Conversation, memory: TurnMemory) -> ScorerRole:
    """The scorer, and each member of an ensemble, for one conversation."""
    if scorer.members:
        members = {name: scorer_of_turns(name, each, conversation, memory) for name, each in scorer.members.items()}
        return replace(scorer, members=members)
    own = scorer.scorer
    if not (isinstance(own, NewestStepScorer) and own.judges_newest_alone):
        return scorer
    return replace(scorer, scorer=TurnScorer(role, own, conversation, memory))


def _up_to(prefix: Prefix, number: int) -> Prefix:
    return replace(prefix, steps=prefix.steps[: number + 1])
