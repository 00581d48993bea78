"""The three tables of a run: one row per solution, per step and per call. Each column is defined here and only here.

docs/reference/export.md says what each column means; a test holds the page to these classes.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Generic, TypeVar

import msgspec

from steproute.core.decision import Accept, Decision, Rewrite
from steproute.core.errors import ConfigError
from steproute.core.grade import Verdict
from steproute.core.route_name import RouteName
from steproute.core.trace import Trace, total_usage
from steproute.core.usage import AccountLine

Row = TypeVar("Row", bound=msgspec.Struct)


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    """What says which solution a row belongs to: the same three columns in every table."""

    problem_id: str
    route: str
    seed: int


class ProblemRow(_Row, frozen=True, kw_only=True):
    """One solution of one problem by one route at one seed."""

    strategy: str | None
    policy: str | None
    knob: float | None
    outcome: str
    correct: bool | None
    undecided: bool
    answer: str | None
    gold_answer: str | None
    grader: str | None
    steps: int
    calls: int
    weak_tokens: int
    strong_tokens: int
    discarded_tokens: int
    prm_tokens: int
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cache_write_1h_tokens: int
    output_tokens: int
    reasoning_tokens: int
    estimated: bool
    cost_usd: Decimal
    latency_s: float
    call_latency_s: float
    wait_s: float
    error: str | None
    error_role: str | None
    fallbacks: int
    fallback_roles: str | None
    fallback_reasons: str | None


class StepRow(_Row, frozen=True, kw_only=True):
    """One step of a solution."""

    step: int
    role: str
    text: str
    tokens: int
    score: float | None
    decision: str | None
    rejected_text: str | None
    rejected_score: float | None
    width: int | None
    votes: int | None
    repaired_from: str | None
    mean_logprob: float | None
    min_logprob: float | None
    first_token_entropy: float | None


class CallRow(_Row, frozen=True, kw_only=True):
    """One call of a model or scorer: one line of the account."""

    call: int
    role: str
    model: str
    purpose: str
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cache_write_1h_tokens: int
    output_tokens: int
    reasoning_tokens: int
    estimated: bool
    cost_usd: Decimal
    price_table: str
    latency_s: float
    wait_s: float
    request_id: str | None


@dataclass(frozen=True, slots=True)
class Table(Generic[Row]):
    """A table's name, the class of its rows, and the rows that a trace gives."""

    name: str
    row: type[Row]
    rows: Callable[[Trace], Iterable[Row]]


def table_named(name: str) -> Table[Any]:
    """One of the three tables; raises ConfigError for another name."""
    for table in TABLES:
        if table.name == name:
            return table
    raise ConfigError(
        f"{name!r} is unknown.", where="table", remedy=f"Use {', '.join(table.name for table in TABLES)}."
    )


def _problem_rows(trace: Trace) -> Iterator[ProblemRow]:
    route, usage = RouteName.parse(trace.route), total_usage(trace.account)
    yield ProblemRow(
        **_key(trace),
        strategy=None if route is None else route.strategy,
        policy=None if route is None else route.policy,
        knob=None if route is None else route.knob,
        outcome=trace.outcome.value,
        correct=None if trace.verdict is None else trace.verdict is Verdict.CORRECT,
        undecided=trace.verdict is Verdict.UNDECIDED,
        answer=trace.answer,
        gold_answer=trace.gold,
        grader=trace.grader,
        steps=len(trace.steps),
        calls=len(trace.account),
        weak_tokens=trace.generated_tokens("weak"),
        strong_tokens=trace.generated_tokens("strong"),
        discarded_tokens=trace.discarded_tokens(),
        prm_tokens=trace.scored_tokens(),
        input_tokens=usage.input_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        cache_write_1h_tokens=usage.cache_write_1h_tokens,
        output_tokens=usage.output_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        estimated=usage.estimated,
        cost_usd=trace.cost_usd,
        latency_s=trace.latency_s,
        call_latency_s=_seconds(line.latency_s for line in trace.account),
        wait_s=_seconds(line.wait_s for line in trace.account),
        error=trace.error,
        error_role=trace.at_fault,
        fallbacks=len(trace.fallbacks),
        fallback_roles=_joined((each.role for each in trace.fallbacks), ","),
        fallback_reasons=_joined((each.reason for each in trace.fallbacks), "\n"),
    )


def _step_rows(trace: Trace) -> Iterator[StepRow]:
    for number, step in enumerate(trace.steps, start=1):
        confidence = step.confidence
        yield StepRow(
            **_key(trace),
            step=number,
            role=step.role,
            text=step.text,
            tokens=step.tokens,
            score=step.score,
            decision=_decision(step.decision),
            rejected_text=step.rejected,
            rejected_score=step.rejected_score,
            width=step.width,
            votes=step.votes,
            repaired_from=step.repaired_from,
            mean_logprob=None if confidence is None else confidence.mean_logprob,
            min_logprob=None if confidence is None else confidence.min_logprob,
            first_token_entropy=None if confidence is None else confidence.first_token_entropy,
        )


def _decision(decision: Decision | None) -> str | None:
    """`accept`; `rewrite` with the role after a colon; `takeover` likewise."""
    match decision:
        case None:
            return None
        case Accept():
            return "accept"
        case Rewrite(role, steps):
            return f"{'rewrite' if steps == 1 else 'takeover'}:{role}"


def _call_rows(trace: Trace) -> Iterator[CallRow]:
    for number, line in enumerate(trace.account, start=1):
        yield _call_row(trace, number, line)


def _call_row(trace: Trace, number: int, line: AccountLine) -> CallRow:
    usage = line.usage
    return CallRow(
        **_key(trace),
        call=number,
        role=line.role,
        model=line.model,
        purpose=line.purpose.value,
        input_tokens=usage.input_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        cache_write_1h_tokens=usage.cache_write_1h_tokens,
        output_tokens=usage.output_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        estimated=usage.estimated,
        cost_usd=line.cost_usd,
        price_table=line.price_table,
        latency_s=line.latency_s,
        wait_s=line.wait_s,
        request_id=line.request_id or None,
    )


def _key(trace: Trace) -> dict[str, Any]:
    return {"problem_id": trace.problem_id, "route": trace.route, "seed": trace.seed}


def _seconds(values: Iterable[float]) -> float:
    return sum(values, 0.0)


def _joined(texts: Iterable[str], separator: str) -> str | None:
    return separator.join(texts) or None


PROBLEMS: Final = Table("problems", ProblemRow, _problem_rows)
STEPS: Final = Table("steps", StepRow, _step_rows)
CALLS: Final = Table("calls", CallRow, _call_rows)
TABLES: Final[tuple[Table[Any], ...]] = (PROBLEMS, STEPS, CALLS)
