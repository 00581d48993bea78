"""Votes over whole solutions."""

import pytest
from tests.engine.scripted import Say
from tests.engine.test_episode import Stage, check_law

from steproute import Stop
from steproute.core.errors import ConfigError
from steproute.policies.trim.threshold import Threshold
from steproute.strategies.vote import Vote


def whole(answer: str) -> Say:
    return Say(f"a\n\nso \\boxed{{{answer}}}", 20, Stop.END)


def test_equal_answers_are_one_and_the_losers_are_on_the_trace() -> None:
    stage = Stage([whole("2"), whole("0.5"), whole("\\frac{1}{2}"), Say("hm", 3, Stop.END)])
    trace = stage.solve(Vote(policy=Threshold(0.0), samples=4))
    assert trace.answer == "0.5"
    assert [(each.answer, each.votes) for each in trace.answer_votes] == [("0.5", 2), ("2", 1)]
    assert len(stage.weak.asked) == 1
    check_law(stage, trace)


@pytest.mark.parametrize(("weights", "answer"), [("one", "1"), ("last", "2"), ("min", "2"), ("product", "2")])
def test_a_judge_can_weigh_the_votes(weights: str, answer: str) -> None:
    stage = Stage([whole("1"), whole("1"), whole("2")], [], [0.3, 0.2, 0.9])
    trace = stage.solve(Vote(policy=Threshold(0.0), samples=3, weights=weights))  # type: ignore[arg-type]
    assert trace.answer == answer


def test_strong_solves_what_the_vote_is_divided_about() -> None:
    for threshold, answer in ((0.6, "1"), (0.7, "9")):
        stage = Stage([whole("1"), whole("1"), whole("2")], [whole("9")])
        assert stage.solve(Vote(policy=Threshold(threshold), samples=3)).answer == answer


def test_without_an_answer_the_first_solution_stands() -> None:
    trace = Stage([Say("hm", 3, Stop.END)] * 2).solve(Vote(policy=Threshold(0.0), samples=2))
    assert (trace.answer, trace.answer_votes, len(trace.steps)) == (None, (), 1)


def test_less_than_one_sample_is_refused() -> None:
    with pytest.raises(ConfigError):
        Vote(policy=Threshold(0.0), samples=0)
