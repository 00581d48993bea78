"""What official Python clients do about refusals, failures and slow answers, counted at the gateway."""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import anthropic
import openai
import pytest
from tests.serve.paid_gateway import ASK, PaidGateway

Call = Callable[..., Any]


def openai_call(paid: PaidGateway, tenant: str, model: str, **settings: Any) -> Any:
    client = openai.OpenAI(base_url=paid.v1, api_key=paid.keys[tenant], **settings)
    return client.chat.completions.create(model=model, messages=ASK)


def responses_call(paid: PaidGateway, tenant: str, model: str, **settings: Any) -> Any:
    client = openai.OpenAI(base_url=paid.v1, api_key=paid.keys[tenant], **settings)
    return client.responses.create(model=model, input=ASK)


def async_openai_call(paid: PaidGateway, tenant: str, model: str, **settings: Any) -> Any:
    async def call() -> Any:
        async with openai.AsyncOpenAI(base_url=paid.v1, api_key=paid.keys[tenant], **settings) as client:
            return await client.chat.completions.create(model=model, messages=ASK)

    return asyncio.run(call())


def anthropic_call(paid: PaidGateway, tenant: str, model: str, **settings: Any) -> Any:
    client = anthropic.Anthropic(base_url=paid.gateway.url, api_key=paid.keys[tenant], **settings)
    return client.messages.create(model=model, max_tokens=4000, messages=ASK)


CALLS = pytest.mark.parametrize("call", [openai_call, responses_call, async_openai_call, anthropic_call])
FAILURES = (openai.APIStatusError, anthropic.APIStatusError)


@contextmanager
def refused(paid: PaidGateway, status: int, times: int) -> Iterator[None]:
    """The gateway answers with `status` so many times."""
    before = paid.refused(status)
    with pytest.raises(FAILURES) as failure:
        yield
    assert failure.value.status_code == status
    assert paid.refused(status) - before == times


@contextmanager
def holding(paid: PaidGateway, tenant: str) -> Iterator[None]:
    """A request of this tenant is under way."""
    client = paid.gateway.client(paid.keys[tenant])
    with client.chat.completions.create(model="slow", messages=ASK, stream=True) as stream:
        next(iter(stream))
        yield


@CALLS
def test_no_client_tries_again_when_the_budget_is_spent(paid: PaidGateway, call: Call) -> None:
    with refused(paid, 402, times=1):
        call(paid, "spent", "strong")


@CALLS
def test_no_client_tries_again_when_a_model_has_failed(paid: PaidGateway, call: Call) -> None:
    before = len(paid.upstream.asked)
    with refused(paid, 502, times=1):
        call(paid, "open", "broken")
    assert len(paid.upstream.asked) == before + 1


@CALLS
def test_every_client_tries_twice_more_while_money_is_held(paid: PaidGateway, call: Call) -> None:
    with holding(paid, "busy"), refused(paid, 429, times=3):
        call(paid, "busy", "strong")


@CALLS
def test_a_client_that_does_not_wait_cancels_the_call(paid: PaidGateway, call: Call) -> None:
    before = len(paid.upstream.asked)
    with pytest.raises((openai.APITimeoutError, anthropic.APITimeoutError)):
        call(paid, "open", "slow", timeout=1.0, max_retries=0)
    (asked,) = paid.upstream.asked[before:]
    _until(lambda: asked.closed_by_client)


@pytest.mark.parametrize("call", [openai_call, anthropic_call])
def test_a_client_that_does_not_wait_tries_twice_more(paid: PaidGateway, call: Call) -> None:
    before = paid.refused(499)
    with pytest.raises((openai.APITimeoutError, anthropic.APITimeoutError)):
        call(paid, "open", "slow", timeout=1.0)
    _until(lambda: paid.refused(499) - before == 3)


def test_a_stream_that_is_left_cancels_the_call_and_bills_what_came(paid: PaidGateway) -> None:
    client = paid.gateway.client(paid.keys["open"])
    with client.chat.completions.create(model="slow", messages=ASK, stream=True) as stream:
        chunk = next(chunk for chunk in stream if chunk.choices[0].delta.content)
    _until(lambda: _purposes(paid, chunk.id) == ["cancelled"])
    assert paid.upstream.asked[-1].closed_by_client


def test_an_async_stream_that_is_left_cancels_the_call(paid: PaidGateway) -> None:
    async def leave() -> str:
        client = openai.AsyncOpenAI(base_url=paid.v1, api_key=paid.keys["open"])
        async with client, await client.responses.create(model="slow", input=ASK, stream=True) as stream:
            return await anext(event.delta async for event in stream if event.type == "response.output_text.delta")

    assert asyncio.run(leave()) == "It is "
    _until(lambda: paid.upstream.asked[-1].closed_by_client)


def test_refusals_are_the_error_classes_of_the_client(paid: PaidGateway) -> None:
    for tenant, model, error in (
        ("open", "nothing", openai.NotFoundError),
        ("spent", "strong", openai.APIStatusError),
        ("open", "broken", openai.InternalServerError),
    ):
        with pytest.raises(error) as failure:
            openai_call(paid, tenant, model)
        assert failure.value.body["message"]
    with pytest.raises(openai.AuthenticationError):
        paid.gateway.client("wrong").models.list()


def _purposes(paid: PaidGateway, request_id: str) -> list[str]:
    with sqlite3.connect(paid.gateway.database) as database:
        rows = database.execute("SELECT purpose FROM lines WHERE request_id = ?", [request_id])
        return [purpose for (purpose,) in rows]


def _until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.05)
