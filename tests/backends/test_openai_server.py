"""What goes over the wire in each continuation mode, and what comes of the answers."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.backends.http.hostile import Asked, HostileServer

from steproute.backends.http.server import Server
from steproute.backends.openai.kinds import KINDS, Kind
from steproute.backends.openai.model import OpenAiModel
from steproute.backends.openai.settings import OpenAiSettings
from steproute.backends.step_cutter import StepCutter
from steproute.core.answer_rule import BOXED, FINAL_LINE, NONE, RULES, AnswerRule
from steproute.core.errors import (
    BackendError,
    BackendUnavailable,
    ConfigError,
    ContextOverflow,
    ContinuationUnsupported,
)
from steproute.core.ports import Continuation
from steproute.core.problem import Problem
from steproute.core.solution import Draft, Meter, Prefix, Sampling, Step, Stop

PROBLEM = Problem.ask(id="p", text="A riddle.")
BEGUN = Prefix(problem=PROBLEM, steps=(Step(role="weak", text="Step 1: so then", tokens=3),))
SAMPLING = Sampling(temperature=0.3, top_p=0.9, top_k=5, max_tokens=40, seed=11)


class Canned(HostileServer):
    """Answers every completion with the given chunks."""

    def __init__(self, chunks: list[dict[str, Any]], status: int = 200) -> None:
        super().__init__(lambda request: None)
        self.chunks, self.status = chunks, status

    async def _stream(self, request: Asked, writer: asyncio.StreamWriter, reader: asyncio.StreamReader) -> bool:
        if self.status != 200:
            body = self.chunks.pop(0)
            self.status = 200
            return await self._send(writer, 400, body)
        data = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in self.chunks) + b"data: [DONE]\n\n"
        head = f"HTTP/1.1 200 x\r\ncontent-type: text/event-stream\r\ncontent-length: {len(data)}\r\n\r\n"
        writer.write(head.encode() + data)
        await writer.drain()
        return True


def ask(
    server: HostileServer, prefix: Prefix = BEGUN, n: int = 1, sampling: Sampling = SAMPLING, **settings: Any
) -> tuple[list[Draft], dict[str, Any], Meter]:
    async def run() -> tuple[list[Draft], dict[str, Any], Meter]:
        async with server.running():
            meter = Meter()
            chosen = OpenAiSettings(model="m", server=Server(base_url=server.url), **settings)
            drafts = await OpenAiModel("m", chosen).propose(prefix, n, sampling, meter)
            return drafts, server.asked[-1].body, meter

    return asyncio.run(run())


def good() -> HostileServer:
    return HostileServer(lambda request: None)


def text_chunk(text: str, finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "text": text, "finish_reason": finish, **more}]}


def test_a_raw_completion_sends_the_problem_and_the_closed_steps() -> None:
    (draft,), body, meter = ask(good(), template="none")
    assert body["prompt"] == "A riddle.\n\nStep 1: so then\n\n"
    assert body["stop"] == ["\n\n"]
    assert (body["temperature"], body["top_p"], body["top_k"], body["seed"]) == (0.3, 0.9, 5, 11)
    assert body["max_tokens"] == 40
    assert (draft.text, draft.stop) == ("Step 2: so then", Stop.SEPARATOR)
    assert draft.usage == meter.total
    assert (draft.usage.output_tokens, draft.usage.estimated) == (4, False)


def test_a_template_is_rendered_by_the_server_once_a_problem() -> None:
    server = good()
    (_,), body, _ = ask(server)
    assert body["prompt"] == "<user>A riddle.<assistant>Step 1: so then\n\n"
    assert body["add_special_tokens"] is False
    assert [request.path for request in server.asked] == ["/tokenize", "/detokenize", "/v1/completions"]


def test_a_template_is_rendered_here_where_the_server_cannot(tmp_path: Path) -> None:
    template = "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[assistant]"
    (tmp_path / "chat_template.jinja").write_text(template + "{{ '' if enable_thinking | default(true) else '[]' }}")
    (tmp_path / "tokenizer_config.json").write_text('{"bos_token": "<s>"}')
    chosen: dict[str, Any] = {"template": str(tmp_path), "instructions": ""}
    server = good()
    (draft,), body, _ = ask(server, **chosen)
    assert body["prompt"] == "<s>[user]A riddle.[assistant]Step 1: so then\n\n"
    assert body["add_special_tokens"] is False
    assert draft.text == "Step 2: so then"
    assert len(server.asked) == 1
    (_,), body, _ = ask(good(), kind="openai", thinking="off", **chosen)
    assert body["prompt"] == "[user]A riddle.[assistant][]Step 1: so then\n\n", "such servers begin prompts themselves"
    with pytest.raises(ConfigError, match="template: there is no folder sever"):
        ask(good(), template="sever")


@pytest.mark.parametrize("rendered_by", ["server", "folder"])
def test_each_problem_has_a_prompt_of_its_own_however_many_one_model_solves(tmp_path: Path, rendered_by: str) -> None:
    (tmp_path / "chat_template.jinja").write_text("<user>{{ messages[-1].content }}<assistant>")
    template = "server" if rendered_by == "server" else str(tmp_path)

    async def run() -> HostileServer:
        async with HostileServer(lambda request: None).running() as server:
            model = OpenAiModel("m", OpenAiSettings(model="m", server=Server(base_url=server.url), template=template))
            for text in ("A riddle.", "Another.", "A riddle."):
                await model.propose(Prefix(problem=Problem.ask(id="p", text=text)), 1, SAMPLING)
            return server

    server = asyncio.run(run())
    prompts = [request.body["prompt"] for request in server.asked if "prompt" in request.body]
    assert prompts == [f"<user>{text}<assistant>" for text in ("A riddle.", "Another.", "A riddle.")]
    rendered = [request.path for request in server.asked if "tokenize" in request.path]
    assert rendered == ["/tokenize", "/detokenize"] * (2 if rendered_by == "server" else 0), "once a problem"


def test_a_problem_under_two_rules_has_two_prompts(tmp_path: Path) -> None:
    (tmp_path / "chat_template.jinja").write_text("{% for m in messages %}[{{ m.content }}]{% endfor %}")

    async def run() -> list[str]:
        async with HostileServer(lambda request: None).running() as server:
            settings = OpenAiSettings(model="m", server=Server(base_url=server.url), template=str(tmp_path))
            model = OpenAiModel("m", settings)
            for rule in (BOXED, FINAL_LINE, BOXED):
                await model.propose(Prefix(problem=Problem.ask(id="p", text="A riddle.", rule=rule)), 1, SAMPLING)
            return [request.body["prompt"] for request in server.asked]

    assert asyncio.run(run()) == [f"[{rule.instructions}][A riddle.]" for rule in (BOXED, FINAL_LINE, BOXED)]


@pytest.mark.parametrize("mode", [Continuation.CONTINUE_FINAL_MESSAGE, Continuation.INSTRUCT])
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_model_is_told_how_the_rule_states_answers(rule: AnswerRule, mode: Continuation) -> None:
    begun = replace(BEGUN, problem=replace(PROBLEM, rule=rule))
    system = ask(good(), begun, continuation=mode)[1]["messages"][0]["content"]
    assert system.startswith(rule.instructions)
    assert mode is not Continuation.INSTRUCT or rule.form in system
    assert ("boxed" in system) == (rule is BOXED)
    own = ask(good(), begun, continuation=mode, instructions="Think.")[1]["messages"][0]["content"]
    assert own.startswith("Think.")
    assert rule.instructions not in own


def test_without_a_rule_a_model_that_is_asked_for_one_step_says_when_it_is_done() -> None:
    chunks = [{"choices": [{"index": 0, "delta": {"content": "[complete]"}, "finish_reason": "stop"}]}]
    for rule, expected in ((NONE, ("", Stop.END)), (BOXED, ("[complete]", Stop.SEPARATOR))):
        begun = replace(BEGUN, problem=replace(PROBLEM, rule=rule))
        (draft,), body, _ = ask(Canned(chunks), begun, continuation=Continuation.INSTRUCT)
        assert (draft.text, draft.stop) == expected
        assert ("[complete]" in body["messages"][0]["content"]) == (rule is NONE)


@pytest.mark.parametrize("kind", ["vllm", "openai"])
def test_a_server_that_renders_no_template_says_what_to_set(kind: str) -> None:
    class Bare(HostileServer):
        async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
            await reader.readuntil(b"\r\n\r\n")
            await self._send(writer, 404, b"404 page not found", "connection: close\r\n")
            return False

    with pytest.raises(BackendError, match="template: 'server' needs .*status 404.* Set template to the folder"):
        ask(Bare(lambda request: None), kind=kind)


def test_a_chat_is_continued_in_its_last_message_or_begun() -> None:
    (_,), body, _ = ask(good(), continuation=Continuation.CONTINUE_FINAL_MESSAGE, instructions="Think.")
    assert [message["role"] for message in body["messages"]] == ["system", "user", "assistant"]
    assert body["messages"][-1]["content"] == "Step 1: so then\n\n"
    assert body["continue_final_message"] is True
    assert body["add_generation_prompt"] is False
    begin = Prefix(problem=PROBLEM)
    (_,), body, _ = ask(good(), begin, continuation=Continuation.CONTINUE_FINAL_MESSAGE, instructions="")
    assert body["messages"] == [{"role": "user", "content": "A riddle."}]
    assert "continue_final_message" not in body


def test_instructions_ask_for_one_step_behind_a_stable_prefix() -> None:
    settings: dict[str, Any] = {"continuation": Continuation.INSTRUCT, "kind": "openai"}
    (draft,), first, _ = ask(good(), **settings)
    longer = BEGUN.extended(Step(role="weak", text="Step 2: so then", tokens=3))
    (_,), second, _ = ask(good(), longer, **settings)
    assert second["messages"][0] == first["messages"][0]
    assert second["messages"][1]["content"].startswith(first["messages"][1]["content"])
    assert draft.text == "Step 2: so then"
    assert "top_k" not in first
    assert first["max_completion_tokens"] == 40


@pytest.mark.parametrize("settings", [{}, {"stop": "client", "thinking": "hide"}, {"kind": "openai"}])
def test_a_step_that_was_asked_for_ends_no_solution_unless_it_is_empty(settings: dict[str, Any]) -> None:
    for text, stop in (("a step", Stop.SEPARATOR), ("", Stop.END)):
        chunks = [{"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": "stop"}]}]
        (draft,), _, _ = ask(Canned(chunks), continuation=Continuation.INSTRUCT, **settings)
        assert draft.stop is stop


def test_a_solution_to_its_end_is_asked_for_as_such() -> None:
    to_end = Sampling(max_tokens=90, stop=None)
    for prefix, steps in ((Prefix(problem=PROBLEM), 4), (BEGUN, 3)):
        (draft,), _, _ = ask(good(), prefix, sampling=to_end, continuation=Continuation.INSTRUCT, kind="openai")
        assert (draft.text.count("Step"), draft.stop) == (steps, Stop.END)


def test_a_reply_that_starts_over_is_sent_back_once_and_paid_for() -> None:
    again = [text for _ in range(2) for text in ("Step 1: so", " then")]
    chunks = [{"choices": [{"index": 0, "delta": {"content": text}}]} for text in again[:2]]
    chunks += [{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}]
    chunks += [{"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2}}]
    server = Canned(chunks)
    with pytest.raises(BackendError, match="starts the solution over"):
        ask(server, continuation=Continuation.INSTRUCT, kind="openai")
    assert len(server.asked) == 2
    assert server.asked[1].body["messages"][-1]["content"].startswith("That is there already. Write step 2")


@pytest.mark.parametrize("stop", ["\n\n", None])
@pytest.mark.parametrize(("used", "limits"), [(13, [40, 27]), (40, [40])])
def test_a_reply_that_is_sent_back_gets_the_tokens_that_the_first_one_left(
    used: int, limits: list[int], stop: str | None
) -> None:
    chunks: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": {"content": "Step 1: so then"}, "finish_reason": "stop"}]},
        {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": used}},
    ]
    server = Canned(chunks)
    with pytest.raises(BackendError, match="starts the solution over"):
        ask(server, sampling=Sampling(max_tokens=40, stop=stop), continuation=Continuation.INSTRUCT)
    assert [request.body["max_tokens"] for request in server.asked] == limits


@pytest.mark.parametrize(
    ("ending", "kind", "stop"),
    [
        ({"stop_reason": "\n\n"}, "vllm", Stop.SEPARATOR),
        ({"stop_reason": None}, "vllm", Stop.END),
        ({"stop_reason": 151645}, "vllm", Stop.END),
        ({"matched_stop": "\n\n"}, "sglang", Stop.SEPARATOR),
        ({"matched_stop": 2}, "sglang", Stop.END),
        ({}, "llama.cpp", Stop.SEPARATOR),
    ],
)
def test_a_stop_string_is_told_from_the_end_where_the_server_tells(
    ending: dict[str, Any], kind: str, stop: Stop
) -> None:
    (draft,), _, _ = ask(Canned([text_chunk("a step"), text_chunk("", "stop", **ending)]), template="none", kind=kind)
    assert draft.stop is stop


def test_where_it_does_not_tell_an_empty_step_is_the_end() -> None:
    (draft,), _, _ = ask(Canned([text_chunk("", "stop")]), template="none", kind="llama.cpp")
    assert draft.stop is Stop.END


@pytest.mark.parametrize(
    "pieces",
    [["a step", "\n\n", "more"], ["a step\n", "\nmore"], ["\n", "\na step\n\nmore"], ["a ", "step", "\n", "\n"]],
)
def test_a_separator_that_the_server_sends_ends_the_step_and_is_no_part_of_it(pieces: list[str]) -> None:
    chunks = [text_chunk(piece) for piece in pieces] + [text_chunk("", "length")]
    for stop in ("server", "client"):
        (draft,), _, _ = ask(Canned(list(chunks)), template="none", stop=stop)
        assert (draft.text, draft.stop) == ("a step", Stop.SEPARATOR)


@pytest.mark.parametrize(
    ("counts", "output", "reasoning"),
    [
        ({"completion_tokens": 14, "total_tokens": 64}, 14, 0),
        (
            {"completion_tokens": 14, "total_tokens": 374, "completion_tokens_details": {"reasoning_tokens": 310}},
            324,
            310,
        ),
        ({"completion_tokens": 0, "completion_tokens_details": {"reasoning_tokens": 30}}, 30, 30),
        ({"completion_tokens": 39, "completion_tokens_details": {"reasoning_tokens": 30}}, 39, 30),
    ],
)
def test_reasoning_that_are_counted_beside_the_completion_are_paid_for(
    counts: dict[str, Any], output: int, reasoning: int
) -> None:
    server = Canned([text_chunk("a step", "stop"), {"choices": [], "usage": {"prompt_tokens": 50, **counts}}])
    (draft,), _, _ = ask(server, template="none")
    assert (draft.usage.read_tokens, draft.usage.output_tokens, draft.usage.reasoning_tokens) == (50, output, reasoning)
    assert not draft.usage.estimated


@pytest.mark.parametrize("reason", ["abort", "error", "insufficient_system_resource"])
@pytest.mark.parametrize("kind", ["vllm", "openai"])
@pytest.mark.parametrize("stop", ["server", "client"])
def test_an_answer_that_ends_for_no_regular_reason_is_no_step(kind: str, reason: str, stop: str) -> None:
    with pytest.raises(BackendUnavailable, match=f"ended by '{reason}'"):
        ask(Canned([text_chunk("half a st", reason)]), template="none", kind=kind, stop=stop)


@pytest.mark.parametrize("stop", ["server", "client"])
def test_an_answer_that_a_filter_stopped_is_no_step_and_not_asked_for_again(stop: str) -> None:
    with pytest.raises(BackendError, match="content filter stopped the answer") as caught:
        ask(Canned([text_chunk("half a st", "content_filter")]), template="none", stop=stop)
    assert type(caught.value) is BackendError


@pytest.mark.parametrize(
    ("reason", "stop"), [("MAX_TOKENS", Stop.LENGTH), ("model_length", Stop.CONTEXT), ("EOS", Stop.END)]
)
def test_other_words_for_a_regular_end_are_known(reason: str, stop: Stop) -> None:
    (draft,), _, _ = ask(Canned([text_chunk("half a st", reason)]), template="none")
    assert draft.stop is stop


@pytest.mark.parametrize("settings", [{"template": "none"}, {"template": "none", "stop": "client"}])
def test_a_solution_to_its_end_begins_with_its_first_step(settings: dict[str, Any]) -> None:
    server = Canned([text_chunk("\n"), text_chunk("\nStep A\n\nStep B", "stop")])
    (draft,), _, _ = ask(server, sampling=Sampling(max_tokens=40, stop=None), **settings)
    assert draft.text == "Step A\n\nStep B"


def test_tokens_that_nobody_reports_are_estimated_and_marked() -> None:
    server = good()
    server.reports_usage = False
    (draft,), _, _ = ask(server, template="none")
    assert draft.usage.estimated
    assert draft.usage.output_tokens == 3


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_counts_above_our_own_limit_hold_where_a_further_field_raises_it(field: str) -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 312}
    for limit, counted in ((400, 312), (300, 1)):
        server = Canned([text_chunk("a step", "stop"), {"choices": [], "usage": usage}])
        (draft,), _, meter = ask(server, template="none", extra={field: limit})
        assert (draft.usage.output_tokens, draft.usage.estimated) == (counted, counted == 1)
        assert draft.usage == meter.total


def test_several_drafts_share_one_request_and_its_tokens_exactly() -> None:
    chunks = [
        {"choices": [{"index": index, "text": text, "finish_reason": finish}]}
        for index, text, finish in ((0, "one", None), (1, "two ", None), (1, "words", "stop"), (0, "", "length"))
    ]
    usage = {"prompt_tokens": 7, "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 4}}
    drafts, body, meter = ask(Canned([*chunks, {"choices": [], "usage": usage}]), n=2, template="none")
    assert body["n"] == 2
    assert [draft.text for draft in drafts] == ["one", "two words"]
    assert [draft.usage.output_tokens for draft in drafts] == [3, 7]
    assert [(d.usage.input_tokens, d.usage.cache_read_tokens) for d in drafts] == [(3, 4), (0, 0)]
    assert drafts[0].usage + drafts[1].usage == meter.total


def test_log_probabilities_come_in_both_forms() -> None:
    raw = {"token_logprobs": [-0.5, -0.25], "top_logprobs": [{"a": -0.5, "b": -1.0}, {"c": -0.25}]}
    (draft,), body, _ = ask(Canned([text_chunk("ac", "stop", logprobs=raw)]), template="none", logprobs=2)
    assert body["logprobs"] == 2
    assert draft.logprobs == (-0.5, -0.25)
    top = [{"logprob": -0.5}, {"logprob": -1.0}]
    content = {"content": [{"logprob": -0.5, "top_logprobs": top}, {"logprob": -0.25, "top_logprobs": []}]}
    chat = {"choices": [{"index": 0, "delta": {"content": "ac"}, "finish_reason": "stop", "logprobs": content}]}
    (again,), body, _ = ask(Canned([chat]), continuation=Continuation.CONTINUE_FINAL_MESSAGE, logprobs=2)
    assert (body["logprobs"], body["top_logprobs"]) == (True, 2)
    assert again.logprobs == draft.logprobs
    assert again.first_token_entropy == pytest.approx(draft.first_token_entropy or 0)
    assert (draft.first_token_entropy or 0) > 0


@pytest.mark.parametrize(
    "message",
    [
        "maximum context length is 64 tokens. However, you requested 90 tokens (50 in the messages, 40 in ...)",
        "input length and `max_tokens` exceed context limit: 50 + 40 > 64, decrease input length or `max_tokens`",
    ],
)
def test_a_request_too_long_by_its_limit_is_made_again_with_what_room_there_is(message: str) -> None:
    chunks = [{"error": {"message": message, "code": 400}}, text_chunk("a step", "length")]
    server = Canned(chunks, status=400)
    (draft,), body, _ = ask(server, template="none")
    assert body["max_tokens"] == 14
    assert draft.stop is Stop.CONTEXT
    full = {"error": {"message": "maximum context length is 64 tokens, 70 in the prompt", "code": 400}}
    with pytest.raises(ContextOverflow):
        ask(Canned([full], status=400), template="none")


def test_a_context_that_was_too_short_once_ends_no_other_problem() -> None:
    message = "maximum context length is 6400 tokens. However, you requested 6500 tokens (6400 in the messages"

    async def run() -> list[Stop]:
        long = Prefix(problem=Problem.ask(id="q", text="A riddle. " * 1400))
        server = Canned([{"error": {"message": message, "code": 400}}, text_chunk("a st", "length")], status=400)
        async with server.running():
            model = OpenAiModel("m", OpenAiSettings(model="m", server=Server(base_url=server.url), template="none"))
            with pytest.raises(ContextOverflow):
                await model.propose(long, 1, SAMPLING)
            (draft,) = await model.propose(BEGUN, 1, SAMPLING)
            (cramped,) = await model.propose(long, 1, SAMPLING)
            return [draft.stop, cramped.stop]

    assert asyncio.run(run()) == [Stop.LENGTH, Stop.CONTEXT]


def test_an_overflow_in_the_middle_of_an_answer_is_paid_for() -> None:
    error = {"error": {"message": "maximum context length is 64 tokens. (50 in the messages", "code": 400}}
    server = Canned([text_chunk("a"), text_chunk(" step"), error])
    meter = Meter()

    async def run() -> None:
        async with server.running():
            settings = OpenAiSettings(model="m", server=Server(base_url=server.url), template="none")
            with pytest.raises(ContextOverflow):
                await OpenAiModel("m", settings).propose(BEGUN, 1, SAMPLING, meter)

    asyncio.run(run())
    assert (len(server.asked), meter.total.output_tokens) == (1, 2)


def test_the_last_refusal_is_told_where_the_room_shrinks_with_each() -> None:
    class Shrinking(HostileServer):
        async def _stream(self, request: Asked, writer: asyncio.StreamWriter, reader: asyncio.StreamReader) -> bool:
            room = 50 + request.body["max_tokens"] - 5
            message = f"maximum context length is {room} tokens (50 in the messages)"
            return await self._send(writer, 400, {"error": {"message": message}})

    server = Shrinking(lambda request: None)
    with pytest.raises(ContextOverflow, match="maximum context length is 75"):
        ask(server, template="none")
    assert [request.body["max_tokens"] for request in server.asked] == [40, 35, 30]


def test_an_answer_that_is_not_streamed_is_read_all_the_same() -> None:
    class Whole(Canned):
        async def _stream(self, request: Asked, writer: asyncio.StreamWriter, reader: asyncio.StreamReader) -> bool:
            usage = {"prompt_tokens": 3, "completion_tokens": 2}
            return await self._send(writer, 200, {**text_chunk("a step", "stop", stop_reason="\n\n"), "usage": usage})

    (draft,), _, _ = ask(Whole([]), template="none")
    assert (draft.text, draft.stop, draft.usage.output_tokens) == ("a step", Stop.SEPARATOR, 2)


def test_cancelling_closes_the_stream_and_the_server_stops_within_one_token() -> None:
    async def run() -> tuple[int, int, bool]:
        server = HostileServer(lambda request: None, token_s=0.05)
        async with server.running():
            settings = OpenAiSettings(model="m", server=Server(base_url=server.url), template="none", stop="client")
            meter = Meter()
            task = asyncio.ensure_future(OpenAiModel("m", settings).propose(BEGUN, 1, SAMPLING, meter))
            while meter.total.output_tokens < 2:
                await asyncio.sleep(0.005)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await asyncio.sleep(0.2)
            return meter.total.output_tokens, server.asked[0].generated, server.asked[0].closed_by_client

    seen, generated, closed = asyncio.run(run())
    assert closed
    assert seen == 2
    assert generated <= seen + 1


@pytest.mark.parametrize(
    "settings", [{"template": "none"}, {"continuation": Continuation.PREFILL, "kind": "llama.cpp"}]
)
def test_the_stream_is_closed_at_the_separator_where_the_client_ends_the_step(settings: dict[str, Any]) -> None:
    async def run() -> tuple[Draft, int]:
        server = HostileServer(lambda request: None, token_s=0.05)
        async with server.running():
            chosen = OpenAiSettings(model="m", server=Server(base_url=server.url), stop="client", **settings)
            (draft,) = await OpenAiModel("m", chosen).propose(BEGUN, 1, SAMPLING)
            async with asyncio.timeout(5):
                while not server.asked[0].closed_by_client:
                    await asyncio.sleep(0.005)
            return draft, server.asked[0].generated

    draft, generated = asyncio.run(run())
    assert (draft.text, draft.stop) == ("Step 2: so then", Stop.SEPARATOR)
    assert 4 <= generated <= 6, "of eleven"


def test_several_drafts_are_cut_when_the_last_of_them_has_its_separator_and_no_later() -> None:
    pieces = [(0, "one\n\n"), (1, "two"), (1, "\n\n")]
    chunks = [{"choices": [{"index": index, "text": text}]} for index, text in pieces]
    never_read = {"error": {"message": "too late", "code": 500}}
    drafts, _, _ = ask(Canned([*chunks, never_read]), n=2, template="none", stop="client")
    assert [(draft.text, draft.stop) for draft in drafts] == [("one", Stop.SEPARATOR), ("two", Stop.SEPARATOR)]


def test_a_key_never_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-very-secret")
    chunks = [{"error": {"message": "bad key sk-very-secret", "code": 400}}]

    async def run() -> None:
        async with Canned(list(chunks), status=400).running() as server:
            settings = OpenAiSettings(
                model="m", server=Server(base_url=server.url, api_key_env="MY_KEY"), template="none"
            )
            await OpenAiModel("m", settings).propose(BEGUN, 1, SAMPLING)

    with pytest.raises(BackendError) as caught:
        asyncio.run(run())
    assert "bad key [key]" in str(caught.value)
    assert caught.value.__cause__ is None


def test_modes_that_a_server_lacks_and_settings_that_clash_are_refused() -> None:
    server = Server(base_url="http://127.0.0.1:1/v1")
    with pytest.raises(ContinuationUnsupported, match="Use 'instruct' or 'completions'"):
        OpenAiSettings(model="m", server=server, kind="openai", continuation=Continuation.CONTINUE_FINAL_MESSAGE)
    with pytest.raises(ConfigError, match="Use 'client'"):
        OpenAiSettings(model="m", server=server, thinking="hide")
    with pytest.raises(ConfigError, match="logprobs: 30"):
        OpenAiSettings(model="m", server=server, logprobs=30)
    with pytest.raises(ConfigError, match="template: 'server' would be wrapped"):
        OpenAiSettings(model="m", server=server, kind="ollama")
    assert OpenAiSettings(model="m", server=server, kind="ollama", template="none").template == "none"


@given(st.text(alphabet="ab\n", max_size=30), st.lists(st.integers(1, 5), max_size=30))
def test_a_cut_does_not_depend_on_the_pieces(text: str, sizes: list[int]) -> None:
    whole = StepCutter("\n\n")
    whole.feed(text)
    pieces, start = [], 0
    for size in sizes:
        pieces.append(text[start : start + size])
        start += size
    pieces.append(text[start:])
    cutter = StepCutter("\n\n")
    for piece in pieces:
        if cutter.feed(piece):
            break
    assert (cutter.text, cutter.complete) == (whole.text, whole.complete)
    assert "\n\n" not in cutter.text


@pytest.mark.parametrize("pieces", [["One.\n\nTwo.\n\n"], ["\n\n", "One.\n", "\nT", "wo.", "\n\n"]])
def test_a_cut_tells_how_much_came_after_the_separator(pieces: list[str]) -> None:
    cutter = StepCutter("\n\n")
    for piece in pieces:
        cutter.feed(piece)
    assert (cutter.text, cutter.beyond) == ("One.", len("Two.\n\n"))


def test_every_kind_of_server_is_a_row_of_the_table() -> None:
    assert set(get_args(Kind)) == KINDS.keys()


@pytest.mark.parametrize("finish", ["tool_calls", "function_call", "tool_use"])
def test_a_step_that_calls_a_tool_is_an_error_that_no_retry_mends(finish: str) -> None:
    with pytest.raises(BackendError) as caught:
        ask(Canned([text_chunk("", finish)]), template="none")
    assert not isinstance(caught.value, BackendUnavailable)
    assert f"calls a tool (finish_reason '{finish}')" in str(caught.value)
    assert "Send the request by a passthrough route, or remove the problem's tools." in str(caught.value)
