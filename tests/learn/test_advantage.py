import asyncio
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from tests.engine.test_episode import Say, Stage

from steproute import Draft, Observation, Prefix, Problem, Step, Stop, Usage
from steproute.config import lab_roles
from steproute.core.errors import DatasetError
from steproute.core.trace import Trace
from steproute.evaluation.datasets import load_problems
from steproute.learn.advantage import fit_advantage
from steproute.learn.advantage_rows import AdvantageRow, Label, PairWalk
from steproute.learn.rollouts import solve_all


async def is_one(problem: Problem, trace: Trace) -> bool:
    return trace.answer == "1"


def made_up(count: int, seed: int) -> list[AdvantageRow]:
    """Strong is better if the newest score is low and the earlier one is high: after an error nothing is gained."""
    rng = np.random.default_rng(seed)
    rows = []
    for index in range(count):
        earlier, newest = rng.random(2)
        chance = (earlier > 0.5) * (newest < 0.4) * 0.8 + 0.02
        delta = float(rng.random() < chance)
        steps = (Step(role="weak", text="s", tokens=1),)
        observation = Observation(
            prefix=Prefix(problem=Problem.ask(id="p", text="t"), steps=steps),
            draft=Draft(model="m", text="x", stop=Stop.SEPARATOR, usage=Usage(output_tokens=30)),
            scores=(earlier, newest),
            max_steps=10,
        )
        advantages: Mapping[Label, float] = {"rollouts": delta}
        rows.append(
            AdvantageRow(
                problem_id=f"p{index}",
                observation=observation,
                advantages=advantages,
                savable=delta > 0,
                held_out=index % 5 == 0,
            )
        )
    return rows


def test_it_learns_where_strong_gains_and_restores_the_base_rate() -> None:
    rows = made_up(3000, 0)
    family, figures = fit_advantage(rows, "rollouts", confident=False)
    assert figures.auc is not None
    assert figures.auc_score is not None
    assert figures.auc > figures.auc_score + 0.05
    assert figures.rho is not None
    assert figures.rho > 0.4
    chances = [family.network.probability(_features(row)) for row in rows]
    assert np.mean(chances) == pytest.approx(figures.base_rate, abs=0.03)
    assert family.knobs[0] == 0.0
    assert family.knobs[-1] == 1.0


def _features(row: AdvantageRow) -> np.ndarray:
    from steproute.policies.advantage import advantage_features

    return advantage_features(row.observation, confident=False)


def test_a_fit_is_the_same_again() -> None:
    first, second = (fit_advantage(made_up(600, 1), "rollouts", confident=False)[0] for _ in range(2))
    assert all(
        np.array_equal(first.network.weights[name], second.network.weights[name]) for name in first.network.weights
    )


def test_too_few_steps_of_a_class_are_refused() -> None:
    rows = [replace(row, advantages={"rollouts": 0.0}) for row in made_up(100, 0)]
    with pytest.raises(DatasetError, match=r"the strong model's is better at 0; 10"):
        fit_advantage(rows, "rollouts", confident=False)


def test_rollouts_say_how_often_weak_gets_there_from_either_step() -> None:
    """Weak goes on from its own step to a wrong answer and from strong's to the right one, half of the times."""
    right, wrong = Say("so \\boxed{1}", 5, Stop.END), Say("so \\boxed{2}", 5, Stop.END)
    stage = Stage(
        weak=[Say("a"), wrong, wrong, right, wrong],
        strong=[Say("b \\boxed{1}", 5, Stop.END)] * 2,
    )
    walk = PairWalk(label="rollouts", grade=is_one, oracle=["p"], held_out=[], checks=False, rollouts=4)
    stage.solve(walk)
    ((row,),) = walk.rows.values()
    assert row.advantages["rollouts"] == pytest.approx(1 - 0.25)


def test_on_the_lab_the_checker_tells_savable_steps_and_equal_texts_have_no_advantage() -> None:
    problems = load_problems("lab:train", 4, 0)
    names = [problem.id for problem in problems]
    walk = PairWalk(label="checker", grade=is_one, oracle=names[::2], held_out=[], checks=True)
    traces = asyncio.run(solve_all(problems, lab_roles(), walk))
    assert not any(trace.failed for trace in traces)
    rows = [row for each in walk.rows.values() for row in each]
    assert len(rows) == sum(len(trace.steps) for trace in traces)
    assert {row.problem_id for row in rows} == set(names)
    for row in rows:
        assert set(row.advantages) == {"prm", "checker"}
        assert row.savable is not None
        assert not row.savable or row.advantages["checker"] > 0
