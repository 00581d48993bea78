"""The models of TRIM's world behind the ports: two that draw steps, and a process reward model that draws scores."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from decimal import Decimal
from math import exp, log
from statistics import NormalDist
from typing import ClassVar, Final

import numpy as np

from steproute.core.errors import BackendError, DatasetError, ScorerError
from steproute.core.ports import ModelCapabilities
from steproute.core.solution import Draft, Meter, Prefix, Sampling, Scores, Stop
from steproute.core.usage import Price, Usage
from steproute.lab.checker import StepLabel
from steproute.lab.trim_world.checker import check_drawn, checked
from steproute.lab.trim_world.parameters import STRONG, WEAK, WorldParameters, load_parameters
from steproute.lab.trim_world.steps import Chances, accuracy_of, chances_of, new_draw, step_text, wrong_answer

PRM: Final = "trim-prm"
_TABLE: Final = "trim-world, assumed"
PRICES: Final[Mapping[str, Price]] = {
    WEAK: Price(input=Decimal("0.015"), output=Decimal("0.06"), table=_TABLE),
    STRONG: Price(input=Decimal("0.07"), output=Decimal("0.28"), table=_TABLE),
    PRM: Price(input=Decimal("0.07"), output=Decimal(0), table=_TABLE),
}
SAMPLING: Final = Sampling(max_tokens=1_000_000)
_STATES: Final = {StepLabel.CORRECT: 0, StepLabel.AFTER_ERROR: 1, StepLabel.FIRST_ERROR: 2}
_NORMAL: Final = NormalDist()


class DrawingModel:
    """A step model that draws each step's correctness, length and whether it is the last, from the call's seed.

    Source: TRIM-POMDP's transition model. Raises BackendError for a prefix that is not of this world.
    """

    capabilities: ClassVar[ModelCapabilities] = ModelCapabilities(logprobs=False, subtasks=False)

    def __init__(self, name: str, parameters: WorldParameters | None = None) -> None:
        self.name, self._world = name, parameters or load_parameters()
        self._own = self._world.models[name]
        self._mean_log = log(self._own.step_tokens) - self._world.token_spread**2 / 2

    def most_usage(self, prefix: Prefix, n: int, sampling: Sampling) -> Usage:
        """What the draws take, which the seed decides; see `core.usage_bounds`."""
        try:
            return sum((self._draft(prefix, index, sampling).usage for index in range(n)), Usage())
        except DatasetError as failure:
            raise BackendError(str(failure)) from None

    async def propose(
        self, prefix: Prefix, n: int = 1, sampling: Sampling = SAMPLING, meter: Meter | None = None
    ) -> list[Draft]:
        """`n` drafts; see StepModel.propose."""
        try:
            drafts = [self._draft(prefix, index, sampling) for index in range(n)]
        except DatasetError as failure:
            raise BackendError(str(failure)) from None
        if meter is not None:
            meter.usage = sum((draft.usage for draft in drafts), meter.usage)
        return drafts

    def _draft(self, prefix: Prefix, index: int, sampling: Sampling) -> Draft:
        texts, tokens, stop = [], [], Stop.LENGTH
        room = sampling.max_tokens
        for text, length, ended in self._steps(prefix, index, sampling.seed):
            texts.append(text)
            tokens.append(min(length, room))
            room -= tokens[-1]
            if ended or length > tokens[-1] or sampling.stop is not None or room == 0:
                cut = length > tokens[-1] or (room == 0 and sampling.stop is None and not ended)
                stop = Stop.LENGTH if cut else Stop.END if ended else Stop.SEPARATOR
                break
        return Draft(
            model=self.name,
            text=prefix.separator.join(texts),
            stop=stop,
            usage=Usage(input_tokens=_read_tokens(prefix, self._world), output_tokens=sum(tokens)),
            step_tokens=tuple(tokens),
        )

    def _steps(self, prefix: Prefix, index: int, seed: int) -> Iterator[tuple[str, int, bool]]:
        """The steps from here to the end of the solution: text, tokens, and whether it is the last one."""
        problem, hazard = prefix.problem, self._own.hazard
        on_track = all(verdict is StepLabel.CORRECT for verdict in check_drawn(problem, [s.text for s in prefix.steps]))
        accuracy = accuracy_of(problem.id, self.name, problem.tags)
        place, ended = len(prefix.steps), False
        while not ended:
            place += 1
            draw = new_draw(seed, index, place)
            chances = chances_of(problem.id, place, self.name, draw)
            on_track &= chances.correct < accuracy
            ended = chances.ends < hazard[min(place, len(hazard) - 1)]
            answer = (problem.answer if on_track else wrong_answer(problem, draw)) if ended else None
            yield step_text(place, self.name, draw, answer), self._tokens(chances), ended

    def _tokens(self, chances: Chances) -> int:
        z = _NORMAL.inv_cdf(max(chances.tokens, 2.0**-54))
        return max(1, round(exp(self._mean_log + self._world.token_spread * z)))


class DrawingPrm:
    """A process reward model that draws each step's score from its hidden state and the minimum of the earlier scores.

    The newest score's bin follows P(newest | state, bin of the minimum), uniform within a bin. Before the first step
    the minimum is 1. A step's score depends on nothing after it, so it is the same whenever the step is read. Source:
    TRIM-POMDP's observation model. Raises ScorerError for a prefix that is not of this world.
    """

    def __init__(self, parameters: WorldParameters | None = None) -> None:
        self.name, self._world = PRM, parameters or load_parameters()
        grid = self._world.observations
        self._bins = grid.shape[2]
        self._cumulative: list[list[list[float]]] = (np.cumsum(grid, 2) / grid.sum(2, keepdims=True)).tolist()

    def most_usage(self, prefix: Prefix) -> Usage:
        """What it reads; see `core.usage_bounds`."""
        return Usage(input_tokens=_read_tokens(prefix, self._world))

    async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
        """One score per step; see StepScorer.score."""
        try:
            values = tuple(self._values(prefix))
        except DatasetError as failure:
            raise ScorerError(str(failure)) from None
        usage = Usage(input_tokens=_read_tokens(prefix, self._world))
        if meter is not None:
            meter.usage = usage
        return Scores(values=values, model=self.name, usage=usage)

    def _values(self, prefix: Prefix) -> Iterator[float]:
        least, bins = 1.0, self._bins
        for verdict, step in checked(prefix.problem, [step.text for step in prefix.steps]):
            row = self._cumulative[_STATES[verdict]][min(int(least * bins), bins - 1)]
            column = min(bisect_right(row, step.chances.score_bin), bins - 1)
            value = (column + step.chances.score_in_bin) / bins
            least = min(least, value)
            yield value


def _read_tokens(prefix: Prefix, world: WorldParameters) -> int:
    """Tokens of the problem and its steps; no backend of this world caches."""
    return world.prompt_tokens + sum(step.tokens for step in prefix.steps)
