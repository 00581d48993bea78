"""What an answer would have cost without routing, as a model of it."""

from dataclasses import replace
from decimal import Decimal

from steproute.core.solution import ENVIRONMENT
from steproute.core.trace import Trace
from steproute.core.usage import Price, Purpose

_WRITING = frozenset({Purpose.ACCEPTED, Purpose.DISCARDED})


def baseline_usd(trace: Trace, role: str, price: Price) -> Decimal:
    """Dollars if one model had answered alone: it reads the conversation once and writes as many tokens as the answer.

    role, price: of that model. If it did answer alone, this is what it cost. The conversation's length is what the
    answer's first call read, cached as far as it was cached then. It is a model: another model counts tokens in its own
    way and writes answers of its own length.
    0 for a request that failed or that nothing was written for.
    """
    if trace.failed:
        return Decimal(0)
    if {line.role for line in trace.account} == {role}:
        return trace.cost_usd
    first = next((line for line in trace.account if line.purpose in _WRITING), None)
    if first is None:
        return Decimal(0)
    written = sum(step.tokens for step in trace.steps if step.role != ENVIRONMENT)
    return price.cost(replace(first.usage, output_tokens=written))
