"""What the predictors of routes are fitted to: one figure for each problem and seed."""

from decimal import Decimal

import pytest

from steproute import AccountLine, Outcome, Purpose, Usage
from steproute.core.grade import Verdict
from steproute.core.trace import Trace
from steproute.learn.route_runs import RouteRuns

TEXTS = {f"p{i}": f"problem {i}" for i in range(20)}


def trace(problem: str, verdict: Verdict | None = Verdict.CORRECT, seed: int = 0, tokens: int = 10) -> Trace:
    line = AccountLine(
        role="weak",
        model="m",
        purpose=Purpose.ACCEPTED,
        usage=Usage(output_tokens=tokens),
        cost_usd=Decimal("0.5"),
        price_table="",
        latency_s=1.0,
    )
    return Trace(
        problem_id=problem,
        route="single/weak",
        steps=(),
        answer="1",
        outcome=Outcome.ANSWERED,
        account=(line,),
        latency_s=1.0,
        seed=seed,
        verdict=verdict,
    )


def test_seeds_are_averaged_and_a_route_of_several_runs_counts_once() -> None:
    runs = RouteRuns()
    runs.add([trace(problem) for problem in TEXTS], TEXTS)
    runs.add([trace(problem, tokens=30) for problem in TEXTS], TEXTS)
    runs.add([trace("p0", Verdict.INCORRECT, seed=1, tokens=50)], TEXTS)
    (weak,) = runs.outcomes()
    assert weak.runs.tolist() == [2.0] + [1.0] * 19
    assert weak.right.tolist() == [0.5] + [1.0] * 19
    assert weak.costs[:2, :2].tolist() == [[0.5, 40.0], [0.5, 30.0]]


@pytest.mark.parametrize("odd", [trace("unknown"), trace("p1", None)])
def test_what_has_no_verdict_or_no_text_is_left_out(odd: Trace) -> None:
    runs = RouteRuns()
    runs.add([*map(trace, TEXTS), odd], TEXTS)
    assert runs.left_out == 1
    assert len(runs.outcomes()[0].problems) == 20
