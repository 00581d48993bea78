"""What the strong model alone would have cost."""

from decimal import Decimal

from steproute.core.solution import Outcome, Step
from steproute.core.trace import Trace
from steproute.core.usage import AccountLine, Price, Purpose, Usage
from steproute.serve.baseline import baseline_usd

STRONG = Price(input=Decimal(1), cache_read=Decimal("0.1"), output=Decimal(4))


def line(purpose: Purpose, read: int, cached: int, written: int, role: str = "weak") -> AccountLine:
    usage = Usage(input_tokens=read, cache_read_tokens=cached, output_tokens=written)
    return AccountLine(
        role=role, model="m", purpose=purpose, usage=usage, cost_usd=Decimal(7), price_table="t", latency_s=0.0
    )


def trace(*account: AccountLine, tokens: tuple[int, ...] = ()) -> Trace:
    return Trace(
        problem_id="p",
        route="r",
        steps=tuple(Step(role="weak", text="s", tokens=count) for count in tokens),
        answer=None,
        outcome=Outcome.COMPLETED,
        account=account,
        latency_s=0.0,
        seed=0,
    )


def test_the_conversation_is_read_once_and_the_answer_written_once() -> None:
    account = (
        line(Purpose.SCORE, 900, 0, 0),
        line(Purpose.DISCARDED, 60, 40, 10),
        line(Purpose.ACCEPTED, 5, 105, 12),
        line(Purpose.ACCEPTED, 10, 120, 8),
    )
    read, cached, written = 60, 40, 12 + 8
    dollars = (read + Decimal("0.1") * cached + 4 * written) / 1_000_000
    assert baseline_usd(trace(*account, tokens=(12, 8)), "strong", STRONG) == dollars


def test_an_answer_that_nothing_was_written_for_would_have_cost_nothing() -> None:
    assert baseline_usd(trace(line(Purpose.CANCELLED, 50, 0, 3)), "strong", STRONG) == 0


def test_the_model_itself_has_saved_nothing() -> None:
    alone = trace(line(Purpose.ACCEPTED, 60, 40, 10, "strong"), tokens=(10,))
    assert baseline_usd(alone, "strong", STRONG) == alone.cost_usd
