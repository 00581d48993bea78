"""TRIM-POMDP's rewriters from a survey: how often each rung is correct, if the weak draft is and if it is not."""

from collections.abc import Mapping, Sequence

import numpy as np

from steproute.core.errors import ConfigError, DatasetError
from steproute.core.usage import Price, Usage
from steproute.learn.survey import Attempt, Place
from steproute.policies.trim.pomdp_model import Rewriter
from steproute.strategies.second_chances import RESAMPLE


def surveyed_rewriters(
    places: Sequence[Place], rungs: Sequence[str], prices: Mapping[str, Price], judge: Price
) -> tuple[tuple[Rewriter, ...], float]:
    """The rungs above the weak model from the cheapest to the dearest, and the tokens per step of the dearest.

    The cost of a role is that of its first call in a solution, which reads the whole prompt; `resample` reads the
    prompt from the cache, and pays the judge for each of its drafts. prices: of the models, by role. Raises
    DatasetError if the weak model is always or never correct, ConfigError if the rungs cost nothing.
    """
    weak = np.array([place.attempts["weak"][0].correct >= 1 / 2 for place in places])
    if weak.all() or not weak.any():
        raise DatasetError(
            "the weak model's steps are all correct or all incorrect.", where="problems", remedy="Use more problems."
        )
    costs = {rung: float(np.mean([_cost(place, rung, prices, judge) for place in places])) for rung in rungs}
    dearest = max(rungs, key=lambda rung: costs[rung])
    if not costs[dearest]:
        raise ConfigError("no rung costs anything.", where="roles", remedy="Set the prices of their models.")
    rewriters = []
    for rung in sorted(rungs, key=lambda rung: costs[rung]):
        correct = np.array([_best(place, rung).correct for place in places])
        accuracy, mends = float(correct[weak].mean()), float(correct[~weak].mean())
        relative = 1.0 if rung == dearest else costs[rung] / costs[dearest]
        rewriters.append(Rewriter(rung, accuracy, relative, mends))
    return tuple(rewriters), float(np.mean([place.attempts[dearest][0].written for place in places]))


def _best(place: Place, rung: str) -> Attempt:
    return max(place.attempts[rung], key=lambda each: each.score)


def _cost(place: Place, rung: str, prices: Mapping[str, Price], judge: Price) -> float:
    """Dollars."""
    drafts = place.attempts[rung]
    read, written = drafts[0].read, sum(each.written for each in drafts)
    if rung != RESAMPLE:
        return float(prices[rung].cost(Usage(input_tokens=read, output_tokens=written)))
    drawn = prices["weak"].cost(Usage(cache_read_tokens=read, output_tokens=written))
    judged = [judge.cost(Usage(cache_read_tokens=read, input_tokens=each.written)) for each in drafts]
    return float(drawn + sum(judged))
