"""The lab's oracle planner, and what the lab's models read of sub-tasks."""

import asyncio
from itertools import islice

import pytest

from steproute.core.errors import BackendError
from steproute.core.problem import Problem
from steproute.core.solution import Advice, Prefix
from steproute.lab.models import LAB_SAMPLING, LabModel
from steproute.lab.planner import OraclePlanner
from steproute.lab.story import Story, generate
from steproute.strategies.r2_plan import plan_question, subtasks_in

PROBLEM = next(generate("test", 4))


def test_the_plan_is_the_sentences_that_need_a_step() -> None:
    for problem in islice(generate("test", 5), 10):
        (draft,) = asyncio.run(OraclePlanner().propose(Prefix(problem=plan_question(problem))))
        labels = [text.split()[0] for text in subtasks_in(draft.text)]
        assert labels == [f"({sentence.label})" for sentence in Story.parse(problem.text).relevant]
        assert draft.usage.output_tokens == len(draft.text.split())


def test_other_problems_have_no_plan() -> None:
    with pytest.raises(BackendError, match="lab problem"):
        asyncio.run(OraclePlanner().propose(Prefix(problem=Problem.ask("What is 2 + 2?", id="p"))))


def test_a_lab_model_begins_its_step_with_the_label_which_it_has_read_and_not_written() -> None:
    model, prefix = LabModel("lab-strong"), Prefix(problem=PROBLEM)
    second = f"({Story.parse(PROBLEM.text).relevant[1].label})"
    advice = Advice(subtasks=("(1) x", f"{second} y"), assigned=(2, 2))
    (told,) = asyncio.run(model.propose(prefix.advised(advice), sampling=LAB_SAMPLING))
    (free,) = asyncio.run(model.propose(prefix, sampling=LAB_SAMPLING))
    assert told.text.startswith(f"{second} ")
    assert told.usage.read_tokens == free.usage.read_tokens + 1
    assert told.step_tokens == (told.usage.output_tokens,)
