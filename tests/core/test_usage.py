from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from steproute import Price, Usage

usages = st.builds(
    Usage,
    input_tokens=st.integers(0, 10**6),
    cache_read_tokens=st.integers(0, 10**6),
    cache_write_tokens=st.integers(0, 10**6),
    output_tokens=st.integers(0, 10**6),
    estimated=st.booleans(),
)
dollars = st.decimals(0, 100, places=4)
prices = st.builds(
    Price, input=dollars, output=dollars, cache_read=st.none() | dollars, cache_write=st.none() | dollars
)


@given(prices, st.lists(usages, max_size=6))
def test_the_cost_of_a_sum_is_exactly_the_sum_of_the_costs(price: Price, parts: list[Usage]) -> None:
    assert price.cost(sum(parts, Usage())) == sum((price.cost(part) for part in parts), Decimal(0))


def test_cached_input_costs_the_input_price_unless_a_cache_price_is_given() -> None:
    usage = Usage(cache_read_tokens=1_000_000)
    assert Price(input=Decimal(3), output=Decimal(0)).cost(usage) == 3
    assert Price(input=Decimal(3), output=Decimal(0), cache_read=Decimal("0.3")).cost(usage) == Decimal("0.3")
