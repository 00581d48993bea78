"""BAAR's chooser on a toy world with a known answer: the weak model fails at tricky sentences alone."""

import asyncio
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from steproute import Draft, Limits, Meter, ModelRole, Prefix, Price, Problem, Roles, Sampling, Stop, Trace, Usage
from steproute.artifacts import write_artifact
from steproute.core.errors import ArtifactError, ConfigError
from steproute.learn.boundary import BoundaryTask, BoundaryTrainer, Difficulty, Rollout, Settings, untrained
from steproute.learn.rollouts import solve_all
from steproute.policies.boundary import STATE, BoundaryFamily, BoundaryRouter, coming_sentences
from steproute.policies.stored import boundary_artifact, load_policy
from steproute.strategies.preroute import Preroute

KINDS = ("plain plain tricky", "plain tricky plain", "plain plain plain", "tricky plain plain")


def problem(number: int) -> Problem:
    words = KINDS[number % len(KINDS)].split()
    text = " ".join(f"({at + 1}) Ann has a {word} thing." for at, word in enumerate(words))
    return Problem.ask(f"{text} How many?", id=f"{number}", answer="1")


class Toy:
    """Writes "(n) ok." for each sentence; the weak one writes "(n) bad." for a tricky one."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def propose(
        self, prefix: Prefix, n: int = 1, sampling: Sampling = Sampling(), meter: Meter | None = None
    ) -> list[Draft]:
        at = len(prefix.steps)
        words = KINDS[int(prefix.problem.id) % len(KINDS)].split()
        is_bad = self.name == "weak" and words[at] == "tricky"
        text = f"({at + 1}) {'bad' if is_bad else 'ok'}."
        if at == len(words) - 1:
            text += f" \\boxed{{{0 if is_bad or 'bad' in prefix.text else 1}}}"
        return [Draft(model=self.name, text=text, stop=Stop.SEPARATOR, usage=Usage(output_tokens=10))]


def price(output: int) -> Price:
    return Price(input=Decimal(0), output=Decimal(output))


ROLES = Roles(
    models={
        "weak": ModelRole(model=Toy("weak"), price=price(1)),
        "strong": ModelRole(model=Toy("strong"), price=price(20)),
    }
)
PROBLEMS = [problem(number) for number in range(24)]
SETTINGS = Settings(runs=2, strata=10, group=8, batch=24, passes=20, rate=0.2)


async def grade(problem: Problem, trace: Trace) -> bool:
    return trace.answer == problem.answer


def trainer(settings: Settings = SETTINGS) -> BoundaryTrainer:
    return BoundaryTrainer(ROLES, grade, Limits(), settings)


def roles_of(router: BoundaryRouter, lam: float) -> list[list[str]]:
    """Who writes the steps of each of KINDS, at a λ."""
    strategy = Preroute(chooser=BoundaryFamily(router).at(lam, 0))
    traces = asyncio.run(solve_all(PROBLEMS[: len(KINDS)], ROLES, strategy))
    return [[step.role for step in trace.steps] for trace in traces]


IDEAL = [["strong" if word == "tricky" else "weak" for word in kind.split()] for kind in KINDS]


def test_tasks_are_classed_by_both_boundary_policies() -> None:
    tasks = asyncio.run(trainer().tasks(PROBLEMS[:4]))
    hard, easy = Difficulty.HARD, Difficulty.EASY
    assert [task.difficulty for task in tasks] == [hard, hard, easy, hard]
    no = tuple(replace(each, correct=False) for each in tasks[0].strong)
    assert replace(tasks[0], strong=no).difficulty is Difficulty.INTRACTABLE


def test_the_supervised_start_and_the_optimised_router_learn_where_strong_is_needed() -> None:
    async def train() -> tuple[BoundaryRouter, BoundaryRouter]:
        tasks = await trainer().tasks(PROBLEMS)
        start = await trainer().supervised(tasks)
        return start, await trainer().optimised(start, tasks)

    start, trained = asyncio.run(train())
    assert {"tricky", "plain"} <= set(start.terms)
    assert roles_of(start, 0.2) == IDEAL
    assert roles_of(trained, 0.2) == IDEAL


def test_policy_optimisation_alone_learns_it_from_a_coin() -> None:
    async def train() -> BoundaryRouter:
        tasks = await trainer().tasks(PROBLEMS)
        return await trainer().optimised(untrained(PROBLEMS), tasks)

    assert roles_of(asyncio.run(train()), 0.2) == IDEAL


def rollout(*, correct: bool, usd: float) -> Rollout:
    return Rollout(correct=correct, usd=usd, texts=("a",), roles=("weak",))


TASK = BoundaryTask(
    problem=PROBLEMS[0], weak=(rollout(correct=False, usd=1.0),) * 2, strong=(rollout(correct=True, usd=3.0),) * 2
)


def test_a_group_that_fails_cheaply_throughout_is_pushed_out_only_by_the_reference() -> None:
    group = [rollout(correct=False, usd=1.0)] * 4
    plain = trainer(replace(SETTINGS, reference=False)).advantages(TASK, group, 0.5)
    assert (plain == 0).all()
    assert (trainer().advantages(TASK, group, 0.5) < 0).all()


def test_rewards_are_anchored_at_both_boundary_policies() -> None:
    cheap, dear = rollout(correct=True, usd=1.0), rollout(correct=True, usd=3.0)
    assert TASK.reward(cheap, 0.4, 0.5) == pytest.approx(1.5)
    assert TASK.reward(dear, 0.4, 0.5) == pytest.approx(1.1)
    assert TASK.reward(rollout(correct=False, usd=100.0), 0.4, 0.5) == pytest.approx(-0.6)
    assert TASK.references(0.4, 0.5) == (pytest.approx(0.0), pytest.approx(1.1))


def test_the_sentences_to_come_are_those_after_the_newest_number() -> None:
    text = "(1) Ann has 3 red pens. (2) Bo sings. (3) Bo has twice as many as Ann. How many?"
    words = [{"has", "red", "pens"}, {"sings"}, {"has", "twice", "as", "many"}]
    assert coming_sentences(text, []) == words
    assert coming_sentences(text, ["(1) Ann has 3.", "no number"]) == words[1:]
    assert coming_sentences("No numbers here.", ["a"]) == []


def test_it_comes_back_from_its_folder_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    router = BoundaryRouter(("tricky",), np.arange(len(STATE) + 2.0))
    write_artifact(boundary_artifact(BoundaryFamily(router), {"seed": 1}), tmp_path / "b")
    again = load_policy(tmp_path / "b")
    assert isinstance(again, BoundaryFamily)
    assert again.router.terms == ("tricky",)
    assert again.router.chance("(1) a tricky one", [], "", 0.2) == router.chance("(1) a tricky one", [], "", 0.2)
    with pytest.raises(ConfigError, match="λ"):
        again.at(0.0, 0)
    broken = boundary_artifact(BoundaryFamily(router), {})
    broken.arrays["weights"] = np.zeros(3)
    write_artifact(broken, tmp_path / "broken")
    with pytest.raises(ArtifactError, match="weights"):
        load_policy(tmp_path / "broken")
