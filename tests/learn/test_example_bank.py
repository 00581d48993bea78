import pytest

from steproute.core.errors import DatasetError
from steproute.core.problem import Problem
from steproute.core.solution import ENVIRONMENT, Outcome, Step
from steproute.core.trace import Trace
from steproute.lab.story import Story, generate
from steproute.learn.example_bank import bank_of_solutions, bank_of_traces, lab_sentence, whole_problem

PROBLEM = Problem.ask("How many?", id="p")


def trace(*steps: tuple[str, str]) -> Trace:
    return Trace(
        problem_id="p",
        route="r",
        steps=tuple(Step(role=role, text=text, tokens=1) for role, text in steps),
        answer="1",
        outcome=Outcome.ANSWERED,
        account=(),
        latency_s=0.0,
        seed=0,
    )


def test_each_step_is_an_example_with_the_steps_before_it() -> None:
    bank = bank_of_solutions([(PROBLEM, ["first", "second"])], whole_problem)
    assert [example.text for example in bank.examples] == ["How many?\n\nfirst", "How many?\n\nfirst\n\nsecond"]


def test_on_the_lab_an_example_is_a_sentence_and_its_step() -> None:
    problem = next(generate("train"))
    steps = Story.parse(problem.text).solution()
    bank = bank_of_solutions([(problem, steps)], lab_sentence)
    for example, step in zip(bank.examples, steps, strict=True):
        assert example.text.endswith(f"\n\n{step}")
        assert example.text.split("\n\n")[0].split(" ", 1)[1] in problem.text


def test_steps_of_the_strong_model_come_first_and_each_text_once() -> None:
    solved = [
        (PROBLEM, trace(("weak", "one"), ("strong", "two"), (ENVIRONMENT, "2"))),
        (PROBLEM, trace(("strong", "one"), ("weak", "two"), ("weak", "three"))),
    ]
    bank = bank_of_traces(solved, whole_problem)
    assert [(e.author, e.step) for e in bank.examples] == [("strong", "one"), ("strong", "two"), ("weak", "three")]


def test_a_bank_of_nothing_is_refused() -> None:
    with pytest.raises(DatasetError, match="no correct solution"):
        bank_of_solutions([], whole_problem)
