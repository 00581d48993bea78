import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from steproute import Draft, Observation, Prefix, Problem, Step, Stop, Usage
from steproute.core.decision import Accept, Decision, Rewrite
from steproute.lab.checker import StepLabel, check_steps
from steproute.lab.oracle import Oracle
from steproute.lab.story import DIFFICULTIES, Story, write_story

R, F, A = StepLabel.CORRECT, StepLabel.FIRST_ERROR, StepLabel.AFTER_ERROR
STORY = Story.parse(
    "(1) Ben has 30 apples. (2) Mia has 12 apples. (3) It is a sunny day. "
    "(4) Zoe has as many apples as Ben and Mia together. "
    "(5) Zoe gives away 2 apples. How many apples does Zoe have now?"
)
SOLUTION = [
    "(1) Ben has 30.",
    "(2) Mia has 12.",
    "(4) Zoe has Ben 30 + Mia 12 = 42.",
    "(5) Zoe has Zoe 42 - 2 = 40. So the answer is \\boxed{40}.",
]


def test_the_reference_solution_is_correct() -> None:
    assert STORY.solution() == SOLUTION
    assert check_steps(STORY, SOLUTION) == [R, R, R, R]


def test_the_order_of_independent_steps_and_summands_is_free() -> None:
    steps = [SOLUTION[1], SOLUTION[0], "(4) Zoe has Mia 12 + Ben 30 = 42.", SOLUTION[3]]
    assert check_steps(STORY, steps) == [R, R, R, R]


def test_everything_after_the_first_error_is_after_an_error() -> None:
    assert check_steps(STORY, [SOLUTION[0], "(2) Mia has 13.", *SOLUTION[2:]]) == [R, F, A, A]


def test_incorrect_steps_are_found() -> None:
    def newest(step: str, done: int = 2) -> StepLabel:
        return check_steps(STORY, [*SOLUTION[:done], step])[-1]

    assert newest("(4) Zoe has Ben 30 + Mia 12 = 43.") is F
    assert newest("(4) Zoe has Ben 30 - Mia 12 = 42.") is F
    assert newest("(4) Zoe has Mia 30 + Ben 12 = 42.") is F
    assert newest("(4) Zoe has 30 + 12 = 42.") is F
    assert newest("(4) Mia has 30 + 12 = 42.") is F
    assert newest("(3) Zoe has 42.") is F
    assert newest("(2) Mia has 12.") is F
    assert newest("(5) Zoe has Zoe 42 - 2 = 40.") is F
    assert newest("So the answer is \\boxed{40}.") is F
    assert newest("(4) Zoe has Ben 30 + Mia 12 = 42. So the answer is \\boxed{42}.") is F
    assert newest("(5) Zoe has Zoe 42 - 2 = 40. So the answer is \\boxed{41}.", done=3) is F
    assert newest("") is F


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32), position=st.integers(0, 11), delta=st.integers(1, 9))
def test_a_changed_value_is_the_first_incorrect_step(seed: int, position: int, delta: int) -> None:
    story = write_story(np.random.default_rng(seed), DIFFICULTIES["standard"])
    steps = story.solution()
    position %= len(steps)
    head, _, tail = steps[position].partition(".")
    words = head.split(" ")
    words[-1] = str(int(words[-1]) + delta)
    steps[position] = " ".join(words) + "." + tail
    verdicts = check_steps(story, steps)
    assert verdicts == [R] * position + [F] + [A] * (len(steps) - position - 1)


def test_the_oracle_regenerates_exactly_the_first_incorrect_step() -> None:
    problem = Problem.ask(id="p", text=STORY.text)

    def decision(done: list[str], newest: str) -> Decision:
        prefix = Prefix(problem=problem, steps=tuple(Step(role="weak", text=text, tokens=1) for text in done))
        draft = Draft(model="w", text=newest, stop=Stop.SEPARATOR, usage=Usage())
        return Oracle().decide(Observation(prefix=prefix, draft=draft, scores=(), max_steps=30))

    assert decision(SOLUTION[:1], SOLUTION[1]) == Accept()
    assert decision(SOLUTION[:1], "(2) Mia has 13.") == Rewrite("strong")
    assert decision(["(1) Ben has 31."], SOLUTION[1]) == Accept()
