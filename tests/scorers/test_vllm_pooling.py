"""What vLLM's pooling endpoint may answer, and what is no score."""

import asyncio
from typing import Any

import pytest
from tests.backends.http.refusing import RefusingServer

from steproute.backends.http.server import Server
from steproute.core.errors import ScorerError
from steproute.core.problem import Problem
from steproute.core.solution import Meter, Prefix, Scores, Step
from steproute.core.usage import Usage
from steproute.scorers.vllm_pooling import PoolingSettings, VllmPoolingScorer

STEPS = tuple(Step(role="weak", text=text, tokens=1) for text in ("a", "b"))
TWO_STEPS = Prefix(problem=Problem.ask(id="p", text="A riddle."), steps=STEPS)


def score(pairs: list[list[float]], meter: Meter) -> Scores:
    async def run() -> Scores:
        body: dict[str, Any] = {"data": [{"index": 0, "data": pairs}], "usage": {"prompt_tokens": 31}}
        async with RefusingServer(status=200, body=body).running() as server:
            scorer = VllmPoolingScorer("prm", PoolingSettings(model="m", server=Server(base_url=server.url)))
            return await scorer.score(TWO_STEPS, meter)

    return asyncio.run(run())


def test_a_steps_score_is_the_second_of_its_pair() -> None:
    assert score([[0.0, 1.0], [1.0, 0.0]], Meter()).values == (1.0, 0.0)
    assert score([[0.75, 0.25], [0.5, 0.5]], Meter()).values == (0.25, 0.5)


@pytest.mark.parametrize(
    "unsound",
    [[-0.25, 1.25], [1.25, -0.25], [-3.5, 0.5], [2.0, 0.5], [0.25, 0.25, 0.5], [0.5], []],
)
@pytest.mark.parametrize("place", [0, 1])
def test_what_is_no_pair_of_shares_is_no_score_and_is_paid_for(unsound: list[float], place: int) -> None:
    pairs, meter = [[0.1, 0.9], [0.1, 0.9]], Meter()
    pairs[place] = unsound
    with pytest.raises(ScorerError, match=r"prm: \[.*\] is no pair of probabilities"):
        score(pairs, meter)
    assert meter.total == Usage(input_tokens=31)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_another_number_of_pairs_than_of_steps_is_no_score(count: int) -> None:
    with pytest.raises(ScorerError, match=f"prm: {count} pairs for 2 steps"):
        score([[0.1, 0.9]] * count, Meter())
