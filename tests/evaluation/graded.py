"""Graded traces with chosen outcomes and costs, as a sweep leaves them."""

from collections.abc import Sequence
from decimal import Decimal

from steproute.core.grade import Verdict
from steproute.core.problem import Problem
from steproute.core.solution import Outcome
from steproute.core.trace import Trace
from steproute.core.usage import AccountLine, Purpose, Usage
from steproute.engine.runner import Route
from steproute.evaluation.sweep import Series, Sweep
from steproute.strategies.single import Single


def route(name: str) -> Route:
    return Route(name=name, strategy=Single("weak"))


def series(name: str, knobs: Sequence[float]) -> Series:
    return Series(name=name, knobs=tuple(knobs), routes=tuple(route(f"{name}={knob:g}") for knob in knobs))


def sweep(policy: Series, *baselines: Series) -> Sweep:
    return Sweep(weak=route("weak"), strong=route("strong"), policy=policy, baselines=baselines)


def problems(count: int) -> list[Problem]:
    return [Problem.ask(id=f"p{index}", text="?", answer="1") for index in range(count)]


def graded(
    route_name: str,
    problem_id: str,
    verdict: Verdict | bool | None,
    *,
    strong_tokens: int = 0,
    weak_tokens: int = 0,
    usd: float = 0.0,
    seed: int = 0,
) -> Trace:
    lines = tuple(
        AccountLine(
            role=role,
            model=role,
            purpose=Purpose.ACCEPTED,
            usage=Usage(output_tokens=tokens),
            cost_usd=Decimal(str(dollars)),
            price_table="made up",
            latency_s=0.0,
        )
        for role, tokens, dollars in (("strong", strong_tokens, 0), ("weak", weak_tokens, usd))
    )
    if isinstance(verdict, bool):
        verdict = Verdict.CORRECT if verdict else Verdict.INCORRECT
    return Trace(
        problem_id=problem_id,
        route=route_name,
        steps=(),
        answer="1",
        outcome=Outcome.FAILED if verdict is None else Outcome.ANSWERED,
        account=lines,
        latency_s=1.0,
        seed=seed,
        verdict=verdict,
    )
