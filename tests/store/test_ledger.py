import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from tests.store.conftest import Clock
from tests.store.requests import PRICE, PRINCIPAL, line, reserve

from steproute.core.errors import ConfigError
from steproute.core.usage import Price, Purpose, Usage
from steproute.store import BudgetRefused, Budgets, Period, ReservationLost, Store, open_store

DAY_S = 86400


def run(url: str, use: Callable[[Store], Awaitable[None]], budgets: Budgets = Budgets(), clock: Clock | None = None):
    """Use a store with one tenant, whose ledger must be sound in the end."""

    async def use_it() -> None:
        store = await open_store(url, worker="test", clock=clock)
        await store.tenants.create(PRINCIPAL.tenant, budgets)
        await use(store)
        assert await store.ledger.audit() == []
        await store.close()

    asyncio.run(use_it())


async def spent_and_reserved(store: Store) -> tuple[Decimal, Decimal]:
    day, month = await store.ledger.balances(PRINCIPAL.tenant)
    assert day.spent_usd <= month.spent_usd
    return day.spent_usd, day.reserved_usd


def test_a_settled_call_is_spent_and_no_longer_reserved(url: str) -> None:
    async def use(store: Store) -> None:
        reservation = await reserve(store, "a", "0.10")
        await reservation.settle([line("0.03")])
        assert await spent_and_reserved(store) == (Decimal("0.03"), Decimal("0.07"))
        await reservation.close()
        assert await spent_and_reserved(store) == (Decimal("0.03"), 0)

    run(url, use)


def test_close_gives_the_final_purposes_and_enters_what_was_not_settled(url: str) -> None:
    async def use(store: Store) -> None:
        reservation = await reserve(store, "a", "0.10")
        drafts = [line("0.01", purpose=Purpose.DISCARDED, request_id=f"call-{number}") for number in range(3)]
        await reservation.settle(drafts)
        score = line("0.02", role="prm", purpose=Purpose.SCORE)
        account = [drafts[0], replace(drafts[1], purpose=Purpose.ACCEPTED), score, drafts[2]]
        await reservation.close(account)
        await reservation.close(account)
        kept = [each async for each in store.ledger.lines()]
        assert [each.line for each in kept] == [account[0], account[1], account[3], account[2]]
        assert [each.price for each in kept] == [
            replace(PRICE, cache_write=PRICE.input, cache_write_1h=2 * PRICE.input)
        ] * 3 + [None]
        assert await spent_and_reserved(store) == (Decimal("0.05"), 0)

    run(url, use)


def test_a_line_keeps_the_prices_that_explain_what_it_cost(url: str) -> None:
    async def use(store: Store) -> None:
        usage = Usage(
            input_tokens=3, cache_read_tokens=5, cache_write_tokens=70, cache_write_1h_tokens=40, output_tokens=2
        )
        reservation = await reserve(store, "a", "0.10")
        await reservation.close([line(PRICE.cost(usage), usage=usage)])
        (kept,) = [each async for each in store.ledger.lines()]
        assert kept.price is not None
        assert kept.price.cost(kept.line.usage) == kept.line.cost_usd == PRICE.cost(usage)
        (total,) = await store.ledger.totals()
        assert total.usage == usage

    run(url, use)


def test_equal_calls_are_different_calls(url: str) -> None:
    async def use(store: Store) -> None:
        reservation = await reserve(store, "a", "0.10")
        await reservation.settle([line("0.01", purpose=Purpose.DISCARDED)])
        await reservation.close([line("0.01"), line("0.01")])
        (total,) = await store.ledger.totals()
        assert (total.calls, total.cost_usd) == (2, Decimal("0.02"))

    run(url, use)


def test_a_call_above_its_reservation_is_spent_all_the_same(url: str) -> None:
    async def use(store: Store) -> None:
        reservation = await reserve(store, "a", "0.01", tokens=1)
        await reservation.settle([line("0.03")])
        assert await spent_and_reserved(store) == (Decimal("0.03"), 0)
        await reservation.close()

    run(url, use)


@pytest.mark.parametrize(
    ("open_usd", "spent_usd", "kind", "wait_s"),
    [("0.00", "0.60", "budget", DAY_S), ("0.60", "0.00", "held", 1), ("0.30", "0.30", "held", 1)],
)
def test_a_spent_budget_lasts_and_a_held_one_passes(
    url: str, clock: Clock, open_usd: str, spent_usd: str, kind: str, wait_s: float
) -> None:
    async def use(store: Store) -> None:
        await reserve(store, "open", open_usd)
        await (await reserve(store, "spent", spent_usd)).close([line(spent_usd)])
        with pytest.raises(BudgetRefused) as refusal:
            await reserve(store, "b", "0.50")
        assert (refusal.value.kind, refusal.value.retry_after_s) == (kind, wait_s)
        shortage = refusal.value.shortage
        assert (shortage.limit, shortage.spent, shortage.asked) == (1, Decimal(spent_usd), Decimal("0.5"))
        await reserve(store, "b", "0.40")

    run(url, use, Budgets(usd_per_day=Decimal(1)), clock)


def test_no_waiting_helps_a_request_that_exceeds_the_limit_by_itself(url: str) -> None:
    async def use(store: Store) -> None:
        with pytest.raises(BudgetRefused, match="Ask for less") as refusal:
            await reserve(store, "a", "1.01")
        assert refusal.value.kind == "budget"
        assert refusal.value.retry_after_s is None

    run(url, use, Budgets(usd_per_month=Decimal(1)))


def test_token_budgets_count_what_was_used(url: str) -> None:
    async def use(store: Store) -> None:
        await (await reserve(store, "a", tokens=100)).close([line()])  # 5 generated tokens
        with pytest.raises(BudgetRefused, match=r"5 of 100 tokens per day are spent"):
            await reserve(store, "b", tokens=96)
        await reserve(store, "b", tokens=95)

    run(url, use, Budgets(tokens_per_day=100))


def test_a_budget_starts_again_with_the_day_and_the_month(url: str, clock: Clock) -> None:
    async def use(store: Store) -> None:
        await (await reserve(store, "a", "1")).close([line("1")])
        clock.now_s += DAY_S
        await (await reserve(store, "b", "1")).close([line("1")])
        clock.now_s += DAY_S
        with pytest.raises(BudgetRefused) as refusal:
            await reserve(store, "c", "1")
        assert (refusal.value.shortage.window, refusal.value.retry_after_s) == ("month", 3 * DAY_S)
        clock.now_s += 3 * DAY_S
        await reserve(store, "c", "1")

    run(url, use, Budgets(usd_per_day=Decimal(1), usd_per_month=Decimal(2)), clock)


def test_a_request_is_charged_to_the_day_that_admitted_it(url: str, clock: Clock) -> None:
    async def use(store: Store) -> None:
        reservation = await reserve(store, "a", "1")
        clock.now_s += DAY_S
        await reservation.extend()
        await reservation.close([line("1")])
        assert [each.group for each in await store.ledger.totals(["day"])] == [("2026-11-26",)]
        day, _ = await store.ledger.balances(PRINCIPAL.tenant)
        assert day.spent_usd == 0

    run(url, use, clock=clock)


def test_never_more_requests_within_a_minute_than_the_rate(url: str, clock: Clock) -> None:
    async def use(store: Store) -> None:
        for number in range(3):
            await (await reserve(store, f"a{number}")).close()
            clock.now_s += 10
        with pytest.raises(BudgetRefused) as refusal:
            await reserve(store, "b")
        assert (refusal.value.kind, refusal.value.retry_after_s) == ("rate", 31)
        clock.now_s += 31
        await reserve(store, "b")
        with pytest.raises(BudgetRefused):
            await reserve(store, "c")

    run(url, use, Budgets(requests_per_minute=3), clock)


def test_a_token_rate_counts_reservations_until_they_are_settled(url: str, clock: Clock) -> None:
    async def use(store: Store) -> None:
        reservation = await reserve(store, "a", tokens=100)
        with pytest.raises(BudgetRefused) as refusal:
            await reserve(store, "b", tokens=1)
        assert (refusal.value.kind, refusal.value.shortage.unit) == ("rate", "tokens")
        await reservation.close([line()])
        await reserve(store, "b", tokens=95)

    run(url, use, Budgets(tokens_per_minute=100), clock)


def test_an_orphan_is_released_and_what_it_never_accounted_for_is_shown(url: str, clock: Clock) -> None:
    async def use(store: Store) -> None:
        orphan = await reserve(store, "a", "1")
        await orphan.settle([line("0.30")])
        for passing_s in (59, 1, 59):
            clock.now_s += passing_s
            with pytest.raises(BudgetRefused):
                await reserve(store, "b", "0.70")
            assert await store.ledger.expire() == 0
        clock.now_s += 1
        await reserve(store, "b", "0.70")
        assert await store.ledger.expire() == 0
        assert await store.ledger.unaccounted_usd() == Decimal("0.70")
        with pytest.raises(ReservationLost):
            await orphan.extend()

    run(url, use, Budgets(usd_per_day=Decimal(1)), clock)


def test_calls_of_a_lost_reservation_are_entered_late(url: str, clock: Clock) -> None:
    async def use(store: Store) -> None:
        slow = await reserve(store, "a", "1")
        await released(store, clock)
        await slow.settle([line("0.30")])
        assert await store.ledger.unaccounted_usd() == Decimal("0.70")
        await slow.close([line("0.30"), line("0.20")])
        assert await store.ledger.unaccounted_usd() == 0
        assert await spent_and_reserved(store) == (Decimal("0.50"), 0)

    run(url, use, clock=clock)


def test_late_calls_that_the_budget_has_no_room_for_stay_unaccounted(url: str, clock: Clock) -> None:
    async def use(store: Store) -> None:
        slow, small = await reserve(store, "a", "0.6"), await reserve(store, "b", "0.4")
        await released(store, clock)
        await (await reserve(store, "c", "0.8")).close([line("0.8")])
        for late in (slow.settle([line("0.3")]), slow.close([line("0.3")])):
            with pytest.raises(ReservationLost, match="no room for its late calls"):
                await late
        await small.close([line("0.2")])
        assert await store.ledger.unaccounted_usd() == Decimal("0.6")
        assert await spent_and_reserved(store) == (1, 0)
        assert await store.ledger.audit() == []

    run(url, use, Budgets(usd_per_day=Decimal(1)), clock)


def test_a_lease_that_ended_while_nobody_could_look_is_held_for_its_owner(url: str, clock: Clock) -> None:
    async def use(store: Store) -> None:
        late, later = await reserve(store, "a", "0.5"), await reserve(store, "b", "0.5")
        clock.now_s += 3600
        for _ in range(2):
            with pytest.raises(BudgetRefused):
                await reserve(store, "c", "0.1")
        await later.extend()
        clock.now_s += 59
        await late.close([line("0.5")])
        clock.now_s += 1
        with pytest.raises(BudgetRefused):
            await reserve(store, "c", "0.1")
        assert await spent_and_reserved(store) == (Decimal("0.5"), Decimal("0.5"))

    run(url, use, Budgets(usd_per_day=Decimal(1)), clock)


def test_extending_begins_the_lease_again(url: str, clock: Clock) -> None:
    async def use(store: Store) -> None:
        reservation = await reserve(store, "a", "1")
        clock.now_s += 50
        await reservation.extend()
        assert reservation.expires_at.timestamp() == clock.now_s + 60
        clock.now_s += 59
        assert await store.ledger.expire() == 0
        await reservation.close()

    run(url, use, clock=clock)


async def released(store: Store, clock: Clock) -> None:
    """Its lease ends, which is seen, and nobody comes back for it."""
    for _ in range(2):
        assert await store.ledger.expire() == 0
        clock.now_s += 60
    assert await store.ledger.expire() > 0


def test_a_cancelled_reserve_leaves_nothing_reserved(url: str) -> None:
    async def use(store: Store) -> None:
        for yields in range(6):
            asking = asyncio.create_task(reserve(store, f"a{yields}", "1"))
            for _ in range(yields):
                await asyncio.sleep(0)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
        await reserve(store, "after", "0.01")
        await (await reserve(store, "a", "0.02")).close()
        assert await spent_and_reserved(store) == (0, Decimal("0.01"))

    run(url, use)


def test_a_request_id_is_used_once(url: str) -> None:
    async def use(store: Store) -> None:
        both = await asyncio.gather(reserve(store, "a"), reserve(store, "a"), return_exceptions=True)
        assert [type(each).__name__ for each in both] == ["Reservation", "ConfigError"]
        with pytest.raises(ConfigError, match="is in use"):
            await reserve(store, "a")

    run(url, use)


def test_amounts_that_the_ledger_cannot_hold_are_refused_by_name(url: str) -> None:
    async def use(store: Store) -> None:
        fine = Price(input=Decimal("0.0000001"), output=Decimal(1), table="too fine")
        asked = {"request_id": "a", "route": "r", "usd": Decimal(1), "tokens": 1}
        with pytest.raises(ConfigError, match=r"price table 'too fine', input: 0\.0000001|1E-7"):
            await store.ledger.reserve(PRINCIPAL, **asked, prices={"weak": fine})
        reservation = await reserve(store, "a")
        with pytest.raises(ConfigError, match="the cost of a call of role 'weak'"):
            await reservation.settle([line("0.0000000000001")])
        for usage in (Usage(output_tokens=10**30), Usage(input_tokens=-1), Usage(reasoning_tokens=2**60)):
            with pytest.raises(ConfigError, match="the usage of a call of role 'weak'"):
                await reservation.settle([line("0", usage=usage)])
        with pytest.raises(ConfigError, match="9 million"):
            await reserve(store, "b", "10000000")
        with pytest.raises(ConfigError, match="is unknown"):
            await store.ledger.reserve(replace(PRINCIPAL, tenant="nobody"), **asked)
        await reservation.close()

    run(url, use)


def test_a_line_that_cannot_be_held_does_not_lose_the_others(url: str) -> None:
    async def use(store: Store) -> None:
        bad = line("0", usage=Usage(output_tokens=10**30))
        first, second, third = (line(usd, request_id=usd) for usd in ("0.1", "0.2", "0.3"))
        reservation = await reserve(store, "a", "1")
        with pytest.raises(ConfigError, match="the usage of a call of role 'weak'"):
            await reservation.settle([bad, first])
        assert await spent_and_reserved(store) == (Decimal("0.1"), Decimal("0.9"))
        with pytest.raises(ConfigError, match="the usage of a call of role 'weak'"):
            await reservation.close([bad, first, second, bad, third], baseline_usd=Decimal("0.7"))
        assert await spent_and_reserved(store) == (Decimal("0.6"), 0)
        assert [each.line async for each in store.ledger.lines()] == [first, second, third]
        assert [each.baseline_usd for each in await store.ledger.savings()] == [Decimal("0.7")]
        await reservation.close()

    run(url, use)


def test_sums_beyond_the_largest_whole_number_are_exact(url: str) -> None:
    async def use(store: Store) -> None:
        for day in range(2):
            clock.now_s += day * 32 * DAY_S
            await (await reserve(store, f"a{day}", "9000000")).close([line("8999999.999999999999")])
        (total,) = await store.ledger.totals()
        assert total.cost_usd == Decimal("17999999.999999999998")
        with pytest.raises(BudgetRefused):  # no limit of the tenant's, but the largest that a window can count
            await reserve(store, "b", "1")

    clock = Clock()
    run(url, use, clock=clock)


def test_totals_by_any_field_and_period(url: str, clock: Clock) -> None:
    async def use(store: Store) -> None:
        for day in range(3):
            reservation = await reserve(store, f"a{day}", "1")
            await reservation.close([line("0.1"), line("0.2", role="strong"), line("0.3", role="strong")])
            clock.now_s += DAY_S
        by_role = await store.ledger.totals(["role", "purpose"], tenant="acme")
        assert [(each.group, each.calls, each.cost_usd) for each in by_role] == [
            (("strong", "accepted"), 6, Decimal("1.5")),
            (("weak", "accepted"), 3, Decimal("0.3")),
        ]
        assert by_role[0].usage.output_tokens == 30
        period = Period(first=date(2026, 11, 27), last=date(2026, 11, 27))
        assert [each.group for each in await store.ledger.totals(["day", "route"], period=period)] == [
            ("2026-11-27", "auto")
        ]
        assert await store.ledger.totals(["tenant"], tenant="other") == []
        with pytest.raises(ConfigError, match="'colour' is no field"):
            await store.ledger.totals(["colour"])  # type: ignore[list-item]

    run(url, use, clock=clock)


def test_texts_that_a_database_cannot_hold_are_spelled_out(url: str) -> None:
    async def use(store: Store) -> None:
        reservation = await reserve(store, "a\0\udc80", "1")
        await reservation.close([line("0.1", request_id="up\0", model="m\udc80")])
        (kept,) = [each async for each in store.ledger.lines()]
        assert (kept.request_id, kept.line.request_id, kept.line.model) == ("a\\x00\\udc80", "up\\x00", "m\\udc80")

    run(url, use)
