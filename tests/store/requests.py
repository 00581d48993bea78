"""What a gateway gives to a ledger, in short."""

from decimal import Decimal

from steproute.core.usage import AccountLine, Price, Purpose, Usage
from steproute.store import Principal, Reservation, Store

PRINCIPAL = Principal(tenant="acme", key_id="k")
PRICE = Price(input=Decimal(1), output=Decimal(2), cache_read=Decimal("0.1"), table="test 2026-11")


def line(
    usd: str | Decimal = "0.01", *, role: str = "weak", purpose: Purpose = Purpose.ACCEPTED, **other: object
) -> AccountLine:
    usage = Usage(input_tokens=10, output_tokens=5)
    given = {"model": "m", "usage": usage, "price_table": PRICE.table, "latency_s": 0.5} | other
    return AccountLine(role=role, purpose=purpose, cost_usd=Decimal(usd), **given)  # type: ignore[arg-type]


async def reserve(store: Store, request_id: str, usd: str = "0.01", tokens: int = 100) -> Reservation:
    return await store.ledger.reserve(
        PRINCIPAL, request_id=request_id, route="auto", usd=Decimal(usd), tokens=tokens, prices={"weak": PRICE}
    )
