"""What goes over the wire to the Messages API in each mode, and what comes of the answers."""

import asyncio
import json
import sys
from typing import Any

import pytest
from tests.backends.http.hostile import Asked
from tests.backends.http.hostile_anthropic import HostileAnthropic

from steproute.backends.anthropic.model import AnthropicModel, AnthropicSettings
from steproute.backends.anthropic.prompt import conversation
from steproute.backends.http.server import Server
from steproute.backends.prompts import half_answered, one_step_asked
from steproute.core.errors import (
    BackendError,
    BackendUnavailable,
    ConfigError,
    ContextOverflow,
    ContinuationUnsupported,
    FieldRefused,
    RateLimited,
    SteprouteError,
    TooFewTokens,
)
from steproute.core.ports import Continuation
from steproute.core.problem import Problem
from steproute.core.registry import models
from steproute.core.solution import Draft, Meter, Prefix, Sampling, Step, Stop
from steproute.core.usage import Usage

PROBLEM = Problem.ask(id="p", text="A riddle.")
EMPTY = Prefix(problem=PROBLEM)
BEGUN = EMPTY.extended(Step(role="weak", text="Step 1: so then", tokens=3))
LONGER = BEGUN.extended(Step(role="weak", text="Step 2: so then", tokens=3))
SAMPLING = Sampling(temperature=0.3, top_p=0.9, top_k=5, max_tokens=40, seed=11)
PREFILL: dict[str, Any] = {"continuation": Continuation.PREFILL}
CACHED = {"cache_control": {"type": "ephemeral"}}


class Canned(HostileAnthropic):
    """Answers every message with the given events, or with an error's status, type and message."""

    def __init__(self, *events: dict[str, Any], error: tuple[int, str, str] | None = None, headers: str = "") -> None:
        super().__init__(lambda request: None)
        self.events, self.failure, self.headers = events, error, headers

    async def _stream(self, request: Asked, writer: asyncio.StreamWriter, reader: asyncio.StreamReader) -> bool:
        if self.failure is not None:
            status, kind, message = self.failure
            body = {"type": "error", "error": {"type": kind, "message": message}}
            return await self._send(writer, status, body, self.headers)
        data = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in self.events)
        head = f"HTTP/1.1 200 x\r\nrequest-id: r7\r\ncontent-length: {len(data)}\r\n\r\n"
        writer.write(head.encode() + data)
        await writer.drain()
        return True


def ask(
    server: HostileAnthropic, prefix: Prefix = BEGUN, n: int = 1, sampling: Sampling = SAMPLING, **settings: Any
) -> tuple[list[Draft], dict[str, Any], Meter]:
    async def run() -> tuple[list[Draft], dict[str, Any], Meter]:
        async with server.running():
            meter = Meter()
            chosen = AnthropicSettings(model="m", server=Server(base_url=server.url), **settings)
            drafts = await AnthropicModel("m", chosen).propose(prefix, n, sampling, meter)
            return drafts, server.asked[-1].body, meter

    return asyncio.run(run())


def good() -> HostileAnthropic:
    return HostileAnthropic(lambda request: None)


def begun(**usage: int) -> dict[str, Any]:
    return {"type": "message_start", "message": {"usage": usage or {"input_tokens": 9, "output_tokens": 1}}}


def said(text: str) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}


def ended(reason: str = "end_turn", **usage: Any) -> dict[str, Any]:
    counts = usage or {"output_tokens": 3}
    return {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": counts}


def test_instruct_sends_what_is_asked_for_and_no_sampling_field_that_claude_refuses() -> None:
    server = good()
    (draft,), body, meter = ask(server)
    assert [block["text"] for block in body["messages"][0]["content"]] == [
        "Problem:\nA riddle.\n\nSolution so far:\n",
        "Step 1: so then",
    ]
    assert "one step that comes next" in body["system"][0]["text"]
    assert (body["model"], body["max_tokens"], body["stream"]) == ("m", 40, True)
    assert body["thinking"] == {"type": "disabled"}
    assert not {"temperature", "top_p", "top_k", "seed", "stop_sequences"} & body.keys()
    assert (draft.text, draft.stop) == ("Step 2: so then", Stop.SEPARATOR)
    assert draft.usage == meter.total
    assert (draft.usage.output_tokens, draft.usage.estimated) == (3, False)
    assert "anthropic-version: 2026-10-21" in server.asked[0].head


def test_sampling_fields_are_sent_with_the_version_of_the_api_that_knows_them() -> None:
    server = good()
    (_,), body, _ = ask(server, sampling_fields=("temperature", "top_k"))
    assert (body["temperature"], body["top_k"]) == (0.3, 5)
    assert "top_p" not in body
    assert "anthropic-version: 2023-06-01" in server.asked[0].head


def test_a_prefill_ends_without_white_space_and_the_separator_that_follows_is_no_part_of_the_step() -> None:
    (draft,), body, _ = ask(good(), LONGER, instructions="", **PREFILL)
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant"]
    assert "".join(block["text"] for block in body["messages"][1]["content"]) == "Step 1: so then\n\nStep 2: so then"
    assert "system" not in body
    assert (draft.text, draft.stop) == ("Step 3: so then", Stop.SEPARATOR)
    (_,), body, _ = ask(good(), EMPTY, instructions="Think.", **PREFILL)
    assert [block["text"] for block in body["system"]] == ["Think."]
    assert [turn["role"] for turn in body["messages"]] == ["user"]


def test_a_step_cut_by_the_client_is_billed_by_an_estimate_of_all_that_arrived() -> None:
    (draft,), _, meter = ask(good(), **PREFILL)
    arrived = "\n\nStep 2: so then\n\n"
    assert draft.usage == meter.total
    assert draft.usage.estimated
    assert draft.usage.output_tokens == -(-len(arrived) // 4)


def test_a_half_written_step_of_white_space_is_not_sent() -> None:
    blank = EMPTY.extended(Step(role="weak", text="", tokens=0))
    for settings in ({}, PREFILL):
        (draft,), _, _ = ask(good(), blank, **settings)
        assert draft.text == "Step 1: so then"


@pytest.mark.parametrize("asked", [one_step_asked, half_answered])
def test_what_is_cached_at_one_step_is_the_beginning_of_the_next_request(asked: Any) -> None:
    def blocks(prefix: Prefix) -> list[tuple[str, bool]]:
        body = conversation(asked(prefix, "Think."), prefix)
        found = [*body["system"], *(block for turn in body["messages"] for block in turn["content"])]
        return [(block["text"], "cache_control" in block) for block in found]

    prefix, steps = EMPTY, [f"Step {n}: so then" for n in range(1, 6)]
    cached: set[tuple[str, ...]] = set()
    for step in steps:
        texts = [text for text, _ in blocks(prefix)]
        ends = [at for at, (_, marked) in enumerate(blocks(prefix), start=1) if marked]
        assert len(ends) <= 4
        longest = max((len(known) for known in cached if list(known) == texts[: len(known)]), default=0)
        assert not cached or longest >= (len(texts) - 1 if prefix.steps[1:] else 2)
        cached |= {tuple(texts[:end]) for end in ends}
        prefix = prefix.extended(Step(role="weak", text=step, tokens=3))


def test_cached_tokens_and_reasoning_are_told_apart() -> None:
    read = {"input_tokens": 5, "cache_read_input_tokens": 70, "cache_creation_input_tokens": 20, "output_tokens": 1}
    events = [begun(**read), said("a step"), ended(output_tokens=8, output_tokens_details={"thinking_tokens": 6})]
    (draft,), _, _ = ask(Canned(*events))
    assert draft.usage == Usage(
        input_tokens=5, cache_read_tokens=70, cache_write_tokens=20, output_tokens=8, reasoning_tokens=6
    )
    assert draft.request_id == "r7"


@pytest.mark.parametrize(
    ("events", "estimated"),
    [
        ([begun(input_tokens=-3), said("a step"), ended()], (True, 3)),
        ([begun(), said("a step"), ended(output_tokens=10**9)], (True, 2)),
        ([begun(), said("a step"), ended(output_tokens=0)], (True, 2)),
        ([begun(input_tokens=0), said("a step"), ended(input_tokens=9, output_tokens=3)], (False, 3)),
    ],
)
def test_counts_that_cannot_be_are_replaced_by_estimates(events: list[Any], estimated: tuple[bool, int]) -> None:
    (draft,), _, _ = ask(Canned(*events))
    assert (draft.usage.estimated, draft.usage.output_tokens) == estimated
    assert draft.usage.input_tokens > 0


def test_counts_above_our_own_limit_hold_where_a_further_field_raises_it() -> None:
    for limit, counted in ((400, 312), (300, 2)):
        server = Canned(begun(), said("a step"), ended(output_tokens=312))
        (draft,), body, _ = ask(server, extra={"max_tokens": limit})
        assert body["max_tokens"] == limit
        assert (draft.usage.output_tokens, draft.usage.estimated) == (counted, counted == 2)


def test_reasoning_are_hidden_and_the_answer_read_to_its_end_where_they_are_counted() -> None:
    server = good()
    server.thoughts = "Hm.\n\nHm hm."
    (draft,), body, _ = ask(server, thinking="hide")
    assert body["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert draft.text == "Step 2: so then"
    assert (draft.usage.output_tokens, draft.usage.reasoning_tokens, draft.usage.estimated) == (6, 3, False)
    thinking = {"type": "content_block_start", "content_block": {"type": "thinking", "thinking": ""}}
    (draft,), _, _ = ask(Canned(begun(), thinking, said("a step\n\nmore"), ended(output_tokens=30)), thinking="hide")
    assert (draft.text, draft.stop, draft.usage.output_tokens) == ("a step", Stop.SEPARATOR, 30)


def test_a_budget_of_reasoning_has_to_fit_the_draft() -> None:
    roomy = Sampling(max_tokens=2048)
    (_,), body, _ = ask(good(), sampling=roomy, thinking="hide", thinking_budget=1024)
    assert body["thinking"] == {"type": "enabled", "display": "summarized", "budget_tokens": 1024}
    with pytest.raises(TooFewTokens, match="leaves nothing of 40 tokens"):
        ask(good(), thinking="hide", thinking_budget=1024)


def test_further_fields_have_the_last_word() -> None:
    (_,), body, _ = ask(good(), extra={"thinking": {"type": "between_tools"}, "output_config": {"effort": "low"}})
    assert (body["thinking"], body["output_config"]) == ({"type": "between_tools"}, {"effort": "low"})


def test_several_drafts_are_as_many_requests_and_the_meter_is_their_sum() -> None:
    server = good()
    drafts, _, meter = ask(server, n=3)
    assert len(server.asked) == 3
    assert [draft.text for draft in drafts] == ["Step 2: so then"] * 3
    assert meter.total == drafts[0].usage + drafts[1].usage + drafts[2].usage
    assert meter.total.output_tokens == 9


def test_where_one_of_several_drafts_fails_the_others_are_stopped_and_all_are_paid_for() -> None:
    answers = iter([False, True, False])

    class Dying(HostileAnthropic):
        async def _stream(self, request: Asked, writer: asyncio.StreamWriter, reader: asyncio.StreamReader) -> bool:
            if next(answers):
                await asyncio.sleep(0.03)
                return await self._send(writer, 529, {"error": {"type": "overloaded_error", "message": "Overloaded"}})
            return await super()._stream(request, writer, reader)

    server = Dying(lambda request: None, token_s=0.05)
    meter = Meter()

    async def run() -> None:
        async with server.running():
            settings = AnthropicSettings(model="m", server=Server(base_url=server.url))
            try:
                await AnthropicModel("m", settings).propose(BEGUN, 3, SAMPLING, meter)
            finally:
                await asyncio.sleep(0.2)

    with pytest.raises(BackendUnavailable, match="status 529: Overloaded"):
        asyncio.run(run())
    assert [request.closed_by_client for request in server.asked].count(True) == 2
    assert meter.total.estimated
    assert meter.total.output_tokens > 0


def test_a_failed_request_hides_no_deadline_that_comes_later() -> None:
    async def run() -> None:
        async with Canned(error=(529, "overloaded_error", "Overloaded")).running() as server:
            settings = AnthropicSettings(model="m", server=Server(base_url=server.url))
            async with asyncio.timeout(None) as deadline:
                with pytest.raises(BackendUnavailable):
                    await AnthropicModel("m", settings).propose(BEGUN, 1, SAMPLING)
                deadline.reschedule(0)
                await asyncio.sleep(30)

    with pytest.raises(TimeoutError):
        asyncio.run(run())


def test_a_reply_that_starts_over_is_sent_back_once() -> None:
    server = Canned(begun(), said("Step 1: so then"), ended())
    with pytest.raises(BackendError, match="starts the solution over"):
        ask(server)
    assert [turn["role"] for turn in server.asked[1].body["messages"]] == ["user", "assistant", "user"]


@pytest.mark.parametrize("stop", ["\n\n", None])
@pytest.mark.parametrize(("used", "limits"), [(13, [40, 27]), (40, [40])])
def test_a_reply_that_is_sent_back_gets_the_tokens_that_the_first_one_left(
    used: int, limits: list[int], stop: str | None
) -> None:
    server = Canned(begun(), said("Step 1: so then"), ended(output_tokens=used))
    with pytest.raises(BackendError, match="starts the solution over"):
        ask(server, sampling=Sampling(max_tokens=40, stop=stop))
    assert [request.body["max_tokens"] for request in server.asked] == limits


def test_a_solution_to_its_end_is_asked_for_as_such() -> None:
    to_end = Sampling(max_tokens=90, stop=None)
    for prefix, steps in ((EMPTY, 4), (BEGUN, 3)):
        (draft,), _, _ = ask(good(), prefix, sampling=to_end)
        assert (draft.text.count("Step"), draft.stop) == (steps, Stop.END)


@pytest.mark.parametrize(
    ("reason", "text", "stop"),
    [
        ("end_turn", "a step", Stop.SEPARATOR),
        ("end_turn", "", Stop.END),
        ("max_tokens", "a st", Stop.LENGTH),
        ("model_context_window_exceeded", "a st", Stop.CONTEXT),
    ],
)
def test_why_an_answer_ended_is_told(reason: str, text: str, stop: Stop) -> None:
    (draft,), _, _ = ask(Canned(begun(), said(text), ended(reason)))
    assert draft.stop is stop
    if reason == "end_turn":
        (draft,), _, _ = ask(Canned(begun(), said(text), ended(reason)), **PREFILL)
        assert draft.stop is Stop.END


def test_a_refusal_is_an_error_and_is_paid_for() -> None:
    with pytest.raises(BackendError, match="refuses to answer"):
        ask(Canned(begun(), said("I"), ended("refusal")))


def test_a_step_that_calls_a_tool_is_an_error_that_no_retry_mends() -> None:
    with pytest.raises(BackendError, match="passthrough route") as caught:
        ask(Canned(begun(), ended("tool_use")))
    assert type(caught.value) is BackendError


@pytest.mark.parametrize(
    ("failure", "kind", "message"),
    [
        ((429, "rate_limit_error", "slow down"), RateLimited, "slow down"),
        ((529, "overloaded_error", "Overloaded"), BackendUnavailable, "status 529"),
        ((401, "authentication_error", "invalid x-api-key"), BackendError, "variable that api_key_env names"),
        ((402, "billing_error", "pay"), BackendError, "no money left"),
        ((403, "permission_error", "no"), BackendError, "may not use this model"),
        ((404, "not_found_error", "model: m"), BackendError, "the model's name"),
        ((400, "invalid_request_error", "prompt is too long: 9 tokens > 8 maximum"), ContextOverflow, "too long"),
        (
            (400, "invalid_request_error", "input length and `max_tokens` exceed context limit: 9 + 9 > 8"),
            ContextOverflow,
            "context limit",
        ),
        (
            (400, "invalid_request_error", "temperature: Extra inputs are not permitted"),
            FieldRefused,
            "sampling_fields",
        ),
        (
            (400, "invalid_request_error", '"thinking.type.disabled" is not supported'),
            BackendError,
            "thinking = 'hide'",
        ),
        ((400, "invalid_request_error", "messages: odd"), BackendError, "status 400: messages: odd"),
    ],
)
def test_an_error_says_what_to_do(failure: tuple[int, str, str], kind: type[SteprouteError], message: str) -> None:
    with pytest.raises(BackendError) as caught:
        ask(Canned(error=failure, headers="retry-after: 3\r\n"))
    assert type(caught.value) is kind
    assert message in str(caught.value)
    assert getattr(caught.value, "retry_after_s", 3.0) == 3.0


class Cramped(Canned):
    """Has a context of `holds` tokens, 50 of which every prompt takes."""

    def __init__(self, *events: dict[str, Any], holds: int) -> None:
        super().__init__(*events)
        self.holds = holds

    async def _stream(self, request: Asked, writer: asyncio.StreamWriter, reader: asyncio.StreamReader) -> bool:
        most = request.body["max_tokens"]
        message = f"input length and `max_tokens` exceed context limit: 50 + {most} > {self.holds}, decrease either"
        self.failure = (400, "invalid_request_error", message) if 50 + most > self.holds else None
        return await super()._stream(request, writer, reader)


def test_a_request_too_long_by_its_limit_is_made_again_with_what_room_there_is() -> None:
    for n in (1, 2):
        server = Cramped(begun(), said("a st"), ended("max_tokens", output_tokens=14), holds=64)
        drafts, body, meter = ask(server, n=n)
        assert body["max_tokens"] == 14
        assert [(draft.text, draft.stop, draft.usage.output_tokens) for draft in drafts] == [
            ("a st", Stop.CONTEXT, 14)
        ] * n
        assert meter.total == sum((draft.usage for draft in drafts), Usage())
        assert len(server.asked) == 2 * n


def test_a_request_for_which_there_is_no_room_at_all_is_not_made_again() -> None:
    thinks: dict[str, Any] = {"thinking": "hide", "thinking_budget": 1024, "sampling": Sampling(max_tokens=2048)}
    for holds, settings in ((50, {}), (49, {}), (50 + 1024, thinks)):
        server = Cramped(holds=holds)
        with pytest.raises(ContextOverflow, match="exceed context limit"):
            ask(server, **settings)
        assert len(server.asked) == 1


def test_an_answer_that_has_begun_is_not_asked_for_again() -> None:
    message = "input length and `max_tokens` exceed context limit: 50 + 40 > 64"
    late = {"type": "error", "error": {"type": "invalid_request_error", "message": message}}
    server = Canned(begun(), said("a step"), late)
    with pytest.raises(ContextOverflow):
        ask(server)
    assert len(server.asked) == 1


def test_an_error_in_the_middle_of_the_stream_is_told_by_its_type_and_what_came_is_paid_for() -> None:
    overloaded = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    for events, paid in (([begun(), said("a step"), overloaded], 2), ([begun(), overloaded], 0)):
        meter = Meter()

        async def run(events: list[Any] = events, meter: Meter = meter) -> None:
            async with Canned(*events).running() as server:
                settings = AnthropicSettings(model="m", server=Server(base_url=server.url))
                await AnthropicModel("m", settings).propose(BEGUN, 1, SAMPLING, meter)

        with pytest.raises(BackendUnavailable, match="status 529: Overloaded"):
            asyncio.run(run())
        assert (meter.total.output_tokens, meter.total != Usage()) == (paid, paid > 0)


def test_a_model_that_refuses_a_prefill_says_which_mode_it_can_do() -> None:
    server = good()
    server.prefills = False
    with pytest.raises(ContinuationUnsupported, match="'prefill' is not offered by this model .*400.* Use 'instruct'"):
        ask(server, **PREFILL)


def test_cancelling_closes_the_stream_and_what_arrived_is_on_the_meter() -> None:
    async def run(**settings: Any) -> tuple[Usage, Asked]:
        server = HostileAnthropic(lambda request: None, token_s=0.05)
        async with server.running():
            chosen = AnthropicSettings(model="m", server=Server(base_url=server.url), **settings)
            meter = Meter()
            task = asyncio.ensure_future(AnthropicModel("m", chosen).propose(BEGUN, 1, SAMPLING, meter))
            while meter.total.output_tokens < 3:
                await asyncio.sleep(0.005)
            task.cancel()
            (outcome,) = await asyncio.gather(task, return_exceptions=True)
            assert isinstance(outcome, asyncio.CancelledError)
            await asyncio.sleep(0.2)
            return meter.total, server.asked[0]

    for settings in ({}, PREFILL):
        used, asked = asyncio.run(run(**settings))
        assert asked.closed_by_client
        assert asked.generated <= 3
        assert used.estimated
        assert used.output_tokens == 3
        assert used.input_tokens == asked.prompt_tokens


def test_a_key_is_sent_and_never_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-very-secret")
    server = Canned(error=(400, "invalid_request_error", "bad key sk-very-secret"))

    async def run() -> None:
        async with server.running():
            place = Server(base_url=server.url, api_key_env="MY_KEY")
            await AnthropicModel("m", AnthropicSettings(model="m", server=place)).propose(BEGUN, 1, SAMPLING)

    with pytest.raises(BackendError, match=r"bad key \[key\]") as caught:
        asyncio.run(run())
    assert caught.value.__cause__ is None
    assert "Bearer sk-very-secret" in server.asked[0].head


def test_settings_that_the_api_refuses_together_are_refused_at_once() -> None:
    server = Server(base_url="http://127.0.0.1:1")
    with pytest.raises(ContinuationUnsupported, match="Use 'instruct' or 'prefill'"):
        AnthropicSettings(model="m", server=server, continuation=Continuation.COMPLETIONS)
    with pytest.raises(ConfigError, match="thinking: 'hide' goes with neither"):
        AnthropicSettings(model="m", server=server, thinking="hide", continuation=Continuation.PREFILL)
    with pytest.raises(ConfigError, match="thinking: 'hide' goes with neither"):
        AnthropicSettings(model="m", server=server, thinking="hide", sampling_fields=("temperature",))
    for thinking, budget in (("off", 2048), ("hide", 100)):
        with pytest.raises(ConfigError, match=f"thinking_budget: {budget}"):
            AnthropicSettings(model="m", server=server, thinking=thinking, thinking_budget=budget)  # type: ignore[arg-type]


def test_it_is_made_from_a_table_and_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    table = {
        "model": "m",
        "base_url": "http://127.0.0.1:1",
        "sampling_fields": ["temperature"],
        "continuation": "prefill",
    }
    made = models.get("anthropic").from_settings("strong", table)
    assert made.settings.sampling_fields == ("temperature",)
    with pytest.raises(ConfigError, match="sampling_fields"):
        models.get("anthropic").from_settings("strong", {**table, "sampling_fields": ["seed"]})
    monkeypatch.setitem(sys.modules, "anthropic", None)
    with pytest.raises(ConfigError, match=r"pip install 'steproute\[anthropic\]'"):
        models.get("anthropic").from_settings("strong", table)
