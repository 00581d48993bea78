"""BabyAI's bot as agents: the less it errs, the more often it succeeds, and the scorers know its plan."""

import asyncio
from itertools import islice

import pytest

from steproute import Prefix
from steproute.config import read_setup
from steproute.engine.episode import Episode
from steproute.environments.babyai import babyai
from steproute.environments.babyai_bots import BabyAiScorer
from steproute.strategies.single import Single

pytest.importorskip("minigrid", reason="needs the extra agents")


def solved(role: str, count: int = 8):
    setup = read_setup(None, "babyai:PickupLoc")
    problems = setup.answer.on(islice(babyai("PickupLoc", 0), count))
    return [
        (
            problem,
            asyncio.run(Episode(problem, setup.roles, route="r", limits=setup.limits, seed=1).run(Single(role))),
        )
        for problem in problems
    ]


def test_a_bot_that_seldom_errs_acts_less_than_one_that_often_errs() -> None:
    often, seldom = (sum(len(trace.steps) for _, trace in solved(role)) for role in ("weak", "strong"))
    assert seldom * 1.5 < often
    assert sum(step.reward or 0 for _, trace in solved("strong") for step in trace.steps) >= 7


def test_the_exact_score_is_the_share_of_the_bots_own_actions() -> None:
    shares = {}
    for role in ("weak", "strong"):
        scores = [score for problem, trace in solved(role) for score in exact(problem, trace)]
        shares[role] = sum(scores) / len(scores)
    assert shares["weak"] == pytest.approx(0.4, abs=0.15)
    assert shares["strong"] > 0.85


def exact(problem, trace):
    prefix = Prefix(problem=problem, steps=trace.steps).for_scorers
    return asyncio.run(BabyAiScorer("exact", noisy=False).score(prefix)).values


def test_the_noisy_score_is_the_exact_one_with_noise_and_costs_what_is_read() -> None:
    problem, trace = solved("weak", 1)[0]
    prefix = Prefix(problem=problem, steps=trace.steps).for_scorers
    noisy = asyncio.run(BabyAiScorer("noisy", noisy=True).score(prefix))
    assert noisy.usage.input_tokens == (len(problem.text) + len(prefix.text)) // 4
    assert all(
        abs(score - (0.25 + 0.5 * right)) <= 0.4 + 1e-9
        for score, right in zip(noisy.values, exact(problem, trace), strict=True)
    )
