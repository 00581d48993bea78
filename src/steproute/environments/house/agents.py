"""A trained agent of the house and the expert that it imitates, a trained process reward model, and a checker."""

import random
import time
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import ClassVar, Final

import numpy as np

from steproute.core.arrays import F64
from steproute.core.ports import ModelCapabilities
from steproute.core.solution import Draft, Meter, Prefix, Sampling, Scores, Stop
from steproute.core.usage import NOTHING_USED, Price, Usage
from steproute.environments.house.game import House
from steproute.environments.house.network import HouseNetwork, shipped
from steproute.environments.house.reading import ACTIONS, texts_of
from steproute.environments.replaying import Replaying, task_of

WEAK: Final = "house-weak"
STRONG: Final = "house-expert"
PRM: Final = "house-prm"
EXPERT_ERRORS: Final = 0.03
"""The chance that the expert takes an action that is not one of the best."""
_TABLE: Final = "house, assumed"
PRICES: Final[Mapping[str, Price]] = {
    WEAK: Price(input=Decimal("0.1"), output=Decimal("0.4"), table=_TABLE),
    STRONG: Price(input=Decimal("2"), output=Decimal("8"), table=_TABLE),
    PRM: Price(input=Decimal("0.1"), output=Decimal(0), table=_TABLE),
}
HOUSE_SAMPLING: Final = Sampling(temperature=1.0, top_p=1.0, top_k=0)
_BYTES_A_TOKEN: Final = 4
_COLDEST: Final = 1e-3


class HouseEnvironment(Replaying[House]):
    """The environment `house`. A task is the house's number."""

    def __init__(self) -> None:
        super().__init__(lambda task: House(int(task)))


class HouseAgent:
    """A small network that chooses one of the house's actions by what the texts so far say, drawn at the sampling's
    temperature. It was trained to imitate the expert."""

    capabilities: ClassVar[ModelCapabilities] = ModelCapabilities(example=False, plans=False, subtasks=False)
    name: ClassVar[str] = WEAK

    def __init__(self, network: HouseNetwork | None = None) -> None:
        self._network = network or shipped(WEAK)

    async def propose(
        self, prefix: Prefix, n: int = 1, sampling: Sampling = HOUSE_SAMPLING, meter: Meter | None = None
    ) -> list[Draft]:
        """`n` drafts; see StepModel.propose."""
        logits = self._network.outputs(texts_of(prefix))[-1].astype(np.float64)
        drawn_from, probabilities = _softmax(logits / max(sampling.temperature, _COLDEST)), _softmax(logits)
        drafts = []
        for index in range(n):
            choice = int(np.random.default_rng([sampling.seed, index]).choice(len(ACTIONS), p=drawn_from))
            draft = _draft(self.name, ACTIONS[choice], prefix)
            entropy = -float(probabilities @ np.log(probabilities + _COLDEST**4))
            sure = (float(np.log(probabilities[choice])),)
            drafts.append(replace(draft, logprobs=sure, first_token_entropy=entropy))
        return _metered(drafts, meter)


class HouseExpert:
    """A script that takes one of the best actions of one who knows what was seen so far, but for `EXPERT_ERRORS`."""

    capabilities: ClassVar[ModelCapabilities] = ModelCapabilities(
        logprobs=False, example=False, plans=False, subtasks=False
    )
    name: ClassVar[str] = STRONG

    def __init__(self) -> None:
        self._games = HouseEnvironment()

    async def propose(
        self, prefix: Prefix, n: int = 1, sampling: Sampling = HOUSE_SAMPLING, meter: Meter | None = None
    ) -> list[Draft]:
        """`n` drafts; see StepModel.propose."""
        game, drafts = self._games.game(prefix), []
        for index in range(n):
            draw = random.Random(f"{sampling.seed}/{index}")
            errs = draw.random() < EXPERT_ERRORS
            action = draw.choice(game.other_actions() if errs else game.best_actions())
            drafts.append(_draft(self.name, action, prefix))
        return _metered(drafts, meter)


class HousePrm:
    """A small network that was trained to tell good actions from others: the probability that each action is good."""

    name: ClassVar[str] = PRM

    def __init__(self, network: HouseNetwork | None = None) -> None:
        self._network = network or shipped(PRM)

    async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
        """One score per step; see StepScorer.score."""
        began = time.monotonic()
        actions = self._network.outputs(texts_of(prefix))[2::2, 0].astype(np.float64)
        usage = Usage(input_tokens=_tokens(prefix))
        if meter is not None:
            meter.usage = usage
        values = tuple((1 / (1 + np.exp(-actions))).tolist())
        return Scores(values=values, model=self.name, usage=usage, latency_s=time.monotonic() - began)


class HouseChecker:
    """1 for an action that is one of the best for one who knows what was seen so far, else 0. It costs nothing."""

    name: ClassVar[str] = "house-checker"

    async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
        """One score per step; see StepScorer.score."""
        game, values = House(int(task_of(prefix.problem))), []
        for action in texts_of(prefix)[2::2]:
            values.append(float(action in game.best_actions()))
            game.act(action)
        return Scores(values=tuple(values), model=self.name, usage=NOTHING_USED)


def _draft(name: str, action: str, prefix: Prefix) -> Draft:
    text = f"Action: {action}"
    usage = Usage(input_tokens=_tokens(prefix), output_tokens=len(text) // _BYTES_A_TOKEN)
    return Draft(model=name, text=text, stop=Stop.SEPARATOR, usage=usage)


def _metered(drafts: list[Draft], meter: Meter | None) -> list[Draft]:
    if meter is not None:
        meter.usage = sum((draft.usage for draft in drafts), meter.usage)
    return drafts


def _softmax(logits: F64) -> F64:
    weights = np.exp(logits - logits.max())
    probabilities: F64 = weights / weights.sum()
    return probabilities


def _tokens(prefix: Prefix) -> int:
    return (len(prefix.problem.text) + len(prefix.text)) // _BYTES_A_TOKEN
