"""How advice is put to a model: in front of the problem, or last where what grows stands last."""

import pytest

from steproute import Prefix, Problem
from steproute.backends.prompts import half_answered, one_step_asked, plain_question, question
from steproute.core.solution import Advice, Step
from steproute.core.usage_bounds import most_read
from steproute.engine.step_tree import _key

PREFIX = Prefix(problem=Problem.ask("What is 2 + 2?", id="p"), steps=(Step(role="weak", text="2 + 2", tokens=3),))
ADVICE = Advice(example="What is 1 + 1?\n\n1 + 1 = 2", plans=("add", "count"))


def test_a_half_written_answer_stays_last_and_the_advice_stands_before_the_problem() -> None:
    *_, user, assistant = half_answered(PREFIX.advised(ADVICE), None)
    assert user["content"].endswith("What is 2 + 2?")
    assert "1 + 1 = 2" in user["content"]
    assert "2. count" in user["content"]
    assert assistant["content"] == "2 + 2\n\n"


def test_an_instructed_model_gets_the_advice_after_the_solution_so_far() -> None:
    *_, user = one_step_asked(PREFIX.advised(ADVICE), None)
    assert user["content"].startswith(one_step_asked(PREFIX, None)[-1]["content"])
    assert user["content"].endswith("2. count")


def test_a_content_in_parts_gets_the_advice_as_a_part() -> None:
    parts = [{"type": "text", "text": "What is 2 + 2?"}]
    problem = Problem(id="p", messages=({"role": "user", "content": parts},))
    first, second = question(Prefix(problem=problem, advice=ADVICE), "")[-1]["content"]
    assert "1 + 1 = 2" in first["text"]
    assert second == parts[0]


def test_without_advice_nothing_is_added() -> None:
    assert plain_question(PREFIX, "m") == "What is 2 + 2?"
    assert question(PREFIX, "")[-1]["content"] == "What is 2 + 2?"


@pytest.mark.parametrize("advice", [Advice(example="e"), Advice(plans=("e",)), Advice(subtasks=("e",))])
def test_a_tree_keeps_advised_steps_apart(advice: Advice) -> None:
    assert _key("m", None, PREFIX.advised(advice)) != _key("m", None, PREFIX)


def test_bounds_of_a_call_count_the_advice() -> None:
    assert most_read(PREFIX.advised(ADVICE)) >= most_read(PREFIX) + len(ADVICE.example)
