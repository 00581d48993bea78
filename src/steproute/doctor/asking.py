"""One call to a backend, tried again as a run would try it."""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Final, TypeVar

from steproute.config import ConfigFile
from steproute.core.solution import Meter
from steproute.core.usage import Price
from steproute.engine.account import Account
from steproute.engine.metering import Bill, MeteredCalls

_T = TypeVar("_T")
_FREE: Final = Price(input=Decimal(0), output=Decimal(0))  # doctor counts no dollars


async def asked(config: ConfigFile, backend: str, call: Callable[[Meter], Awaitable[_T]]) -> _T:
    """What a call gives; failures that may pass are tried again, as often as [limits] of the file says.

    Raises what the last try raised.
    """
    calls = MeteredCalls(Account(lambda line: None), config.limits.retries)
    return await calls.make(Bill(role=backend, model=backend, price=_FREE), None, call)
