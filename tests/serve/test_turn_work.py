"""One turn as an episode: what the policy sees, and who writes when a model fails or a ladder has three rungs."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from decimal import Decimal
from typing import Any, ClassVar

import pytest

from steproute.core.chat import ChatDelta, ChatRequest, ToolCallDelta
from steproute.core.decision import Accept, Decision, Rewrite
from steproute.core.errors import BackendUnavailable, ContextOverflow
from steproute.core.events import Billed
from steproute.core.observation import Observation
from steproute.core.ports import ModelCapabilities, Policy
from steproute.core.problem import Problem
from steproute.core.solution import Meter, ModelCall, Outcome, Prefix, Scores
from steproute.core.trace import Trace
from steproute.core.usage import Price, Usage
from steproute.engine.limits import Limits
from steproute.engine.roles import ModelRole, Roles, ScorerRole
from steproute.policies.trim.ladder import LadderThreshold
from steproute.serve.turn_memory import UNKNOWN, Conversation, TurnMemory
from steproute.serve.turn_policy import UsableTurns
from steproute.serve.turn_request import limits_of_turn, turn_roles
from steproute.serve.turn_work import TurnWork
from steproute.strategies.stepwise import Stepwise

TOOLS = [{"type": "function", "function": {"name": "f"}}]
ASK: list[dict[str, Any]] = [{"role": "user", "content": "Go."}]
PROBLEM = Problem(id="id", messages=tuple(ASK))
SPENT = Usage(input_tokens=10, output_tokens=5)


class Writer:
    """Calls `f` with its own name, as JSON or not; or fails."""

    capabilities = ModelCapabilities(tool_calls=True)

    def __init__(self, name: str, arguments: str = "{}", failure: Exception | None = None) -> None:
        self.name, self._arguments, self._failure = name, arguments, failure

    async def propose(self, *_: object) -> list[Any]:
        raise NotImplementedError

    async def chat(self, request: ChatRequest, meter: Meter | None = None) -> AsyncGenerator[ChatDelta, None]:
        if self._failure is not None:
            raise self._failure
        assert meter is not None
        meter.usage = SPENT
        yield ChatDelta(content=self.name, tool_calls=(ToolCallDelta(id="c", name="f", arguments=self._arguments),))
        yield ChatDelta(finish_reason="tool_calls")
        yield ChatDelta(call=ModelCall(usage=SPENT))


class Scorer:
    """0.9, 0.8, … for the steps."""

    name = "prm"

    async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
        values = tuple(0.9 - 0.1 * number for number in range(len(prefix.steps)))
        return Scores(values=values, model=self.name, usage=Usage(input_tokens=3))


class Seeing:
    """Decides as it is told, by the author of the draft, and keeps what it sees."""

    scores_rewrites: ClassVar[bool] = True
    rewriters: ClassVar[tuple[str, ...]] = ("mid", "strong")

    def __init__(self, **decisions: Decision) -> None:
        self._decisions, self.seen = decisions, list[Observation]()

    def decide(self, observation: Observation) -> Decision:
        self.seen.append(observation)
        return self._decisions.get(observation.draft.role, Accept())


def run(
    policy: Policy,
    messages: list[dict[str, Any]] = ASK,
    memory: TurnMemory | None = None,
    limits: Limits = Limits(retries=0),
    **writers: Writer,
) -> tuple[Trace, list[Any]]:
    """The trace and all that happened."""
    price, memory = Price(input=Decimal(1), output=Decimal(2)), memory or TurnMemory()
    models = {role: Writer(role) for role in ("weak", "mid", "strong")} | writers
    roles = Roles(
        models={role: ModelRole(model=model, price=price) for role, model in models.items()},
        scorers={"prm": ScorerRole(scorer=Scorer(), price=price)},
        ladder=("weak", "mid", "strong"),
    )
    request = ChatRequest(messages=tuple(messages), fields={"tools": TOOLS})
    conversation = Conversation.of(request, "id", ("us", "agent"), memory)
    strategy = Stepwise(policy=UsableTurns(policy))
    turn = turn_roles(request, PROBLEM, conversation, strategy, roles, memory)
    work = TurnWork(
        request=request,
        conversation=conversation,
        memory=memory,
        route="r",
        strategy=strategy,
        roles=turn.limited_to(50),
        limits=limits_of_turn(limits, conversation),
        most_usd=turn.most_usd(50),
        most_tokens=turn.most_tokens(50),
    )
    happened: list[Any] = []
    return asyncio.run(work.run(happened.append)), happened


def shown(happened: list[Any]) -> str:
    """What the client sees of the turn."""
    return "".join(each.content for each in happened if isinstance(each, ChatDelta))


def billed(happened: list[Any]) -> list[str]:
    return [each.line.role for each in happened if isinstance(each, Billed)]


def test_a_policy_sees_the_earlier_turns_as_steps() -> None:
    policy, memory = Seeing(), TurnMemory()
    trace, _ = run(policy, memory=memory)
    assert trace.steps[0].text == "weak\nf({})"
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    turn = {"role": "assistant", "content": "weak", "tool_calls": [call]}
    messages = [*ASK, turn, {"role": "tool", "content": "No."}, {"role": "assistant", "content": "Hm."}, *ASK]
    trace, _ = run(policy, messages, memory, replace(Limits(), max_steps=2))
    seen = policy.seen[-1]
    assert (seen.step, seen.max_steps, seen.ends) == (3, 3, False)
    assert [(step.role, step.score) for step in seen.prefix.written] == [("weak", 0.9), (UNKNOWN, 0.8)]
    assert seen.scores == pytest.approx((0.9, 0.8, 0.7))
    assert len(trace.steps) == 1
    assert trace.outcome is Outcome.COMPLETED


def test_each_rung_of_a_ladder_may_write_the_turn_and_only_one_is_shown() -> None:
    trace, happened = run(LadderThreshold((1.0,)))
    assert billed(happened) == ["weak", "prm", "mid", "prm", "strong"]
    assert shown(happened) == "strong"
    assert trace.discarded_tokens() == 2 * SPENT.output_tokens
    assert shown(run(Seeing(weak=Rewrite("mid")))[1]) == "mid"


def test_a_malformed_turn_of_a_middle_rung_goes_to_the_strongest() -> None:
    trace, happened = run(Seeing(weak=Rewrite("mid")), mid=Writer("mid", arguments="{"))
    assert shown(happened) == "strong"
    assert trace.notes == ("mid: the arguments of f are no JSON object: '{'",)


def test_a_malformed_turn_of_the_strongest_model_is_sent_with_a_note() -> None:
    """There is nobody left to ask, and one model alone would have sent it, too."""
    trace, happened = run(Seeing(weak=Rewrite("strong")), strong=Writer("strong", arguments="{"))
    assert shown(happened) == "strong"
    assert "strong: the arguments" in trace.notes[0]


def test_a_takeover_is_one_turn() -> None:
    trace, happened = run(Seeing(weak=Rewrite("strong", steps=None)))
    assert billed(happened) == ["weak", "prm", "strong"]
    assert len(trace.steps) == 1


@pytest.mark.parametrize("failure", [BackendUnavailable("down"), ContextOverflow("too long")])
def test_the_strong_model_stands_in_for_a_weak_one_that_fails_if_the_route_says_so(failure: Exception) -> None:
    limits = Limits(retries=0, on_weak_failure="strong")
    trace, happened = run(Seeing(), limits=limits, weak=Writer("weak", failure=failure))
    assert shown(happened) == "strong"
    assert [each.role for each in trace.fallbacks] == ["weak"]
    trace, happened = run(Seeing(), weak=Writer("weak", failure=failure))
    assert shown(happened) == ""
    assert trace.steps == ()


def test_the_worst_case_fits_what_is_reserved() -> None:
    """Each model writes 50 tokens and each of the two drafts that are scored is read."""
    request = ChatRequest(messages=tuple(ASK), fields={"tools": TOOLS})
    memory = TurnMemory()
    conversation = Conversation.of(request, "id", ("us",), memory)
    price = Price(input=Decimal(1), output=Decimal(2))
    roles = Roles(
        models={role: ModelRole(model=Writer(role), price=price) for role in ("weak", "mid", "strong")},
        scorers={"prm": ScorerRole(scorer=Scorer(), price=price)},
        ladder=("weak", "mid", "strong"),
    )
    turn = turn_roles(request, PROBLEM, conversation, Stepwise(policy=Seeing()), roles, memory)
    writing = 3 * (1024 + 2 * 50)
    assert turn.most_tokens(50) == 150
    assert turn.most_usd(50) > Decimal(writing + 2 * 1024) / 10**6
    assert turn.most_usd(turn.affordable(Decimal("0.01"), 10**6)) <= Decimal("0.01")
