"""R2-Reasoner: who is asked what, in which order, and what is paid."""

import asyncio
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from tests.engine.scripted import Say, ScriptedModel
from tests.policies.test_allocation import model

from steproute import Episode, Limits, ModelRole, Price, Problem, Purpose, Roles, Stop
from steproute.artifacts import write_artifact
from steproute.backends.prompts import half_answered, one_step_asked
from steproute.config import read_setup
from steproute.config.route import build_strategy
from steproute.core.errors import ConfigError
from steproute.core.ports import NEEDS
from steproute.core.solution import Advice, Prefix
from steproute.core.trace import Trace
from steproute.lab.story import generate
from steproute.policies.allocation import Outline
from steproute.policies.allocation_model import allocation_artifact
from steproute.policies.baselines.random import RandomRouting
from steproute.strategies.r2_plan import subtasks_in
from steproute.strategies.r2_reasoner import R2Reasoner

PLAN = "1. Find a.\n2. Divide a by 2.\n3. Add them."
PROBLEM = Problem.ask("How many?", id="p", answer="1")
PRICE = {
    "planner": Price(input=Decimal(1), output=Decimal(2)),
    "weak": Price(input=Decimal(3), output=Decimal(4)),
    "strong": Price(input=Decimal(5), output=Decimal(6)),
}


class Cast:
    """A planner and two writers."""

    def __init__(self, plans: Iterable[Say], weak: Iterable[Say] = (), strong: Iterable[Say] = ()) -> None:
        said = {"planner": plans, "weak": weak, "strong": strong}
        self.models = {role: ScriptedModel(role, replies) for role, replies in said.items()}
        self.roles = Roles(
            models={role: ModelRole(model=writer, price=PRICE[role]) for role, writer in self.models.items()}
        )

    def solve(self, strategy: R2Reasoner) -> Trace:
        episode = Episode(PROBLEM, self.roles, route="test", limits=Limits(retries=0))
        trace = asyncio.run(episode.run(strategy))
        for role, writer in self.models.items():
            assert writer.generated == trace.generated_tokens(role), "every token is on the account"
        assert trace.cost_usd == sum((PRICE[line.role].cost(line.usage) for line in trace.account), Decimal(0))
        return trace

    def assigned(self, role: str) -> list[tuple[int, int]]:
        """The sub-tasks of each call of a role."""
        return [prefix.advice.assigned for prefix, _ in self.models[role].asked]


class Given:
    """Allocations in order, one for each time that it is asked."""

    def __init__(self, *allocations: Sequence[str]) -> None:
        self.allocations = list(allocations)
        self.roles = ("weak", "strong")
        self.outlines: list[Outline] = []

    def allocate(self, outline: Outline) -> tuple[str, ...]:
        self.outlines.append(outline)
        return tuple(self.allocations.pop(0))


def r2(*allocations: Sequence[str], **settings: object) -> R2Reasoner:
    strategy = R2Reasoner(allocation="strong", **settings)  # type: ignore[arg-type]
    object.__setattr__(strategy, "allocator", Given(*allocations))
    return strategy


def end(text: str, tokens: int = 5) -> Say:
    return Say(text, tokens, Stop.END)


def test_each_sub_task_goes_to_its_role_and_the_last_ones_of_one_role_are_one_call() -> None:
    cast = Cast([end(PLAN, 20)], [Say("a = 4", 4)], [end("a / 2 = 2\n\nsum \\boxed{1}", 9)])
    trace = cast.solve(r2(["weak", "strong", "strong"]))
    assert [(step.role, step.text) for step in trace.steps] == [
        ("weak", "a = 4"),
        ("strong", "a / 2 = 2"),
        ("strong", "sum \\boxed{1}"),
    ]
    assert (cast.assigned("weak"), cast.assigned("strong")) == ([(1, 1)], [(2, 3)])
    (asked, sampling), *_ = cast.models["strong"].asked
    assert asked.advice.subtasks == ("Find a.", "Divide a by 2.", "Add them.")
    assert sampling.stop is None
    assert trace.generated_tokens("planner", Purpose.DISCARDED) == 20
    assert trace.generated_tokens("strong", Purpose.ACCEPTED) == 9


def test_online_allocates_again_before_each_sub_task_with_the_steps_so_far() -> None:
    cast = Cast([end(PLAN)], [Say("a = 4"), Say("b = 2")], [Say("sum \\boxed{1}")])
    strategy = r2(["weak", "strong", "strong"], ["weak", "weak"], ["strong"], mode="online")
    assert [step.role for step in cast.solve(strategy).steps] == ["weak", "weak", "strong"]
    outlines = strategy.allocator.outlines  # type: ignore[attr-defined]
    assert [len(outline.steps) for outline in outlines] == [0, 1, 2]
    assert not outlines[0].closes
    assert outlines[0].prices == {role: PRICE[role] for role in ("weak", "strong")}


def test_a_solution_that_ends_early_is_left_as_it_is() -> None:
    cast = Cast([end(PLAN)], [Say("at once \\boxed{1}")])
    assert len(cast.solve(r2(["weak", "strong", "weak"])).steps) == 1
    assert not cast.models["strong"].asked


def test_a_solution_that_the_plan_does_not_end_is_finished_by_the_last_role() -> None:
    cast = Cast([end(PLAN)], [Say("a"), Say("b"), Say("c"), end("so \\boxed{1}")])
    strategy = r2(["weak", "strong", "weak"], ["weak", "weak"], ["weak"], mode="online")
    assert [step.text for step in cast.solve(strategy).steps] == ["a", "b", "c", "so \\boxed{1}"]


def test_a_planner_without_a_plan_is_asked_once_more() -> None:
    cast = Cast([end("Let me think."), end(PLAN)], strong=[end("x \\boxed{1}")])
    assert cast.solve(r2(["strong"] * 3)).notes == ()
    assert len(cast.models["planner"].asked) == 2


def test_without_a_plan_the_most_expensive_role_writes_everything_and_the_trace_says_so() -> None:
    cast = Cast([end("No."), end("No.")], strong=[end("x \\boxed{1}")])
    trace = cast.solve(r2())
    assert trace.notes == ("planner wrote no plan in 2 tries, so strong writes everything.",)
    (asked, _), *_ = cast.models["strong"].asked
    assert not asked.advice


def test_the_planner_is_asked_for_sub_tasks_and_not_for_an_answer() -> None:
    cast = Cast([end(PLAN)], strong=[end("x \\boxed{1}")])
    cast.solve(r2(["strong"] * 3))
    (asked, sampling), *_ = cast.models["planner"].asked
    assert asked.problem.text.endswith("How many?")
    assert "boxed" not in str(half_answered(asked, None))
    assert sampling.stop is None


@pytest.mark.parametrize(
    ("text", "subtasks"),
    [
        ("Sure.\n1. Find a.\n 2) Find b.\n", ("Find a.", "Find b.")),
        ("**1.** Find a.\nStep 2: Find b.\nSub-task 3: Add.", ("Find a.", "Find b.", "Add.")),
        ("1. (3) Ada has 4 pens.", ("(3) Ada has 4 pens.",)),
        ("1.5 litres are left.\nThe answer is 3.", ()),
        ("", ()),
    ],
)
def test_a_plan_is_its_numbered_lines(text: str, subtasks: tuple[str, ...]) -> None:
    assert subtasks_in(text) == subtasks


def test_a_model_that_is_instructed_sees_the_plan_before_the_steps_and_its_sub_task_after_them() -> None:
    advice = Advice(subtasks=("Find a.", "Add."), assigned=(2, 2))
    text = str(one_step_asked(Prefix(problem=PROBLEM).advised(advice), None)[-1]["content"])
    places = [
        text.index(part) for part in ("How many?", "1. Find a.\n2. Add.", "Solution so far", "line 2 of the plan")
    ]
    assert places == sorted(places)


def test_a_model_that_continues_sees_the_same_plan_at_every_step() -> None:
    first, second = (
        half_answered(Prefix(problem=PROBLEM).advised(Advice(subtasks=("Find a.", "Add."), assigned=each)), None)
        for each in ((1, 1), (2, 2))
    )
    assert first == second
    assert "2. Add." in str(first)


def test_it_asks_the_planner_and_every_role_of_the_allocation(tmp_path: Path) -> None:
    write_artifact(allocation_artifact(model(), {}), tmp_path / "a")
    strategy = build_strategy("r2-reasoner", RandomRouting(0.0), {"allocation": str(tmp_path / "a"), "price": 0.2})
    needs = NEEDS.of(strategy)
    assert needs.models == ("weak", "strong", "planner")
    assert needs.subtasks == ("weak", "strong")
    assert needs.artifacts == (str(tmp_path / "a"),)
    assert NEEDS.of(R2Reasoner(allocation="mid")).models == ("mid", "planner")


@pytest.mark.parametrize("price", [-1.0, np.nan])
def test_a_price_that_is_none_is_refused(price: float) -> None:
    with pytest.raises(ConfigError, match="price"):
        R2Reasoner(allocation="strong", price=price)


def test_a_steproute_toml_can_describe_the_planner_of_the_lab(tmp_path: Path) -> None:
    path = tmp_path / "steproute.toml"
    path.write_text(
        '[models.weak]\nbackend = "lab"\nname = "lab-weak"\n[models.strong]\nbackend = "lab"\nname = "lab-strong"\n'
        '[models.planner]\nbackend = "lab-oracle-planner"\n'
        '[route]\nstrategy = "r2-reasoner"\nallocation = "strong"\nprice = 0.2\n'
    )
    setup = read_setup(path, "lab")
    episode = Episode(next(generate("test")), setup.roles, route="r2")
    trace = asyncio.run(episode.run(setup.route.strategy_at(0)))
    assert trace.answer is not None
    assert {line.role for line in trace.account} == {"planner", "strong"}
