from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.engine.scripted import ScriptedModel

from steproute import Price, Problem, Sampling, Usage
from steproute.backends.anthropic.model import AnthropicModel
from steproute.backends.http.token_counts import TokenCounts
from steproute.backends.openai.model import OpenAiModel
from steproute.core.solution import Prefix
from steproute.core.usage_bounds import most_written

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


def test_what_is_cached_for_an_hour_costs_twice_the_input_unless_its_price_is_given() -> None:
    usage = Usage(cache_write_tokens=3_000_000, cache_write_1h_tokens=1_000_000)
    price = Price(input=Decimal(4), output=Decimal(0), cache_write=Decimal(5))
    assert price.cost(usage) == 2 * 5 + 8
    assert replace(price, cache_write_1h=Decimal(7)).cost(usage) == 2 * 5 + 7
    assert price.most(usage) == 3 * 8


def test_a_request_that_caches_for_an_hour_is_bounded_at_that_price() -> None:
    part = {"type": "text", "text": "1 + 1?", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    prefix = Prefix(problem=Problem(id="p", messages=({"role": "user", "content": [part]},)))
    most = most_written(ScriptedModel("weak", ()), prefix, 1, Sampling())
    assert most.cache_write_1h_tokens == most.read_tokens > 0
    plain = Prefix(problem=Problem.ask('"1h"'))
    assert most_written(ScriptedModel("weak", ()), plain, 1, Sampling()).cache_write_1h_tokens == 0


@pytest.mark.parametrize("kind", [OpenAiModel, AnthropicModel])
def test_a_model_whose_settings_cache_for_an_hour_is_bounded_at_that_price(
    kind: type[OpenAiModel | AnthropicModel],
) -> None:
    extra = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    settings: dict[str, object] = {"model": "m", "base_url": "http://127.0.0.1:1/v1"}
    prefix = Prefix(problem=Problem.ask("1 + 1?"))
    for table, written in ((settings, False), (settings | {"extra": extra}, True)):
        model = kind.from_settings("weak", table)
        assert (most_written(model, prefix, 1, Sampling()).cache_write_1h_tokens > 0) is written


def test_a_server_says_what_it_cached_for_an_hour() -> None:
    counts = {"cache_creation": {"ephemeral_5m_input_tokens": 30, "ephemeral_1h_input_tokens": 20}}
    for usage in ({"input_tokens": 5, **counts}, {"input_tokens": 5, "cache_creation_input_tokens": 50, **counts}):
        used = TokenCounts.of(usage).input
        assert used is not None
        assert (used.cache_write_tokens, used.cache_write_1h_tokens) == (50, 20)
