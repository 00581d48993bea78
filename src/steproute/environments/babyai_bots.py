"""BabyAI's bot as an agent that errs, and scorers that compare actions with the bot's. Nothing is trained."""

import random
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any, ClassVar, Final

from steproute.core.ports import ModelCapabilities, Response
from steproute.core.seeded import uniform
from steproute.core.solution import Draft, Meter, Prefix, Sampling, Scores, Stop
from steproute.core.usage import Price, Usage
from steproute.environments.babyai import ACTIONS, BabyAiGame
from steproute.environments.replaying import Replaying, action_of, task_of

ERRORS: Final[Mapping[str, float]] = {"babyai-weak": 0.6, "babyai-mid": 0.3, "babyai-strong": 0.05}
"""The chance that a bot takes another action than its plan says."""
MOST_ACTIONS: Final = 20
"""Enough for the bot in levels with one room, so that an agent that errs runs out of them."""
PRM: Final = "babyai-noisy"
_TABLE: Final = "babyai, assumed"
PRICES: Final[Mapping[str, Price]] = {
    "babyai-weak": Price(input=Decimal("0.1"), output=Decimal("0.4"), table=_TABLE),
    "babyai-mid": Price(input=Decimal("0.4"), output=Decimal("1.6"), table=_TABLE),
    "babyai-strong": Price(input=Decimal("2"), output=Decimal("8"), table=_TABLE),
    PRM: Price(input=Decimal("0.1"), output=Decimal(0), table=_TABLE),
}
_NOISE: Final = 0.4
_BYTES_A_TOKEN: Final = 4


class PlannedGame:
    """A mission and the bot's plan for it. planned: the next action. good: which actions so far were the bot's."""

    def __init__(self, task: str) -> None:
        self._game = BabyAiGame(task)
        self.good: list[bool] = []
        self._bot = _bot(self._game.level)
        self.planned: str = ACTIONS[int(self._bot.replan(None))]

    def act(self, text: str) -> Response:
        """See Game."""
        action = action_of(text)
        self.good.append(action == self.planned)
        response = self._game.act(text)
        if not response.ends:
            self.planned = self._replanned(action)
        return response

    def _replanned(self, action: str) -> str:
        """The bot fails in some situations that its own actions do not lead to, a new one if it carries a thing."""
        with suppress(Exception):
            return ACTIONS[int(self._bot.replan(ACTIONS.index(action)))]
        self._bot = _bot(self._game.level)
        with suppress(Exception):
            return ACTIONS[int(self._bot.replan(None))]
        return "drop"


class BabyAiBotAgent:
    """The bot, which errs with the chance `ERRORS[name]`."""

    capabilities: ClassVar[ModelCapabilities] = ModelCapabilities(logprobs=False, example=False, plans=False)

    def __init__(self, name: str, games: Replaying[PlannedGame]) -> None:
        self.name, self._games = name, games

    async def propose(
        self, prefix: Prefix, n: int = 1, sampling: Sampling = Sampling(), meter: Meter | None = None
    ) -> list[Draft]:
        """`n` drafts; see StepModel.propose."""
        planned = self._games.game(prefix).planned
        drafts = [self._draft(planned, prefix, random.Random(sampling.seed + index)) for index in range(n)]
        if meter is not None:
            meter.usage = sum((draft.usage for draft in drafts), meter.usage)
        return drafts

    def _draft(self, planned: str, prefix: Prefix, draw: random.Random) -> Draft:
        errs = draw.random() < ERRORS[self.name]
        text = f"Action: {draw.choice([each for each in ACTIONS[:6] if each != planned]) if errs else planned}"
        usage = Usage(input_tokens=_tokens(prefix), output_tokens=len(text) // _BYTES_A_TOKEN)
        return Draft(model=self.name, text=text, stop=Stop.SEPARATOR, usage=usage)


class BabyAiScorer:
    """1 for the bot's action, else 0. With noise: 0.75 or 0.25, and uniform noise of 0.4 to each side, at a price."""

    def __init__(self, name: str, *, noisy: bool) -> None:
        self.name, self._noisy = name, noisy
        self._games = Replaying(PlannedGame)

    async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
        """One score per step; see StepScorer.score."""
        usage = Usage(input_tokens=_tokens(prefix) if self._noisy else 0)
        if meter is not None:
            meter.usage = usage
        values = tuple(
            self._noised(prefix, number, good) if self._noisy else float(good)
            for number, good in enumerate(self._games.game(prefix).good)
        )
        return Scores(values=values, model=self.name, usage=usage)

    def _noised(self, prefix: Prefix, number: int, good: bool) -> float:
        chance = uniform(f"{self.name}/{task_of(prefix.problem)}/{number}/{action_of(prefix.steps[number].text)}")
        return min(1.0, max(0.0, 0.25 + 0.5 * good + _NOISE * (2 * chance - 1)))


def _bot(level: Any) -> Any:
    from minigrid.utils.baby_ai_bot import BabyAIBot

    kind: Any = BabyAIBot
    return kind(level)


def _tokens(prefix: Prefix) -> int:
    return (len(prefix.problem.text) + len(prefix.text)) // _BYTES_A_TOKEN
