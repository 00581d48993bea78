"""The house: exact success, agents that err as documented, and scores that know the goal."""

import asyncio
from itertools import islice

import pytest

from steproute import Limits
from steproute.config import embedded_roles
from steproute.core.answer_rule import ACTIONS
from steproute.engine.episode import Episode
from steproute.environments.house.game import House, house
from steproute.policies.trim.threshold import Threshold
from steproute.strategies.single import Single
from steproute.strategies.stepwise import Stepwise

TASKS = list(islice(house("", 0), 40))


def solved(strategy):
    roles = embedded_roles("house")
    traces = [asyncio.run(Episode(each, roles, route="r", limits=Limits(), seed=1).run(strategy)) for each in TASKS]
    return sum(sum(step.reward or 0 for step in trace.steps) for trace in traces), traces


def test_the_best_actions_reach_the_goal_in_every_house() -> None:
    for number in range(200):
        game = House(str(number))
        remaining, response = game.remaining(), None
        for left in range(remaining, 0, -1):
            assert game.remaining() == left
            response = game.act(game.best_action())
        assert response is not None
        assert (response.ends, response.reward) == (True, 1.0)


def test_a_wrong_place_is_final() -> None:
    game = House("0")
    game.holds, game.room = game.goal[0], "hall"
    other = next(place for place in ("hall table", "hall shelf") if place != game.goal[1])
    assert game.act(f"put({other})").reward == 0.0


def test_a_strong_agent_and_routing_beat_a_weak_agent() -> None:
    weak, strong, routed = (
        solved(each)[0] for each in (Single("weak"), Single("strong"), Stepwise(policy=Threshold(0.5)))
    )
    assert weak < routed <= strong + 3
    assert strong >= 36


def test_one_seed_gives_one_solution() -> None:
    assert solved(Single("weak"))[1][0].steps == solved(Single("weak"))[1][0].steps


def test_the_exact_score_is_one_for_what_brings_the_goal_nearer() -> None:
    _, traces = solved(Single("strong"))
    scorer = embedded_roles("house").scorer("oracle").scorer
    assert ACTIONS.extracts is False
    from steproute import Prefix

    for problem, trace in zip(TASKS[:5], traces, strict=False):
        prefix = Prefix(problem=problem, steps=trace.steps).for_scorers
        scores = asyncio.run(scorer.score(prefix))
        assert set(scores.values) <= {0.0, 1.0}
        assert sum(scores.values) / len(scores.values) == pytest.approx(1, abs=0.3)
