"""Keys, budgets and rates: what is refused, how, and that official clients do not hammer."""

import json
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import httpx2
import openai
import pytest
from tests.serve.running import PROBLEM, RunningGateway, gateway

ASK = [{"role": "user", "content": PROBLEM}]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with gateway(tmp_path_factory.mktemp("budgets"), "--keys") as started:
        yield started


def steproute(running: RunningGateway, *words: str) -> str:
    command = [Path(sys.executable).with_name("steproute"), *words, "--database", f"sqlite:///{running.database}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def tenant(running: RunningGateway, name: str, *budgets: str) -> str:
    """A new tenant's key."""
    steproute(running, "tenants", "create", name, *budgets)
    return steproute(running, "keys", "create", name)


class Counting(httpx2.Client):
    """OpenAI's client sends its requests by it."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = 0

    def send(self, *arguments: object, **settings: object) -> httpx2.Response:
        self.sent += 1
        return super().send(*arguments, **settings)  # type: ignore[arg-type]


def test_a_request_needs_a_valid_key(running: RunningGateway) -> None:
    key = tenant(running, "keyed")
    assert running.client(key).chat.completions.create(model="default", messages=ASK, seed=1).choices
    for wrong in ("none", key[:-1] + "x", "steproute_0000_x", ""):
        with pytest.raises(openai.AuthenticationError) as failure:
            running.client(wrong or "-").chat.completions.create(model="default", messages=ASK)
        assert failure.value.code == "invalid_api_key"
        assert key not in str(failure.value)


def test_a_revoked_key_is_refused_and_a_rotated_one_works(running: RunningGateway) -> None:
    key = tenant(running, "rotating")
    (listed,) = json.loads(steproute(running, "keys", "list", "rotating", "--json"))
    fresh = steproute(running, "keys", "rotate", listed["id"])
    assert running.client(fresh).models.list().data
    with pytest.raises(openai.AuthenticationError):
        running.client(key).models.list()
    steproute(running, "keys", "revoke", fresh.split("_")[1])
    with pytest.raises(openai.AuthenticationError):
        running.client(fresh).models.list()


def test_a_spent_budget_is_402_and_the_client_does_not_try_again(running: RunningGateway) -> None:
    key = tenant(running, "poor", "--usd-per-day", "0.00001")
    http = Counting()
    with pytest.raises(openai.APIStatusError) as failure:
        running.client(key, http_client=http).chat.completions.create(model="default", messages=ASK)
    assert failure.value.status_code == 402
    assert (failure.value.type, failure.value.code) == ("insufficient_quota", "budget_exceeded")
    assert http.sent == 1


def test_too_many_requests_are_429_with_the_seconds_to_wait(running: RunningGateway) -> None:
    client = running.client(tenant(running, "hasty", "--requests-per-minute", "2"), max_retries=0)
    for _ in range(2):
        client.chat.completions.create(model="default", messages=ASK, seed=1)
    with pytest.raises(openai.RateLimitError) as failure:
        client.chat.completions.create(model="default", messages=ASK, seed=1)
    assert failure.value.code == "rate_limit_exceeded"
    assert 1 <= int(failure.value.response.headers["retry-after"]) <= 61


def test_a_budget_of_tokens_holds(running: RunningGateway) -> None:
    client = running.client(tenant(running, "brief", "--tokens-per-day", "60"), max_retries=0)
    used, refusal = 0, None
    while refusal is None:
        try:
            reply = client.chat.completions.create(model="default", messages=ASK, seed=1, max_tokens=30)
            used += reply.usage.completion_tokens
        except openai.APIStatusError as failure:
            refusal = failure
    assert refusal.status_code == 402
    assert 30 < used <= 60


def test_a_trace_is_for_its_own_tenant_alone(running: RunningGateway) -> None:
    mine, other = tenant(running, "mine"), tenant(running, "other")
    reply = running.client(mine).chat.completions.create(model="default", messages=ASK, seed=1)
    kept = running.get(f"/v1/traces/{reply.id}", mine).json()
    assert kept["messages"] == ASK
    assert [step["text"] for step in kept["trace"]["steps"]] == (reply.choices[0].message.content or "").split("\n\n")
    assert sum(Decimal(line["cost_usd"]) for line in kept["trace"]["account"]) == Decimal(
        reply.model_extra["steproute"]["cost_usd"]
    )
    for key in (other, mine):
        path = f"/v1/traces/{reply.id if key == other else 'chatcmpl-0'}"
        assert running.get(path, key).status_code == 404


def test_savings_equal_the_ledger_and_count_everything_spent(running: RunningGateway) -> None:
    client = running.client(tenant(running, "saver"))
    replies = [client.chat.completions.create(model="default", messages=ASK, seed=seed) for seed in range(5)]
    alone = client.chat.completions.create(model="steproute/strong", messages=ASK, seed=1)
    spent = sum(Decimal(reply.model_extra["steproute"]["cost_usd"]) for reply in replies)
    key = client.api_key
    report = running.get("/v1/savings", key).json()
    by_route = {row["route"]: row for row in report["routes"]}
    steps, passed = by_route.pop("default"), by_route.pop("strong")
    assert not by_route
    assert (steps["requests"], Decimal(steps["spent_usd"])) == (5, spent)
    assert Decimal(steps["saved_usd"]) == Decimal(steps["baseline_usd"]) - spent
    assert passed["baseline_usd"] == passed["spent_usd"] == alone.model_extra["steproute"]["cost_usd"]
    shown = json.loads(steproute(running, "savings", "--tenant", "saver", "--json"))
    assert shown == report
    assert running.get("/v1/savings?first=2001-01-01&last=2001-01-02", key).json()["total"]["requests"] == 0
    assert running.get("/v1/savings?first=yesterday", key).status_code == 400
