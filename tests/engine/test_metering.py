"""One call for the engine that is several for the backend: its wait and its time stand on one line."""

import asyncio

import pytest

from steproute.core.errors import BackendError
from steproute.core.solution import Meter
from steproute.core.usage import FREE, AccountLine, Purpose, Usage
from steproute.engine.account import Account
from steproute.engine.gate import Gate, GateSettings
from steproute.engine.metering import Bill, MeteredCalls


def made(fails: bool) -> list[AccountLine]:
    """The lines of two requests in one call, which waited for its turn."""
    lines: list[AccountLine] = []
    gate, bill = Gate(GateSettings(in_flight=1)), Bill(role="weak", model="m", price=FREE)

    async def twice(meter: Meter) -> None:
        for tokens in (3, 4):
            await asyncio.sleep(0.01)
            meter.part().usage = Usage(output_tokens=tokens)
        if fails:
            raise BackendError("no")

    async def run() -> None:
        calls = MeteredCalls(Account(lines.append), retries=0)
        async with gate.turn(Meter()):
            calling = asyncio.create_task(calls.make(bill, gate, twice))
            await asyncio.sleep(0.02)
        if fails:
            with pytest.raises(BackendError):
                await calling
            return
        await calling
        lines.extend(bill.line(Purpose.ACCEPTED, Usage(output_tokens=tokens), 0.01) for tokens in (3, 4))

    asyncio.run(run())
    return lines


@pytest.mark.parametrize("fails", [False, True])
def test_the_wait_for_a_turn_stands_on_the_first_line_alone(fails: bool) -> None:
    first, second = made(fails)
    assert (first.usage.output_tokens, second.usage.output_tokens) == (3, 4)
    assert first.wait_s > 0
    assert second.wait_s == 0


def test_the_time_of_a_failed_call_stands_on_the_first_line_alone() -> None:
    first, second = made(fails=True)
    assert first.latency_s > 0
    assert second.latency_s == 0
