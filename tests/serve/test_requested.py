"""What a request reserves, that its calls keep within it, and what it is told if it cannot be reserved."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from tests.engine.scripted import Say, ScriptedModel, ScriptedScorer
from tests.engine.test_episode import WEAK_PRICE, stepwise
from tests.serve.running import PROBLEM
from tests.serve.test_passthrough import CONFIG

from steproute import Limits, ModelRole, Outcome, Roles, ScorerRole
from steproute.config import read_setup
from steproute.config.gateway import GatewayRoute
from steproute.core.chat import ChatDelta, ChatRequest
from steproute.core.errors import ConfigError
from steproute.core.ports import ModelCapabilities
from steproute.core.solution import Draft, Meter, Prefix, Sampling, Scores, Stop
from steproute.core.usage import FREE, Price, Usage
from steproute.serve.auto import Fixed
from steproute.serve.chat_request import Chat
from steproute.serve.errors import NEVER_RETRY, ApiError, api_error
from steproute.serve.gateway import served_routes
from steproute.serve.requested import ServedRoute, passthrough_work, step_work
from steproute.serve.step_work import StepWork
from steproute.store import BudgetRefused, Principal
from steproute.store.refusal import Shortage


def roles(weak: Price, strong: Price, prm: Price = FREE) -> Roles:
    return Roles(
        models={
            "weak": ModelRole(model=ScriptedModel("weak", ()), price=weak),
            "strong": ModelRole(model=ScriptedModel("strong", ()), price=strong),
        },
        scorers={"prm": ScorerRole(scorer=ScriptedScorer(), price=prm)},
    )


def work(of: Roles) -> StepWork:
    route = GatewayRoute(name="r", solves=None, passthrough="strong", limits=Limits())
    served = ServedRoute(route=route, chooser=Fixed("steps"), strategy=stepwise(), name="r")
    chat = Chat.of({"model": "r", "messages": [{"role": "user", "content": "1 + 1?"}]})
    return step_work(chat, served, of, Principal(tenant="t", key_id="k", limits_usd=True), "id")


def test_a_route_whose_own_model_is_free_reserves_for_the_others() -> None:
    assert work(roles(WEAK_PRICE, FREE)).most_usd > 0
    assert work(roles(FREE, FREE, WEAK_PRICE)).most_usd > 0
    assert work(roles(FREE, FREE)).most_usd == 0


def test_a_request_that_reserves_nothing_makes_no_paid_call() -> None:
    asked = work(roles(WEAK_PRICE, FREE))
    nothing = StepWork(
        problem=asked.problem,
        route="r",
        strategy=asked.strategy,
        roles=asked.roles,
        limits=asked.limits,
        most_usd=Decimal(0),
    )
    trace = asyncio.run(nothing.run(lambda happening: None))
    assert (trace.outcome, trace.cost_usd) == (Outcome.MONEY_BUDGET, 0)


def test_reading_alone_may_not_cost_more_than_the_limit() -> None:
    reads = Price(input=Decimal(1000), output=Decimal(0))
    chat = Chat.of({"model": "r", "messages": [{"role": "user", "content": "1 + 1?"}]})
    route = GatewayRoute(name="r", solves=None, passthrough="strong", limits=Limits(max_cost_usd=Decimal("0.01")))
    with pytest.raises(ApiError, match="to read"):
        passthrough_work(chat, route, "strong", roles(FREE, reads), Principal(tenant="t", key_id="k"), "id")


@pytest.mark.parametrize(
    ("wait_s", "headers"), [(None, NEVER_RETRY), (0.2, {"retry-after": "1"}), (1.4, {"retry-after": "2"})]
)
def test_a_client_waits_until_a_rate_allows_its_request(wait_s: float | None, headers: dict[str, str]) -> None:
    shortage = Shortage(
        kind="rate",
        unit="tokens",
        window="minute",
        limit=Decimal(10),
        spent=Decimal(0),
        reserved=Decimal(0),
        asked=Decimal(20),
        retry_after_s=wait_s,
    )
    failure = api_error(BudgetRefused("t", shortage))
    assert (failure.status, failure.headers) == (429, headers)


def test_a_gateway_does_not_start_with_a_price_that_its_ledger_cannot_hold(tmp_path: Path) -> None:
    (tmp_path / "steproute.toml").write_text(
        CONFIG.format(url="http://127.0.0.1:1/v1").replace("input = 0.1,", 'input = "0.0000001",')
    )
    with pytest.raises(ConfigError, match="decimals"):
        served_routes(read_setup(tmp_path / "steproute.toml"))


@pytest.mark.parametrize(("asked", "sent"), [(None, 4096), (7, 7), (9000, 9000)])
def test_a_large_budget_asks_no_model_for_more_than_its_context_may_hold(asked: int | None, sent: int) -> None:
    route = GatewayRoute(name="r", solves=None, passthrough="weak", limits=Limits(max_cost_usd=Decimal(100)))
    fields = {} if asked is None else {"max_tokens": asked}
    chat = Chat.of({"model": "r", "messages": [{"role": "user", "content": "1 + 1?"}], **fields})
    asking = passthrough_work(
        chat, route, "weak", roles(WEAK_PRICE, FREE), Principal(tenant="t", key_id="k", limits_usd=True), "id"
    )
    assert asking.request.max_tokens == asking.most_tokens == sent


class Judge(ScriptedScorer):
    """Writes 8 tokens about each step."""

    def most_usage(self, prefix: Prefix) -> Usage:
        return Usage(input_tokens=100, output_tokens=8)

    async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
        scores = await super().score(prefix, meter)
        return replace(scores, usage=scores.usage + Usage(output_tokens=8))


@pytest.mark.parametrize(("max_tokens", "outcome"), [(15, Outcome.TOKEN_BUDGET), (400, Outcome.COMPLETED)])
def test_what_a_judge_writes_is_reserved_and_bounded(max_tokens: int, outcome: Outcome) -> None:
    of = roles(FREE, FREE)
    steps = [Say("a", 3), Say("b", 3), Say("c", 3, Stop.END)]
    weak = replace(of.models["weak"], model=ScriptedModel("weak", steps))
    of = replace(of, models={**of.models, "weak": weak}, scorers={"prm": ScorerRole(scorer=Judge())})
    asked = replace(work(of), limits=Limits(max_tokens=max_tokens, max_steps=10))
    trace = asyncio.run(asked.run(lambda happening: None))
    assert trace.outcome == outcome
    assert sum(line.usage.output_tokens for line in trace.account) <= asked.most_tokens
    assert asked.most_tokens == max_tokens + min(8 * 10 * 2 * 3, max_tokens)


def test_a_knob_reads_no_policy_from_its_folder_again(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = read_setup(None)
    table = {"policy": "lab-agg", "knob": 0.001, "knobs": [0.0001, 0.01]}
    setup = replace(setup, gateway=replace(setup.gateway, routes={"default": table}))
    served = served_routes(setup)["default"]
    monkeypatch.setattr("steproute.config.route.load_policy", None)
    chat = Chat.of({"model": "default", "messages": [{"role": "user", "content": PROBLEM}]})
    asked = step_work(chat, served, setup.roles, Principal(tenant="t", key_id="k"), "id", 0.003)
    assert asked.route.endswith("lab-agg=0.003")
    assert asked.strategy != served.strategy


@pytest.mark.parametrize("kind", ["file", "video_url", "input_audio", "audio_url", "document", None])
def test_a_part_that_nothing_bounds_is_refused_by_name_where_there_is_a_budget(kind: str | None) -> None:
    part = {"type": kind} if kind else {"image_url": "https://a.example/b.png"}
    chat = Chat.of({"model": "r", "messages": [{"role": "user", "content": [{"type": "text", "text": "?"}, part]}]})
    of = roles(WEAK_PRICE, FREE)
    model = replace(of.models["weak"], model=Seeing())
    of = replace(of, models={**of.models, "weak": model})
    free = GatewayRoute(name="r", solves=None, passthrough="weak", limits=Limits())
    capped = replace(free, limits=Limits(max_cost_usd=Decimal(1)))
    nobody, budgeted = Principal(tenant="t", key_id="k"), Principal(tenant="t", key_id="k", limits_usd=True)
    passthrough_work(chat, free, "weak", of, nobody, "id")
    for route, principal in ((capped, nobody), (free, budgeted)):
        with pytest.raises(ApiError) as failure:
            passthrough_work(chat, route, "weak", of, principal, "id")
        assert (failure.value.status, failure.value.param) == (400, "messages[0].content[1]")


class Seeing:
    """A chat model that takes every part."""

    name, capabilities = "seeing", ModelCapabilities(images=True)

    async def propose(
        self, prefix: Prefix, n: int = 1, sampling: Sampling = Sampling(), meter: Meter | None = None
    ) -> list[Draft]:
        return []

    async def chat(self, request: ChatRequest, meter: Meter | None = None) -> AsyncGenerator[ChatDelta, None]:
        yield ChatDelta()
