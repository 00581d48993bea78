"""What a solution by a route takes at least and at most, from how many steps and tokens solutions have."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from steproute.core.arrays import F64
from steproute.core.ports import NEEDS
from steproute.core.problem import Problem
from steproute.core.recording import estimated_tokens
from steproute.core.trace import Trace
from steproute.core.usage import Price, Usage
from steproute.engine.roles import Roles
from steproute.engine.runner import Route
from steproute.lab.trim_world.parameters import load_parameters
from steproute.lab.trim_world.world import is_trim_world
from steproute.strategies.single import Single

Vector = Callable[[float, float, float, Mapping[str, float], Mapping[str, float]], F64]
_TEMPLATE_TOKENS: Final = 40
_EXPECTED_SHARE: Final = 0.4
_SPREAD: Final = 0.15


class Range(NamedTuple):
    """An interval of a mean with what is expected."""

    low: float
    expected: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Means per solution: steps, and generated tokens; prompt tokens of a problem; seconds per call and per token.

    source: where the numbers are from, in words.
    """

    steps: Range
    tokens: Range
    prompt: Range
    call_s: Range
    token_s: Range
    source: str

    def seen_in(self, traces: Sequence[Trace]) -> "Shape":
        """With the steps, tokens and seconds of traces, if there are any."""
        solved = [trace for trace in traces if trace.steps]
        if not solved:
            return self
        steps = sum(len(trace.steps) for trace in solved) / len(solved)
        tokens = sum(step.tokens for trace in solved for step in trace.steps) / len(solved)
        calls = [line for trace in solved for line in trace.account]
        call_s = sum(line.latency_s for line in calls) / max(1, len(calls))
        return replace(
            self,
            steps=_around(steps),
            tokens=_around(tokens),
            call_s=_around(call_s),
            token_s=Range(0.0, 0.0, 0.0),  # part of the call's
            source="traces",
        )


def prior_shape(data: str, problems: Sequence[Problem], *, embedded: bool) -> Shape:
    """What is known without any trace.

    Steps and tokens of the embedded models are those of their own cards (docs/reference/lab-model-card.md and
    trim-world-card.md; 5.4 steps and 70 tokens on 100 problems of `lab`). Of other models they span what was recorded
    on MATH-500: 8.7 to 27.9 steps and 450 to 710 tokens per solution (Llama-3.2-1B and 3.1-8B, 400 problems, and
    Qwen3-1.7B and 14B, 137 problems; docs/reference/recordings.md), and down to an answer with hardly any reasoning.
    Seconds are assumptions: 5 to 100 ms per token, up to a second before the first.
    """
    text = sum(estimated_tokens(problem.text) for problem in problems) / len(problems)
    prompt = text + estimated_tokens(problems[0].rule.instructions) + _TEMPLATE_TOKENS
    slow = {"call_s": Range(0.05, 0.3, 1.0), "token_s": Range(0.005, 0.02, 0.1)}
    if embedded and is_trim_world(data):
        world = load_parameters()
        read = float(world.prompt_tokens)
        step = sum(model.step_tokens for model in world.models.values()) / len(world.models)
        return Shape(
            steps=Range(4.0, 8.0, 16.0),
            tokens=Range(4.0 * step, 8.0 * step, 16.0 * step),
            prompt=Range(read, read, read),
            call_s=Range(0.0, 0.0, 0.0),
            token_s=Range(0.0, 0.0, 0.0),
            source="the parameters of TRIM's world",
        )
    if embedded:
        return Shape(
            steps=Range(4.5, 5.4, 6.5),
            tokens=Range(58.0, 70.0, 85.0),
            prompt=Range(65.0, 76.0, 90.0),
            call_s=Range(0.02, 0.3, 1.5),
            token_s=Range(0.0, 0.005, 0.02),
            source="the lab's model card",
        )
    return Shape(
        steps=Range(2.0, 10.0, 28.0),
        tokens=Range(15.0, 450.0, 1000.0),
        prompt=Range(0.6 * text, prompt, 1.7 * prompt),
        source="solutions recorded on MATH-500",
        **slow,
    )


def route_bounds(route: Route, roles: Roles, shape: Shape, vector: Vector) -> list[F64]:
    """(low, expected, high) of one solution: calls, dollars, seconds and tokens as `vector` arranges them.

    A single model writes once, unless an environment answers. Any other route has at least what its first model alone
    writes step by step, read from a prefix cache, and at most each step written by every model and scored by every
    scorer, without a cache.
    """
    if isinstance(route.strategy, Single) and roles.environment is None:
        return [_alone(route.strategy.role, roles, at, vector) for at in _ends(shape)]
    needs = NEEDS.of(route.strategy)
    low, expected, high = _ends(shape)
    first, *others = needs.models
    shares = {"low": 0.0, "expected": _EXPECTED_SHARE, "high": 1.0}
    return [
        _by_steps([(first, 1.0), *((role, share) for role in others)], scorers, roles, at, vector, cached)
        for at, share, scorers, cached in (
            (low, shares["low"], (), True),
            (expected, shares["expected"], needs.scorers, True),
            (high, shares["high"], needs.scorers, False),
        )
    ]


class _At(NamedTuple):
    """A shape at one end of its intervals."""

    steps: float
    tokens: float
    prompt: float
    call_s: float
    token_s: float


def _ends(shape: Shape) -> tuple[_At, _At, _At]:
    parts = (shape.steps, shape.tokens, shape.prompt, shape.call_s, shape.token_s)
    low, expected, high = (_At(*values) for values in zip(*parts, strict=True))
    return low, expected, high


def _alone(role: str, roles: Roles, at: _At, vector: Vector) -> F64:
    usd = _cost(roles.model(role).price, at.prompt, 0.0, at.tokens)
    return vector(1.0, usd, at.call_s + at.tokens * at.token_s, {role: at.tokens}, {})


def _by_steps(
    writers: Sequence[tuple[str, float]],
    scorers: Sequence[str],
    roles: Roles,
    at: _At,
    vector: Vector,
    cached: bool,
) -> F64:
    """Each model writes its share of the steps, every scorer reads after each."""
    calls = usd = seconds = 0.0
    written: dict[str, float] = {}
    read: dict[str, float] = {}
    again = at.steps * at.prompt + at.tokens * (at.steps - 1) / 2  # what all step calls read
    once = min(again, at.prompt + at.tokens)
    for role, share in writers:
        fresh, kept = (once, again - once) if cached else (again, 0.0)
        usd += _cost(roles.model(role).price, share * fresh, share * kept, share * at.tokens)
        written[role] = share * at.tokens
        calls += share * at.steps
        seconds += share * (at.steps * at.call_s + at.tokens * at.token_s)
    for name in scorers:
        total = again + at.tokens
        fresh, kept = (once, max(0.0, total - once)) if cached else (total, 0.0)
        usd += sum(_cost(price, fresh, kept, 0.0) for price in _prices(name, roles))
        read[name], calls = total, calls + at.steps
        seconds += at.steps * at.call_s
    return vector(calls, usd, seconds, written, read)


def _prices(name: str, roles: Roles) -> Iterator[Price]:
    judge = roles.scorer(name)
    if judge.members:
        yield from (member.price for member in judge.members.values())
    else:
        yield judge.price


def _cost(price: Price, fresh: float, kept: float, written: float) -> float:
    used = Usage(input_tokens=round(fresh), cache_read_tokens=round(kept), output_tokens=round(written))
    return float(price.cost(used))


def _around(mean: float) -> Range:
    return Range((1 - _SPREAD) * mean, mean, (1 + _SPREAD) * mean)
