from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from tests.engine.scripted import ScriptedModel, ScriptedScorer
from tests.evaluation.graded import graded

from steproute import ModelRole, Outcome, Price, Roles, ScorerRole, Step
from steproute.core.problem import Problem
from steproute.core.trace import Trace
from steproute.engine.runner import Route
from steproute.evaluation.estimate import Amount, Estimate, estimate, scaled
from steproute.evaluation.route_bounds import Range, Shape, prior_shape
from steproute.policies.trim.threshold import Threshold
from steproute.strategies.single import Single
from steproute.strategies.stepwise import Stepwise

PRICE = Price(input=Decimal(1), output=Decimal(2), cache_read=Decimal("0.1"))
ROLES = Roles(
    models={role: ModelRole(model=ScriptedModel(role, []), price=PRICE) for role in ("weak", "strong")},
    scorers={"prm": ScorerRole(scorer=ScriptedScorer(), price=PRICE)},
)
ALONE = Route(name="alone", strategy=Single("strong"))
ROUTED = Route(name="t", strategy=Stepwise(policy=Threshold(0.5)))
ONE = Range(1.0, 1.0, 1.0)
SHAPE = Shape(
    steps=Range(2.0, 4.0, 8.0),
    tokens=Range(20.0, 40.0, 80.0),
    prompt=Range(10.0, 10.0, 10.0),
    call_s=ONE,
    token_s=Range(0.0, 0.0, 0.0),
    source="a test",
)


def traces(route: str, costs: list[float]) -> list[Trace]:
    return [graded(route, f"p{number}", True, strong_tokens=5, usd=usd) for number, usd in enumerate(costs)]


def found(missing: list[tuple[Route, int]], known: list[Trace], seed: int = 0) -> Estimate:
    return estimate(missing, known, ROLES, SHAPE, 4, np.random.default_rng(seed))


def test_solutions_that_all_cost_the_same_have_an_interval_of_no_width() -> None:
    amount = found([(ALONE, 10)], traces("alone", [0.25] * 5))
    assert (amount.sampled, amount.bounded, amount.missing) == (1, 0, 10)
    assert amount.usd == Amount(low=2.5, expected=2.5, high=2.5)
    assert amount.tokens["strong"].expected == 50
    assert amount.calls.expected == 20


def test_estimate_intervals_cover_the_bill_of_new_problems() -> None:
    rng, held = np.random.default_rng(1), 0
    for seed in range(60):
        few, rest = rng.gamma(2.0, 0.1, 30).round(4), rng.gamma(2.0, 0.1, 100)
        usd = found([(ALONE, 100)], traces("alone", few.tolist()), seed).usd
        held += usd.low <= rest.sum() <= usd.high
    assert 50 <= held <= 60


def test_a_route_without_traces_is_estimated_from_its_bounds() -> None:
    usd, calls = found([(ROUTED, 1)], []).usd, found([(ROUTED, 1)], []).calls
    assert (calls.low, calls.high) == (2.0, 24.0)
    assert calls.low < calls.expected < calls.high
    written = 80 * 2 * 2  # both models write all
    read = (8 * 10 + 80 * 7 / 2) * 2 + (8 * 10 + 80 * 7 / 2 + 80)  # and read all anew, as does the scorer
    assert usd.high == pytest.approx((written + read) / 1e6)
    assert usd.low < usd.expected < usd.high


def test_cancelled_attempts_are_no_solutions_to_estimate_from() -> None:
    steps = (Step(role="weak", text="a", tokens=5),) * 4
    whole = [replace(trace, steps=steps) for trace in traces("alone", [0.25] * 5)]
    cut = [replace(trace, steps=steps[:1], outcome=Outcome.CANCELLED) for trace in traces("t", [0.01] * 5)]
    missing = [(ALONE, 5), (ROUTED, 5)]
    assert found(missing, whole + cut) == found(missing, whole)


def test_known_and_unknown_routes_are_added_up() -> None:
    both = found([(ALONE, 10), (ROUTED, 3)], traces("alone", [0.25] * 5))
    alone, routed = found([(ALONE, 10)], traces("alone", [0.25] * 5)), found([(ROUTED, 3)], traces("alone", [0.25] * 5))
    assert (both.sampled, both.bounded, both.missing) == (1, 1, 13)
    assert both.usd.high == pytest.approx(alone.usd.high + routed.usd.high)


def test_minutes_are_seconds_over_problems_in_flight() -> None:
    assert found([(ALONE, 8)], []).minutes.expected == pytest.approx(8 / 60 / 4)
    assert found([(ALONE, 2)], []).minutes.expected == pytest.approx(2 / 60 / 2)


def test_nothing_missing_takes_nothing() -> None:
    assert found([], traces("alone", [1.0] * 5)).usd == Amount(low=0.0, expected=0.0, high=0.0)


@pytest.mark.parametrize(("data", "embedded"), [("lab", True), ("trim-world", True), ("own.jsonl", False)])
def test_a_prior_is_an_interval_with_its_source(data: str, embedded: bool) -> None:
    shape = prior_shape(data, [Problem.ask(id="a", text="How many?")], embedded=embedded)
    for part in (shape.steps, shape.tokens, shape.prompt, shape.call_s, shape.token_s):
        assert 0 <= part.low <= part.expected <= part.high
    assert shape.source


def test_a_longer_problem_has_a_longer_prompt() -> None:
    short, long = (prior_shape("x", [Problem.ask(id="a", text=text)], embedded=False) for text in ("a", "a " * 900))
    assert long.prompt.low > short.prompt.high


def test_an_amount_is_scaled_at_both_ends() -> None:
    assert scaled(Amount(low=1.0, expected=2.0, high=3.0), 1, 5) == Amount(low=1.0, expected=6.0, high=15.0)
