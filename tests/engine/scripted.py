"""Models and scorers whose every reply a test writes down: real ones give no faults on demand."""

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from steproute import Draft, Meter, Prefix, Sampling, Scores, SteprouteError, Stop, Usage
from steproute.core.errors import ScorerError


@dataclass(frozen=True, slots=True)
class Say:
    """A draft of so many tokens."""

    text: str
    tokens: int = 5
    stop: Stop = Stop.SEPARATOR


@dataclass(frozen=True, slots=True)
class Fail:
    """An error after so many generated tokens."""

    error: SteprouteError
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Hang:
    """So many tokens, then nothing more until the call is cancelled."""

    tokens: int = 3


class ScriptedModel:
    """Replies in order and counts what it generated; `asked` keeps each call's prefix and sampling."""

    def __init__(self, name: str, replies: Iterable[Say | Fail | Hang]) -> None:
        self.name = name
        self.replies = deque(replies)
        self.generated = 0
        self.asked: list[tuple[Prefix, Sampling]] = []

    async def propose(
        self, prefix: Prefix, n: int = 1, sampling: Sampling = Sampling(), meter: Meter | None = None
    ) -> list[Draft]:
        self.asked.append((prefix, sampling))
        drafts: list[Draft] = []
        for index in range(n):
            reply = self.replies.popleft() if self.replies else Say("so \\boxed{1}")
            tokens, stop = reply.tokens, reply.stop if isinstance(reply, Say) else Stop.LENGTH
            if tokens > sampling.max_tokens:
                tokens, stop = sampling.max_tokens, Stop.LENGTH
            self.generated += tokens
            usage = Usage(input_tokens=0 if index else 10, output_tokens=tokens)
            if meter is not None:
                meter.usage = meter.usage + usage
            await asyncio.sleep(0)
            if isinstance(reply, Fail):
                raise reply.error
            if isinstance(reply, Hang):
                await asyncio.Event().wait()
                raise AssertionError("a hanging call can only be cancelled")
            drafts.append(Draft(model=self.name, text=reply.text, stop=stop, usage=usage))
        return drafts


class ScriptedScorer:
    """Gives the newest step the next score of its list, then 1.0; None in the list is a failure."""

    name = "scripted-prm"

    def __init__(self, scores: Iterable[float | None] = ()) -> None:
        self.scores = deque(scores)
        self.read = 0

    async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
        score = self.scores.popleft() if self.scores else 1.0
        self.read += 7
        if meter is not None:
            meter.usage = Usage(input_tokens=7)
        await asyncio.sleep(0)
        if score is None:
            raise ScorerError("scripted: down")
        values = (*[0.9] * (len(prefix.steps) - 1), score)
        return Scores(values=values, model=self.name, usage=Usage(input_tokens=7))
