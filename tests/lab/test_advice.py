"""The lab models that read advice do better with it, and the others refuse it."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

import pytest

from steproute.core.errors import ConfigError
from steproute.core.problem import Problem
from steproute.core.solution import Advice, Prefix, Step
from steproute.lab.checker import StepLabel, check_steps
from steproute.lab.models import LAB_SAMPLING, LabModel
from steproute.lab.story import Story, generate

GREEDY = replace(LAB_SAMPLING, temperature=0.0)


def after(problem: Problem, steps: Sequence[str]) -> Prefix:
    prefix = Prefix(problem=problem, session=f"{problem.id}/{len(steps)}")
    return prefix.extended(*(Step(role="given", text=text, tokens=0) for text in steps))


def correct_steps(model: LabModel, advice_for: dict[str, dict[int, Advice | None]]) -> int:
    """Of all steps that advice is given for, or None, each after the correct ones before it."""

    async def is_correct(problem: Problem, place: int, advice: Advice | None) -> bool:
        story = Story.parse(problem.text)
        before = story.solution()[:place]
        prefix = after(problem, before)
        (draft,) = await model.propose(prefix if advice is None else prefix.advised(advice), 1, GREEDY)
        return check_steps(story, [*before, draft.text])[-1] is StepLabel.CORRECT

    async def count() -> int:
        asked = [(p, *each) for p in problems(len(advice_for)) for each in advice_for[p.id].items()]
        return sum(await asyncio.gather(*(is_correct(*each) for each in asked)))

    return asyncio.run(count())


def problems(count: int = 12) -> list[Problem]:
    return list(islice(generate("validation", seed=3), count))


def test_an_example_of_the_same_calculation_helps_lab_weak_hinted() -> None:
    model = LabModel("lab-weak-hinted")
    solutions = {problem.id: Story.parse(problem.text).solution() for problem in problems()}
    nothing, shown = dict[str, dict[int, Advice | None]](), dict[str, dict[int, Advice | None]]()
    for key, steps in solutions.items():
        nothing[key] = dict.fromkeys(range(len(steps)))
        shown[key] = {at: Advice(example=f"(1) Mia has 3 stamps.\n\n{step}") for at, step in enumerate(steps)}
    assert correct_steps(model, shown) > correct_steps(model, nothing) + 5


def test_lab_weak_merge_makes_a_better_step_of_several_than_their_first_one() -> None:
    weak, advice, first = LabModel("lab-weak"), dict[str, dict[int, Advice | None]](), 0
    for problem in problems(40):
        story = Story.parse(problem.text)
        advice[problem.id] = {}
        for place in range(len(story.solution())):
            before = story.solution()[:place]
            drafts = asyncio.run(weak.propose(after(problem, before), 4, replace(LAB_SAMPLING, temperature=1.0)))
            plans = tuple(dict.fromkeys(draft.text for draft in drafts))
            if len(plans) > 1:
                advice[problem.id][place] = Advice(plans=plans)
                first += check_steps(story, [*before, plans[0]])[-1] is StepLabel.CORRECT
    assert correct_steps(LabModel("lab-weak-merge"), advice) > first + 5


@pytest.mark.parametrize(
    ("name", "advice", "reader"),
    [
        ("lab-weak", Advice(plans=("a", "b")), "lab-weak-merge"),
        ("lab-weak-hinted", Advice(plans=("a", "b")), "lab-weak-merge"),
        ("lab-weak-merge", Advice(example="a"), "lab-weak-hinted"),
    ],
)
def test_a_model_refuses_advice_that_it_was_not_trained_to_read(name: str, advice: Advice, reader: str) -> None:
    model = LabModel(name)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="was not trained to read") as refused:
        asyncio.run(model.propose(after(problems()[0], []).advised(advice)))
    assert reader in str(refused.value)
