"""What a process reward model reads."""

import pytest

from steproute.core.problem import Problem
from steproute.core.solution import Prefix, Step
from steproute.scorers.step_text import StepText


@pytest.mark.parametrize("marker", ["<extra_0>", " ки", "\n", "+"])
def test_a_marker_stands_at_the_end_of_each_step_alone(marker: str) -> None:
    """Wherever a task, a model or the result of a tool quotes it."""
    problem = Problem.ask(f"What is {marker}?", id="p")
    steps = tuple(Step(role="weak", text=text, tokens=1) for text in (f"One{marker}", f"{marker}{marker} two"))
    written = StepText(text="{problem} | {steps}", marker=marker).written(Prefix(problem=problem, steps=steps))
    assert written.count(marker) == 2
    assert written.endswith(f" two{marker}")
