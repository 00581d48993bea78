"""An agent of OpenAI's client plays the house through the gateway: each turn is a step, and the account is exact."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import anthropic
import openai
import pytest
from tests.serve.house_agents import TOOLS, Agents, Turn, game, house_agents

TASKS = (24, 30, 36)
"""Tasks in which the weak agent alone puts the thing in the wrong place."""
ROUTED = "steproute/agent"


@pytest.fixture(scope="module")
def agents(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agents]:
    with house_agents(tmp_path_factory.mktemp("agents")) as running:
        yield running


class Asking:
    """OpenAI's client with tools."""

    def __init__(self, client: openai.OpenAI, model: str) -> None:
        self._client, self._model = client, model
        self.tokens = 0

    def whole(self, messages: Sequence[Turn]) -> tuple[Turn, dict[str, Any]]:
        reply = self._client.chat.completions.create(model=self._model, messages=messages, tools=TOOLS)  # type: ignore[call-overload]
        self.tokens += reply.usage.total_tokens
        return reply.choices[0].message.model_dump(exclude_none=True), reply.model_extra["steproute"]

    def streamed(self, messages: Sequence[Turn]) -> tuple[Turn, dict[str, Any]]:
        with self._client.chat.completions.stream(
            model=self._model,
            messages=messages,  # type: ignore[arg-type]
            tools=TOOLS,  # type: ignore[arg-type]
            stream_options={"include_usage": True},
        ) as stream:
            chunks = [event.chunk for event in stream if event.type == "chunk"]
            reply = stream.get_final_completion()
        assert reply.usage is not None
        self.tokens += reply.usage.total_tokens
        (facts,) = [
            extra["steproute"]
            for chunk in chunks
            if "outcome" in (extra := chunk.model_extra or {}).get("steproute", {})
        ]
        message = reply.choices[0].message
        turn = message.model_dump(include={"role", "content", "tool_calls"}, exclude_none=True)
        for call in turn.get("tool_calls", ()):
            call["function"].pop("parsed_arguments", None)
        return turn, facts


@pytest.mark.parametrize("way", ["whole", "streamed"])
def test_the_strong_model_writes_the_turns_that_the_weak_one_gets_wrong(agents: Agents, way: str) -> None:
    """The clients' bills, the ledger, and what the models themselves have counted, are the same to the token."""
    asking = Asking(agents.gateway.client(), ROUTED)
    counted, billed = agents.counts(), agents.ledger()
    games = [game(number).play(getattr(asking, way)) for number in TASKS]
    assert [each.succeeded for each in games] == [True] * len(TASKS)
    for each in games:
        assert set(each.authors) == {"weak", "strong"}
        assert [facts["turn"] for facts in each.facts] == [*range(1, len(each.facts) + 1)]
    used, bill = _difference(agents.counts(), counted), _difference(agents.ledger(), billed)
    assert {role: {**row, "cost": 0} for role, row in bill.items()} == {
        r: {**row, "cost": 0} for r, row in used.items()
    }
    assert asking.tokens == sum(row["read"] + row["written"] for row in used.values())
    assert sum(each.cost_usd for each in games) == sum(Decimal(row["cost"]) for row in bill.values()) / 10**12


def _difference(after: dict[str, dict[str, int]], before: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
    return {
        role: {name: value - before.get(role, {}).get(name, 0) for name, value in row.items()}
        for role, row in after.items()
    }


def test_the_weak_model_alone_fails_the_same_tasks(agents: Agents) -> None:
    asking = Asking(agents.gateway.client(), "steproute/weak")
    assert not game(TASKS[-1]).play(asking.whole).succeeded


def test_a_kept_trace_shows_the_turn_that_was_rejected(agents: Agents) -> None:
    played = game(36).play(Asking(agents.gateway.client(), ROUTED).whole)
    facts = next(each for each in played.facts if each["steps"][0]["role"] == "strong")
    kept = agents.gateway.get(f"/v1/traces/{facts['trace_id']}").json()
    (step,) = kept["trace"]["steps"]
    assert step["rejected_score"] < 0.5
    assert step["rejected"] != step["text"]
    purposes = [(line["role"], line["purpose"]) for line in kept["trace"]["account"]]
    assert purposes == [("weak", "discarded"), ("prm", "score"), ("strong", "accepted")]
    assert sum(Decimal(str(line["cost_usd"])) for line in kept["trace"]["account"]) == Decimal(facts["cost_usd"])


def test_an_agent_of_anthropics_client_gets_the_same_turns(agents: Agents) -> None:
    client = anthropic.Anthropic(base_url=agents.gateway.url, api_key="none")
    tools = [{"name": tool["function"]["name"], "input_schema": tool["function"]["parameters"]} for tool in TOOLS]
    messages: list[Any] = [dict(game(36).problem.messages[0])]
    reply = client.messages.create(model=ROUTED, max_tokens=500, messages=messages, tools=tools)  # type: ignore[arg-type]
    (call,) = [block for block in reply.content if block.type == "tool_use"]
    turn, facts = Asking(agents.gateway.client(), ROUTED).whole(messages)
    assert (call.name, call.id) == (turn["tool_calls"][0]["function"]["name"], turn["tool_calls"][0]["id"])
    assert reply.stop_reason == "tool_use"
    assert reply.model_extra is not None
    assert reply.model_extra["steproute"]["steps"] == facts["steps"]
