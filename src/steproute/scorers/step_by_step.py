"""Scores of all steps, out of judgements of the newest one that are made once in a session."""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from steproute.core.concurrency import KeyedLock
from steproute.core.solution import Meter, ModelCall, Prefix, Scores
from steproute.core.usage import Usage

_KEPT: Final = 65_536


class StepByStep:
    """Judges the steps of a prefix that are not known yet one after the other, up to the first failure.

    newest: scores the last step of a prefix alone. No more than one such call is under way for each `score`, so that a
    turn at a backend's limiter is one request.
    """

    def __init__(self, name: str, newest: Callable[[Prefix, Meter], Awaitable[Scores]]) -> None:
        self._name, self._newest = name, newest
        self._known: OrderedDict[bytes, float] = OrderedDict()
        self._under_way = KeyedLock()

    async def score(self, prefix: Prefix, meter: Meter) -> Scores:
        """One score per step, and the calls that were made for it; see StepScorer.score."""
        began = time.monotonic()
        keys = _keys(prefix)
        values = {number: self._known[key] for number, key in enumerate(keys) if key in self._known}
        calls: list[ModelCall] = []
        for number, key in enumerate(keys):
            if number not in values:
                judged = replace(prefix, steps=prefix.steps[: number + 1])
                values[number], made = await self._judge(judged, key, meter)
                calls += made
        return Scores(
            values=tuple(values[number] for number in range(len(keys))),
            model=self._name,
            usage=sum((call.usage for call in calls), Usage()),
            latency_s=time.monotonic() - began,
            calls=tuple(calls),
        )

    async def _judge(self, prefix: Prefix, key: bytes, meter: Meter) -> tuple[float, tuple[ModelCall, ...]]:
        """The newest step's score, which is remembered, and its call; none if another one brought it meanwhile."""
        async with self._under_way.hold(key):
            if (known := self._known.get(key)) is not None:
                return known, ()
            scores = await self._newest(prefix, meter.part())
            (value,) = scores.values
            self._known[key] = value
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)
            return value, scores.billed


def _keys(prefix: Prefix) -> list[bytes]:
    """One for each step: the session, the problem and all steps up to it."""
    digest = hashlib.blake2b(repr((prefix.session, prefix.problem.canonical)).encode(), digest_size=16)
    keys = []
    for step in prefix.steps:
        digest.update(repr(step.text).encode())
        keys.append(digest.digest())
    return keys
