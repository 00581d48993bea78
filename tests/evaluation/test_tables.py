import asyncio
import re
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from types import NoneType
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engine.scripted import Fail, Hang, Say
from tests.engine.test_episode import PROBLEM, Stage, chosen_strategies, limits, replies
from tests.evaluation.made_up_traces import traces

from steproute import Episode, Limits, Purpose
from steproute.core.errors import ConfigError
from steproute.core.trace import Trace, total_usage
from steproute.evaluation.tables import CALLS, PROBLEMS, STEPS, TABLES, CallRow, Table, table_named
from steproute.store import LedgerRow

LEDGER: Table[Any] = Table("ledger", LedgerRow, lambda _: ())
PAGE = Path(__file__).parents[2] / "docs/reference/export.md"
COUNTS = (
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
)
WORDS = {str: "text", int: "integer", float: "number", bool: "boolean", Decimal: "decimal"}


def output_tokens(calls: Iterable[CallRow], role: str, *purposes: Purpose) -> int:
    return sum(call.output_tokens for call in calls if call.role == role and call.purpose in purposes)


def check_sums(trace: Trace) -> None:
    (problem,), calls = PROBLEMS.rows(trace), list(CALLS.rows(trace))
    assert problem.calls == len(calls) == len(trace.account)
    assert problem.cost_usd == sum((call.cost_usd for call in calls), Decimal(0)) == trace.cost_usd
    total = total_usage(trace.account)
    for count in COUNTS:
        assert getattr(problem, count) == sum(getattr(call, count) for call in calls) == getattr(total, count)
    for role in ("weak", "strong"):
        for purpose in Purpose:
            assert output_tokens(calls, role, purpose) == trace.generated_tokens(role, purpose)
    generating = Purpose.ACCEPTED, Purpose.DISCARDED, Purpose.CANCELLED, Purpose.RETRY
    assert problem.weak_tokens == output_tokens(calls, "weak", *generating)
    assert problem.strong_tokens == output_tokens(calls, "strong", *generating)
    assert problem.estimated == any(call.estimated for call in calls)


@given(traces)
def test_calls_add_up_to_any_account(trace: Trace) -> None:
    check_sums(trace)


@settings(max_examples=60, deadline=None)
@given(
    weak=replies,
    strong=replies,
    scores=st.lists(st.none() | st.floats(0, 1)),
    strategy=chosen_strategies,
    limits=limits,
)
def test_the_tables_of_any_episode_add_up_to_its_account(
    weak: list[Say | Fail | Hang],
    strong: list[Say | Fail | Hang],
    scores: list[float | None],
    strategy: Any,
    limits: Limits,
) -> None:
    stage = Stage(weak, strong, scores)
    trace = asyncio.run(Episode(PROBLEM, stage.roles, route="test", limits=limits).run(strategy))
    check_sums(trace)
    calls, steps = list(CALLS.rows(trace)), list(STEPS.rows(trace))
    assert [step.step for step in steps] == list(range(1, len(trace.steps) + 1))
    for role in ("weak", "strong"):
        accepted = output_tokens(calls, role, Purpose.ACCEPTED)
        assert accepted == sum(step.tokens for step in steps if step.role == role)


def documented(table: Table[Any]) -> list[tuple[str, str]]:
    """The columns on the page, with their types."""
    (section,) = re.findall(rf"^## `{table.name}`\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return re.findall(r"^\| `(\w+)` \| ([\w?]+) \|", section, re.MULTILINE)


def defined(field: msgspec.structs.FieldInfo) -> tuple[str, str]:
    kinds = get_args(field.type) or (field.type,)
    return field.name, WORDS[kinds[0]] + "?" * (NoneType in kinds)


@pytest.mark.parametrize("table", [*TABLES, LEDGER], ids=lambda table: table.name)
def test_the_page_describes_every_column(table: Table[Any]) -> None:
    assert documented(table) == [defined(field) for field in msgspec.structs.fields(table.row)]


def test_an_unknown_table_is_named() -> None:
    with pytest.raises(ConfigError, match="table: 'tokens' is unknown. Use problems, steps, calls"):
        table_named("tokens")
