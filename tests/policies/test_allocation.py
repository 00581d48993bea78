"""Who writes which sub-task: the exact optimum, what it weighs, and the artefact."""

from dataclasses import replace
from decimal import Decimal
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steproute.artifacts import Artifact, write_artifact
from steproute.core.errors import ArtifactError, ConfigError
from steproute.core.solution import Confidence, Step
from steproute.core.usage import Price
from steproute.policies.allocation import (
    Everything,
    Outline,
    Tariff,
    best_allocation,
    chance_of,
    frontier,
    most_valuable,
)
from steproute.policies.allocation_model import AllocationModel, allocation_artifact, load_allocation, masked
from steproute.policies.query import TfIdf

PRICES = {
    "weak": Price(input=Decimal(1), output=Decimal(1)),
    "strong": Price(input=Decimal(10), cache_read=Decimal(1), output=Decimal(10)),
}


@st.composite
def problems(draw: st.DrawFn) -> tuple[np.ndarray, Tariff, float]:
    """Gains, costs and a price of up to 5 sub-tasks and 3 roles."""
    count, roles = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    keeping = rng.random((count, roles))
    tariff = Tariff(
        writing=rng.random((count, roles)),
        keeping=keeping,
        switching=keeping + rng.random((count, roles)),
        before=draw(st.integers(-1, roles - 1)),
        closes=draw(st.booleans()),
    )
    return np.log(rng.random((count, roles))), tariff, draw(st.floats(0, 3))


@given(problems())
def test_the_viterbi_finds_what_trying_all_finds(problem: tuple[np.ndarray, Tariff, float]) -> None:
    gains, tariff, price = problem

    def value(roles: tuple[int, ...]) -> float:
        return float(gains[np.arange(len(roles)), roles].sum()) - price * tariff.cost(roles)

    best = max(product(range(gains.shape[1]), repeat=len(gains)), key=value)
    assert value(best_allocation(gains, tariff, price)) == pytest.approx(value(best))


@given(problems(), st.floats(0.1, 1))
def test_the_most_valuable_allocation_is_exact_too(problem: tuple[np.ndarray, Tariff, float], worth: float) -> None:
    gains, tariff, price = problem

    def value(roles: tuple[int, ...]) -> float:
        return worth * chance_of(gains, roles) - price * tariff.cost(roles)

    best = max(product(range(gains.shape[1]), repeat=len(gains)), key=value)
    assert value(most_valuable(gains, tariff, worth, price)) == pytest.approx(value(best))


@given(problems())
def test_along_the_frontier_more_is_reached_for_more(problem: tuple[np.ndarray, Tariff, float]) -> None:
    gains, tariff, _ = problem
    corners = frontier(gains, tariff)
    assert [tariff.cost(each) for each in corners] == sorted(tariff.cost(each) for each in corners)
    assert [chance_of(gains, each) for each in corners] == sorted(chance_of(gains, each) for each in corners)


def test_a_change_of_role_reads_everything_and_the_last_call_reads_once() -> None:
    ones = np.ones((3, 2))
    tariff = Tariff(writing=ones, keeping=10 * ones, switching=100 * ones)
    assert tariff.cost((0, 0, 0)) == 103
    assert tariff.cost((0, 0, 1)) == 100 + 10 + 100 + 3
    assert tariff.cost((0, 1, 1)) == 203
    assert replace(tariff, closes=False).cost((0, 0, 0)) == 123
    assert replace(tariff, before=0).cost((0, 0, 0)) == 13


def test_switching_is_worth_it_only_while_reading_is_cheap() -> None:
    gains = np.log([[0.9, 0.95], [0.1, 0.95], [0.9, 0.95]])
    nothing = np.zeros((3, 2))
    writing = np.tile([0.0, 0.2], (3, 1))
    free = Tariff(writing=writing, keeping=nothing, switching=nothing)
    assert best_allocation(gains, free, 1.0) == (0, 1, 0)
    assert best_allocation(gains, replace(free, switching=nothing + 0.5), 1.0) in {(0, 1, 1), (1, 1, 1)}


def model(**changes: object) -> AllocationModel:
    """One word matters: the weak model cannot divide."""
    text = TfIdf(("divide",), np.ones(1))
    weights = np.array([[-6.0, 4.0, 0, 0, 0], [0, 4.0, 0, 0, 0]])
    fields: dict[str, object] = {
        "text": text,
        "roles": ("weak", "strong"),
        "weights": weights,
        "sure": np.hstack([weights, [[1.0, 1.0], [1.0, 1.0]]]),
        "step_tokens": np.array([10.0, 10.0]),
        "recovery": 0.0,
        "read_per_character": 0.25,
        "characters": 100.0,
        "subtasks": 3.0,
    }
    return AllocationModel(**{**fields, **changes})  # type: ignore[arg-type]


def outline(*steps: Step, closes: bool = True) -> Outline:
    return Outline(problem="?" * 100, subtasks=("add", "divide", "add"), steps=steps, prices=PRICES, closes=closes)


def test_the_strong_model_gets_what_the_weak_one_cannot_do_and_what_saves_a_switch() -> None:
    unread = model(read_per_character=0.0)
    assert unread.at(0.3).allocate(outline()) == ("weak", "strong", "weak")
    assert model().at(0.3).allocate(outline()) == ("strong", "strong", "weak")
    assert model().at(10.0).allocate(outline()) == ("weak", "weak", "weak")


def test_what_is_left_is_allocated_and_a_hopeless_solution_is_finished_cheaply() -> None:
    def step(logprob: float) -> Step:
        confidence = Confidence(mean_logprob=logprob, min_logprob=logprob)
        return Step(role="weak", text="x", tokens=10, confidence=confidence)

    assert model().at(0.3).allocate(outline(step(-0.01), closes=False)) == ("strong", "weak")
    assert model().at(0.3).allocate(outline(step(-4.0), closes=False)) == ("weak", "weak")
    assert len(model().at(0.3).allocate(outline(Step(role="weak", text="x", tokens=9)))) == 2


def test_one_unit_of_cost_is_the_strong_models_usual_solution() -> None:
    tariff = model().tariff(outline())
    assert tariff.cost((1, 1, 1)) == pytest.approx(1.0)
    assert tariff.cost((0, 0, 0)) == pytest.approx(0.1)


def test_numbers_and_names_are_masked() -> None:
    assert (
        masked("Then Ada buys 12 more pens than Ben, 3.5 at once") == "Then name buys 0 more pens than name, 0 at once"
    )


def test_one_role_can_have_everything() -> None:
    assert Everything("mid").allocate(outline(Step(role="mid", text="x", tokens=1))) == ("mid", "mid")


def test_an_allocation_is_read_back_as_it_was(tmp_path: Path) -> None:
    write_artifact(allocation_artifact(model(), {"data": "here"}), tmp_path / "a")
    again = load_allocation(tmp_path / "a")
    assert (again.roles, again.text.terms) == (("weak", "strong"), ("divide",))
    assert again.at(0.3).allocate(outline()) == model().at(0.3).allocate(outline())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "pomdp"}, "of kind 'pomdp', not an allocation"),
        ({"weights": np.zeros((2, 9))}, "weights"),
        ({"sure": None}, "sure"),
        ({"step_tokens": np.zeros(3)}, "step_tokens"),
        ({"recovery": 1.0}, "recovery"),
        ({"terms": ["divide", 3]}, "terms"),
    ],
)
def test_an_unsound_artefact_is_named(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    sound = allocation_artifact(model(), {})
    arrays = {**sound.arrays, **{name: changes[name] for name in changes if name in sound.arrays}}
    facts = {**sound.facts, **{name: changes[name] for name in changes if name in sound.facts}}
    kept = {name: array for name, array in arrays.items() if array is not None}
    write_artifact(Artifact(kind=str(changes.get("kind", sound.kind)), arrays=kept, facts=facts), tmp_path / "a")  # type: ignore[arg-type]
    with pytest.raises(ArtifactError, match=message):
        load_allocation(tmp_path / "a")


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="weights"):
        model(roles=("weak",))
