"""A scorer of an agent's turns. One that judges each step by a call of its own judges no turn twice.

A conversation may have hundreds of turns, and each judgement reads all that is before its turn. So a judge is asked about
no more than two of them, and a turn whose score is not known counts as if it were not there.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from steproute.core.ports import READS_AUTHORS, NewestStepScorer
from steproute.core.solution import Meter, ModelCall, Prefix, Scores
from steproute.core.usage import Usage
from steproute.core.usage_bounds import most_scored
from steproute.engine.roles import ScorerRole
from steproute.serve.turn_memory import Conversation, TurnMemory


_UNKNOWN: Final = 1.0
"""The score of a turn of which nothing is known: the one by which no minimum and no product of scores changes."""
_MOST_JUDGED: Final = 2


class TurnScorer:
    """Judges the newest turn of one conversation, and the one before it if this process has accepted that unjudged."""

    def __init__(self, role: str, scorer: NewestStepScorer, conversation: Conversation, memory: TurnMemory) -> None:
        self.name, self.reads_authors = scorer.name, READS_AUTHORS.of(scorer)
        self._role, self._scorer = role, scorer
        self._conversation, self._memory = conversation, memory

    def most_usage(self, prefix: Prefix) -> Usage:
        """See BoundedScorer."""
        judged = (_up_to(prefix, number) for number in self._unjudged(self._keys(prefix)))
        return sum((most_scored(self._scorer, each) for each in judged), Usage())

    async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
        """One score per turn. Raises as the scorer does, with all that was judged until then remembered."""
        meter, began = meter or Meter(), time.monotonic()
        keys, calls = self._keys(prefix), list[ModelCall]()
        for number in self._unjudged(keys):
            scores = await self._scorer.score_newest(_up_to(prefix, number), meter.part())
            (value,), billed = scores.values, scores.billed
            calls += billed
            self._memory.keep_score(keys[number], self._role, value)
        known = [self._memory.score(key, self._role) for key in keys]
        return Scores(
            values=tuple(_UNKNOWN if score is None else score for score in known),
            model=self.name,
            usage=sum((call.usage for call in calls), Usage()),
            latency_s=time.monotonic() - began,
            calls=tuple(calls),
        )

    def _unjudged(self, keys: Sequence[bytes]) -> Iterator[int]:
        """The places of the turns to judge, in their order."""
        for number in range(max(0, len(keys) - _MOST_JUDGED), len(keys)):
            is_own = number == len(keys) - 1 or self._memory.turn(keys[number]) is not None
            if is_own and self._memory.score(keys[number], self._role) is None:
                yield number

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
