"""Refusals of a store that works: a budget that does not allow a request, a key that is not valid, a lost lease."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from steproute.core.errors import SteprouteError

Kind = Literal["budget", "held", "rate"]
Unit = Literal["usd", "tokens", "requests"]
WindowName = Literal["day", "month", "minute"]
KeyReason = Literal["malformed", "unknown", "expired", "revoked"]

_NAMES: Final = {"usd": "US dollars", "tokens": "tokens", "requests": "requests"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortage:
    """What one limit of a tenant leaves, and what a request asked for.

    kind: `budget` if it is spent, which lasts until the window ends; `held` if it would fit but for what other open
    requests have reserved, which passes as they end; `rate` if too much was asked within a minute.
    limit, spent, reserved, asked: in `unit`.
    retry_after_s: None if no waiting helps, because the request exceeds the limit by itself.
    """

    kind: Kind
    unit: Unit
    window: WindowName
    limit: Decimal
    spent: Decimal
    reserved: Decimal
    asked: Decimal
    retry_after_s: float | None


class BudgetRefused(SteprouteError):
    """A tenant's budget or rate does not allow a request. Nothing was reserved."""

    def __init__(self, tenant: str, shortage: Shortage) -> None:
        super().__init__(_message(shortage), where=f"tenant {tenant!r}", remedy=_remedy(shortage))
        self.tenant, self.shortage = tenant, shortage

    @property
    def kind(self) -> Kind:
        """Whether the budget is spent, held by open requests, or asked for too fast."""
        return self.shortage.kind

    @property
    def retry_after_s(self) -> float | None:
        """Seconds until the same request may fit; None if it never will."""
        return self.shortage.retry_after_s


class KeyRefused(SteprouteError):
    """A key is not valid. Its text is the same for every reason.

    reason, key_id: for the operator's log, never for the caller. key_id is empty unless the key's public part is known.
    """

    def __init__(self, reason: KeyReason, key_id: str = "") -> None:
        super().__init__("The API key is not valid.", remedy="Ask the operator of this gateway for a key.")
        self.reason, self.key_id = reason, key_id


class TenantSuspended(SteprouteError):
    """A tenant's requests are refused until it is active again. Nothing was reserved."""

    def __init__(self, tenant: str) -> None:
        super().__init__("is suspended.", where=f"tenant {tenant!r}", remedy="Ask the operator of this gateway.")
        self.tenant = tenant


class ReservationLost(SteprouteError):
    """A reservation expired, or its tenant's database never had it: the request must stop sending calls."""


def _message(shortage: Shortage) -> str:
    name, unit = f"{_NAMES[shortage.unit]} per {shortage.window}", _NAMES[shortage.unit]
    numbers = f"{_text(shortage.spent)} of {_text(shortage.limit)} {name} are spent"
    return (
        f"{numbers}, {_text(shortage.reserved)} are reserved, and the request may need {_text(shortage.asked)} {unit}."
    )


def _remedy(shortage: Shortage) -> str:
    if shortage.retry_after_s is None:
        return "Ask for less by max_tokens or max_cost_usd, or raise the limit."
    if shortage.kind == "held":
        return "Try again when other requests have ended."
    less = "" if shortage.kind == "rate" else "Ask for less by max_tokens or max_cost_usd, or "
    again = f"try again in {shortage.retry_after_s:.0f} s"
    return f"{less}{again if less else again.capitalize()}, or raise the limit."


def _text(amount: Decimal) -> str:
    return f"{amount.normalize():f}"
