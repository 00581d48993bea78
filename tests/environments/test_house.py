"""The house: exact success, an expert that knows only what was seen, and trained agents that routing improves."""

import asyncio
import random
from itertools import islice

import pytest

from steproute import Limits, Prefix
from steproute.config import embedded_roles
from steproute.core.errors import DatasetError
from steproute.engine.episode import Episode
from steproute.environments.house.game import MOST_ACTIONS, House, house
from steproute.environments.replaying import Replaying
from steproute.policies.trim.threshold import Threshold
from steproute.strategies.single import Single
from steproute.strategies.stepwise import Stepwise

TASKS = list(islice(house("", 0), 40))


def solved(strategy):
    roles = embedded_roles("house")
    traces = [asyncio.run(Episode(each, roles, route="r", limits=Limits(), seed=1).run(strategy)) for each in TASKS]
    return sum(sum(step.reward or 0 for step in trace.steps) for trace in traces), traces


def test_the_best_actions_reach_the_goal_in_every_house() -> None:
    draw = random.Random(0)
    for number in range(500):
        game, response = House(number), None
        while response is None or not response.ends:
            response = game.act(draw.choice(game.best_actions()))
        assert response.reward == 1.0


def test_the_best_actions_do_not_depend_on_what_was_not_seen() -> None:
    for number in range(100):
        first, second = House(number), House(number)
        hidden = [room for room in first.doors if room != "hall"]
        second.where["key"], second.box = hidden[number % len(hidden)], hidden[(number + 1) % len(hidden)]
        assert first.best_actions() == second.best_actions()


def test_other_actions_are_not_the_best() -> None:
    game = House(1)
    assert game.other_actions()
    assert not {*game.best_actions()} & {*game.other_actions()}


def test_a_wrong_place_is_final_and_the_right_one_succeeds() -> None:
    places = [place for place in ("hall table", "hall shelf") if place != House(0).goal[1]]
    for place, reward in ((places[0], 0.0), (House(0).goal[1], 1.0)):
        game = House(0)
        game.holds, game.room = game.goal[0], place.split()[0]
        assert game.act(f"Action: put({place})").reward == reward


def test_what_does_not_work_is_answered_and_time_runs_out() -> None:
    game = House(0)
    responses = [game.act("Action: fly(moon)"), *(game.act("unlock(box)") for _ in range(MOST_ACTIONS - 1))]
    assert responses[0].text.endswith("Use go, take, unlock, put or drop, such as go(hall).")
    assert responses[1].text.endswith("That did not work.")
    assert (responses[-1].text, responses[-1].reward) == ("Time is up.", 0.0)


def test_test_and_training_tasks_share_no_house() -> None:
    assert not {each.id for each in islice(house("train", 0), 100)} & {each.id for each in islice(house("", 0), 100)}
    with pytest.raises(DatasetError, match="house:train"):
        next(house("dev", 0))


def test_a_strong_agent_and_routing_beat_a_weak_agent() -> None:
    weak, strong, routed = (
        solved(each)[0] for each in (Single("weak"), Single("strong"), Stepwise(policy=Threshold(0.5)))
    )
    assert weak + 4 < routed
    assert weak <= 28
    assert strong >= 35


def test_one_seed_gives_one_solution() -> None:
    assert solved(Single("weak"))[1][0].steps == solved(Single("weak"))[1][0].steps


def test_the_prm_scores_good_actions_higher_and_the_checker_knows_them() -> None:
    roles = embedded_roles("house")
    values = {0.0: [], 1.0: []}
    for problem, trace in zip(TASKS[:20], solved(Single("weak"))[1], strict=False):
        prefix = Prefix(problem=problem, steps=trace.steps).for_scorers
        exact, trained = (asyncio.run(roles.scorer(name).scorer.score(prefix)).values for name in ("checker", "prm"))
        for label, score in zip(exact, trained, strict=True):
            values[label].append(score)
    good, bad = (sum(values[label]) / len(values[label]) for label in (1.0, 0.0))
    assert good > bad + 0.3


def test_the_prm_scores_a_draft_before_its_answer_as_after_it() -> None:
    scorer = embedded_roles("house").scorer("prm").scorer
    steps = solved(Single("weak"))[1][0].steps
    before, after = (Prefix(problem=TASKS[0], steps=steps[:count]).for_scorers for count in (3, 4))
    scores = [asyncio.run(scorer.score(each)).values for each in (before, after)]
    assert scores[0] == pytest.approx(scores[1])


def test_a_game_is_the_same_whether_it_is_kept_or_played_again() -> None:
    steps = solved(Single("weak"))[1][0].steps
    prefixes = [Prefix(problem=TASKS[0], steps=steps[:count]) for count in (0, 2, 4, 2, 6)]
    kept, joined = Replaying(lambda task: House(int(task))), [each.for_scorers for each in prefixes]
    for prefix in [*prefixes, *joined]:
        fresh = Replaying(lambda task: House(int(task))).game(prefix)
        assert kept.game(prefix).view() == fresh.view()
        assert kept.game(prefix).taken == len(prefix.written)
