"""Scripted agents of the house, and scorers that know or guess whether an action brings the goal nearer."""

import random
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import ClassVar, Final

from steproute.core.ports import ModelCapabilities
from steproute.core.seeded import uniform
from steproute.core.solution import Draft, Meter, Prefix, Sampling, Scores, Stop
from steproute.core.usage import Price, Usage
from steproute.environments.house.game import House
from steproute.environments.replaying import Replaying, task_of

ERRORS: Final[Mapping[str, Mapping[str, float]]] = {
    "house-weak": {"go": 0.15, "take": 0.10, "unlock": 0.20, "put": 0.35, "drop": 0.10},
    "house-mid": {"go": 0.06, "take": 0.04, "unlock": 0.08, "put": 0.12, "drop": 0.04},
    "house-strong": {"go": 0.01, "take": 0.01, "unlock": 0.02, "put": 0.02, "drop": 0.01},
}
"""The chance that an agent errs, by the kind of the right action."""
_TABLE: Final = "house, assumed"
PRICES: Final[Mapping[str, Price]] = {
    "house-weak": Price(input=Decimal("0.1"), output=Decimal("0.4"), table=_TABLE),
    "house-mid": Price(input=Decimal("0.4"), output=Decimal("1.6"), table=_TABLE),
    "house-strong": Price(input=Decimal("2"), output=Decimal("8"), table=_TABLE),
    "house-prm": Price(input=Decimal("0.1"), output=Decimal(0), table=_TABLE),
}
_NOISE: Final = 0.4
_BYTES_A_TOKEN: Final = 4


class HouseEnvironment(Replaying):
    """The environment `house`."""

    def __init__(self) -> None:
        super().__init__(House)


class HouseAgent:
    """A scripted agent that knows the right action and errs with the chances `ERRORS[name]`."""

    capabilities: ClassVar[ModelCapabilities] = ModelCapabilities(logprobs=False, subtasks=False)

    def __init__(self, name: str = "house-weak") -> None:
        self.name = name

    async def propose(
        self, prefix: Prefix, n: int = 1, sampling: Sampling = Sampling(), meter: Meter | None = None
    ) -> list[Draft]:
        """`n` drafts; see StepModel.propose."""
        game = House(task_of(prefix.problem))
        for step in prefix.written:
            game.act(step.text)
        drafts = [self._draft(game, prefix, random.Random(sampling.seed + index)) for index in range(n)]
        if meter is not None:
            meter.usage = sum((draft.usage for draft in drafts), meter.usage)
        return drafts

    def _draft(self, game: House, prefix: Prefix, draw: random.Random) -> Draft:
        action = game.best_action()
        if draw.random() < ERRORS[self.name][action.partition("(")[0]]:
            action = draw.choice([*_mistakes(game, action)])
        text = f"I look for a way to the goal.\nAction: {action}"
        usage = Usage(input_tokens=_tokens(prefix), output_tokens=len(text) // _BYTES_A_TOKEN)
        return Draft(model=self.name, text=text, stop=Stop.SEPARATOR, usage=usage)


class HouseProgress:
    """1 for an action that brings the goal nearer, else 0. `noise` is added, uniform and symmetric around it."""

    def __init__(self, name: str = "house-progress", noise: float = 0.0) -> None:
        self.name, self._noise = name, noise

    async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
        """One score per step; see StepScorer.score."""
        usage = Usage(input_tokens=_tokens(prefix) if self._noise else 0)
        if meter is not None:
            meter.usage = usage
        return Scores(values=tuple(self._values(prefix)), model=self.name, usage=usage)

    def _values(self, prefix: Prefix) -> Iterator[float]:
        task = task_of(prefix.problem)
        game, before = House(task), 0
        before = game.remaining()
        for number, step in enumerate(prefix.steps):
            response = game.act(step.text)
            after = 0 if response.ends else game.remaining()
            right = bool(response.reward) if response.ends else after < before
            before = after
            action = step.text.partition(prefix.separator)[0]
            chance = uniform(f"{self.name}/{task}/{number}/{action}")
            exact = 0.25 + 0.5 * right if self._noise else float(right)
            yield min(1.0, max(0.0, exact + self._noise * (2 * chance - 1)))


def noisy_scorer() -> HouseProgress:
    """The analogue of a process reward model."""
    return HouseProgress("house-prm", _NOISE)


def _mistakes(game: House, right: str) -> Iterator[str]:
    """Other actions that the agent could take here; those of a room's places, if it is to put the thing."""
    yield from (f"go({room})" for room in game.doors[game.room] if f"go({room})" != right)
    if right.startswith("put"):
        yield from (f"put({game.room} {place})" for place in ("table", "shelf") if not right.endswith(f" {place})"))
    if not game.holds:
        yield from (f"take({x})" for x, at in game.where.items() if at == game.room and f"take({x})" != right)
    yield "take(box)"


def _tokens(prefix: Prefix) -> int:
    return (len(prefix.problem.text) + len(prefix.text)) // _BYTES_A_TOKEN
