"""Banks of solved steps: from labelled solutions, or from the solutions of finished runs."""

from collections.abc import Callable, Iterable, Sequence

from steproute.core.errors import DatasetError
from steproute.core.problem import Problem
from steproute.core.solution import ENVIRONMENT
from steproute.core.trace import Trace
from steproute.lab.examples import sentence_of
from steproute.lab.story import Story
from steproute.retrieval.example_bank import Example, ExampleBank, origin_of

Shown = Callable[[Problem, Sequence[str], int], tuple[str, tuple[str, ...]]]
"""What an example shows of a problem and its steps up to the one at an index: a text, and the steps before."""


def whole_problem(problem: Problem, steps: Sequence[str], index: int) -> tuple[str, tuple[str, ...]]:
    """The problem and all steps before: for models that read English."""
    return problem.text, tuple(steps[:index])


def lab_sentence(problem: Problem, steps: Sequence[str], index: int) -> tuple[str, tuple[str, ...]]:
    """The sentence that the step works on: all that lab-weak-hinted has learnt to read. Raises DatasetError for text
    outside the lab's language."""
    return sentence_of(Story.parse(problem.text), steps[index]), ()


def examples_of(problem: Problem, steps: Sequence[str], shown: Shown, author: str = "labelled") -> list[Example]:
    """An example for each step of a correct solution."""
    return [_example(problem, steps, index, shown, author) for index in range(len(steps))]


def bank_of_solutions(solutions: Iterable[tuple[Problem, Sequence[str]]], shown: Shown) -> ExampleBank:
    """A bank of correct solutions, in their order. Raises DatasetError if there is none."""
    return _bank([example for problem, steps in solutions for example in examples_of(problem, steps, shown)])


def bank_of_traces(solved: Iterable[tuple[Problem, Trace]], shown: Shown) -> ExampleBank:
    """A bank of traces whose answers are correct.

    Steps of the strong model come first, because they are paid for and of equally near examples the first is taken.
    Each text of a problem is kept once. Raises DatasetError if there is none.
    """
    kept: dict[tuple[str, str], Example] = {}
    for problem, trace in solved:
        texts = [step.text for step in trace.steps if step.role != ENVIRONMENT]
        authors = [step.role for step in trace.steps if step.role != ENVIRONMENT]
        for index, author in enumerate(authors):
            example = _example(problem, texts, index, shown, author)
            place = example.origin, example.text
            if place not in kept or author == "strong":
                kept[place] = example
    return _bank(sorted(kept.values(), key=lambda example: example.author != "strong"))


def _example(problem: Problem, steps: Sequence[str], index: int, shown: Shown, author: str) -> Example:
    text, before = shown(problem, steps, index)
    return Example(problem=text, before=before, step=steps[index], origin=origin_of(problem), author=author)


def _bank(examples: Sequence[Example]) -> ExampleBank:
    if not examples:
        raise DatasetError("no correct solution to take examples from.", where="example bank", remedy="Give more.")
    return ExampleBank.of(examples)
