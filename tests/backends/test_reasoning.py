"""Reasoning models: what becomes of their thoughts in each mode."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.backends.http.hostile import Asked
from tests.backends.test_openai_server import BEGUN, PROBLEM, SAMPLING, Canned, ask, text_chunk

from steproute.backends.http.server import Server
from steproute.backends.openai.model import OpenAiModel
from steproute.backends.openai.settings import OpenAiSettings
from steproute.backends.reasoning import with_reasoning_closed
from steproute.backends.step_cutter import StepCutter
from steproute.core.errors import BackendError, ConfigError
from steproute.core.ports import Continuation
from steproute.core.problem import Problem
from steproute.core.solution import Prefix, Step, Stop

EMPTY = Prefix(problem=PROBLEM)
CONTINUED: dict[str, Any] = {"continuation": Continuation.CONTINUE_FINAL_MESSAGE}
INSTRUCTED: dict[str, Any] = {"continuation": Continuation.INSTRUCT}
HIDDEN: dict[str, Any] = {"thinking": "hide", "stop": "client"}


def chat_chunk(content: str = "", reasoning: str = "", finish: str | None = None) -> dict[str, Any]:
    delta = {"content": content, "reasoning_content": reasoning}
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def opening_template(folder: Path) -> str:
    (folder / "chat_template.jinja").write_text("[{{ messages[-1].content }}]<think>\n")
    return str(folder)


def test_reasoning_are_kept_hidden_or_switched_off() -> None:
    thinking = [text_chunk("<think>hm\n\nhm</th"), text_chunk("ink>a step\n\nmore"), text_chunk("", "stop")]
    (draft,), _, _ = ask(Canned(list(thinking)), template="none", thinking="hide", stop="client")
    assert draft.text == "a step"
    (draft,), _, _ = ask(Canned(list(thinking)), template="none", stop="client")
    assert draft.text == "<think>hm"
    apart = [
        {"choices": [{"index": 0, "delta": {"reasoning_content": "hm"}}]},
        {"choices": [{"index": 0, "delta": {"content": "a step"}, "finish_reason": "stop"}]},
    ]
    mode: dict[str, Any] = {"continuation": Continuation.CONTINUE_FINAL_MESSAGE}
    (draft,), _, _ = ask(Canned(list(apart)), **mode)
    assert draft.text == "<think>hm</think>a step"
    (draft,), _, _ = ask(Canned(list(apart)), thinking="hide", stop="client", **mode)
    assert draft.text == "a step"
    (_,), body, _ = ask(Canned(list(apart)), thinking="off", **mode)
    assert body["chat_template_kwargs"] == {"enable_thinking": False}


def test_reasoning_that_the_template_opens_are_hidden(tmp_path: Path) -> None:
    chosen = {"template": opening_template(tmp_path), "instructions": "", **HIDDEN}
    pieces = [text_chunk("hm, let me see\n\n"), text_chunk("but wait</think>"), text_chunk("\n\nA step\n\nmore")]
    (draft,), body, _ = ask(Canned([*pieces]), EMPTY, **chosen)
    assert body["prompt"] == "[A riddle.]<think>"
    assert (draft.text, draft.stop) == ("A step", Stop.SEPARATOR)
    (draft,), body, _ = ask(Canned([text_chunk("Step 2\n\n")]), BEGUN, **chosen)
    assert body["prompt"] == "[A riddle.]<think>\n\n</think>\n\nStep 1: so then\n\n", "steps are no thoughts"
    assert draft.text == "Step 2"


def test_a_thought_that_fills_the_tokens_leaves_no_step(tmp_path: Path) -> None:
    server = Canned([text_chunk("hm\n\nhm", "length")])
    (draft,), _, _ = ask(server, EMPTY, template=opening_template(tmp_path), instructions="", **HIDDEN)
    assert (draft.text, draft.stop) == ("", Stop.LENGTH)


@pytest.mark.parametrize("thinking", ["keep", "off"])
def test_a_thought_that_the_template_opens_is_closed_where_none_is_wanted(tmp_path: Path, thinking: str) -> None:
    (_,), body, _ = ask(
        Canned([text_chunk("x", "stop")]),
        EMPTY,
        template=opening_template(tmp_path),
        instructions="",
        thinking=thinking,
    )
    assert body["prompt"] == "[A riddle.]<think>" + {"keep": "", "off": "\n\n</think>\n\n"}[thinking]


@pytest.mark.parametrize("mode", [CONTINUED, INSTRUCTED])
def test_a_chat_that_may_begin_in_a_thought_is_read_until_it_has_ended(mode: dict[str, Any]) -> None:
    thought = [chat_chunk("hm\n\nhm</think>"), chat_chunk("\n\nA step\n\nmore"), chat_chunk(finish="stop")]
    (draft,), _, _ = ask(Canned(thought), EMPTY, **HIDDEN, **mode)
    assert (draft.text, draft.stop) == ("A step", Stop.SEPARATOR)
    none = [chat_chunk("A step\n\nmore"), chat_chunk(finish="stop")]
    (draft,), _, _ = ask(Canned(none), EMPTY, **HIDDEN, **mode)
    assert (draft.text, draft.stop) == ("A step", Stop.SEPARATOR)


def test_a_thought_is_no_step_of_a_model_that_is_asked_for_one() -> None:
    thought = [chat_chunk(reasoning="First, let me"), chat_chunk(reasoning="\n\nthink")]
    for settings in ({"stop": "client"}, {"kind": "openai"}, HIDDEN):
        (draft,), _, _ = ask(Canned([*thought, chat_chunk("The step", finish="stop")]), **INSTRUCTED, **settings)
        assert (draft.text, draft.stop) == ("The step", Stop.SEPARATOR)
        (draft,), _, _ = ask(Canned([*thought, chat_chunk(finish="stop")]), **INSTRUCTED, **settings)
        assert (draft.text, draft.stop) == ("", Stop.END), "it may have nothing more to say"
    for pieces in (["<think>First\n\nthen</think>"], ["First\n\n", "then</think>"]):
        within = [*(chat_chunk(piece) for piece in pieces), chat_chunk("\n\nThe step", finish="stop")]
        (draft,), _, _ = ask(Canned(within), stop="client", **INSTRUCTED)
        assert draft.text == "The step"


@pytest.mark.parametrize(
    ("chunk", "settings"),
    [
        (chat_chunk("<think>First", finish="stop"), INSTRUCTED),
        (chat_chunk("<think>First", finish="stop"), {**CONTINUED, "thinking": "off"}),
        (chat_chunk(reasoning="First", finish="stop"), INSTRUCTED),
        (chat_chunk(reasoning="Step 2: and", finish="stop"), {**CONTINUED, **HIDDEN}),
        (chat_chunk(reasoning="Step 2: and", finish="stop"), {**CONTINUED, "thinking": "off"}),
    ],
)
def test_a_step_that_is_lost_in_a_thought_is_told_from_one_that_is_not_there(
    chunk: dict[str, Any], settings: dict[str, Any]
) -> None:
    with pytest.raises(BackendError, match="holds reasoning and no step.* stop = 'client'"):
        ask(Canned([chunk]), **settings)
    cut_short = {"choices": [{**chunk["choices"][0], "finish_reason": "length"}]}
    (draft,), _, _ = ask(Canned([cut_short]), **settings)
    assert (draft.text, draft.stop) == ("", Stop.LENGTH)


def test_what_instructions_tell_of_reasoning_opens_none() -> None:
    chosen: dict[str, Any] = {"template": "none", "thinking": "hide", "stop": "client"}
    told = Prefix(problem=Problem.ask("Think in <think> first.", id="p"))
    (draft,), _, _ = ask(Canned([text_chunk("A step\n\nmore")]), told, **chosen)
    assert (draft.text, draft.stop) == ("A step", Stop.SEPARATOR)


def test_a_hosted_models_reasoning_are_paid_for_where_they_are_only_counted() -> None:
    counts = {"prompt_tokens": 9, "completion_tokens": 36, "completion_tokens_details": {"reasoning_tokens": 30}}
    chunks = [chat_chunk("A step"), chat_chunk("\n\nmore"), chat_chunk(finish="stop"), {"choices": [], "usage": counts}]
    (draft,), _, _ = ask(Canned(chunks), kind="openai", stop="client", **INSTRUCTED)
    assert draft.text == "A step"
    assert (draft.usage.output_tokens, draft.usage.reasoning_tokens, draft.usage.estimated) == (36, 30, False)


THOUGHT = Prefix(problem=PROBLEM, steps=(Step(role="weak", text="<think>first thought", tokens=3),))


@pytest.mark.parametrize("settings", [{"template": "none"}, CONTINUED, {**CONTINUED, "stop": "client"}])
def test_a_kept_thought_in_the_text_is_closed_by_the_model_alone(settings: dict[str, Any]) -> None:
    piece = chat_chunk if "continuation" in settings else text_chunk
    for text in ("second thought", "second</think>"):
        (draft,), _, _ = ask(Canned([piece(text), piece("", finish="stop")]), THOUGHT, **settings)
        assert draft.text == text


def test_a_kept_thought_beside_the_text_is_closed_where_the_text_begins() -> None:
    replies = [
        [chat_chunk(reasoning="second", finish="stop")],
        [chat_chunk("Answer step", finish="stop")],
        [chat_chunk(reasoning="third"), chat_chunk("Answer step", finish="stop")],
    ]

    async def run() -> list[str]:
        server = Canned([])
        async with server.running():
            settings = OpenAiSettings(model="m", server=Server(base_url=server.url), **CONTINUED)
            model, texts = OpenAiModel("m", settings), []
            for server.chunks in replies:
                (draft,) = await model.propose(THOUGHT, 1, SAMPLING)
                texts.append(draft.text)
            return texts

    assert asyncio.run(run()) == ["second", "</think>Answer step", "third</think>Answer step"]


def test_a_prefilled_thought_that_is_sent_back_is_left_out() -> None:
    pieces = [chat_chunk("<think>first thought\n\n"), chat_chunk("second\n\n")]
    (draft,), _, _ = ask(Canned(pieces), THOUGHT, kind="llama.cpp", continuation=Continuation.PREFILL, stop="client")
    assert draft.text == "second"


def test_reasoning_without_log_probabilities_count_beside_text_with_them() -> None:
    content = {"content": [{"logprob": -0.5, "top_logprobs": []}]}
    text = {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": "stop", "logprobs": content}]}
    (draft,), _, _ = ask(Canned([*(chat_chunk(reasoning="hm") for _ in range(5)), text]), logprobs=1, **CONTINUED)
    assert (draft.usage.output_tokens, draft.usage.estimated) == (6, True)


def test_reasoning_are_switched_off_as_the_server_has_it_or_not_at_all() -> None:
    class LlamaCpp(Canned):
        async def _stream(self, request: Asked, writer: asyncio.StreamWriter, reader: asyncio.StreamReader) -> bool:
            if request.path.endswith("/apply-template"):
                return await self._send(writer, 200, {"prompt": "[A riddle.]"})
            return await super()._stream(request, writer, reader)

    server = LlamaCpp([text_chunk("x", "stop")])
    ask(server, kind="llama.cpp", thinking="off")
    assert server.asked[0].body["chat_template_kwargs"] == {"enable_thinking": False}
    (_,), body, _ = ask(Canned([chat_chunk("x", finish="stop")]), kind="ollama", thinking="off", **INSTRUCTED)
    assert body["reasoning_effort"] == "none"
    for kind in ("openai", "llama-cpp-python"):
        with pytest.raises(ConfigError, match=r"thinking: .* extra = \{ reasoning_effort"):
            ask(Canned([]), kind=kind, thinking="off", **INSTRUCTED)


@pytest.mark.parametrize(
    ("thinking", "begun", "closed"),
    [("keep", False, False), ("keep", True, False), ("hide", False, False), ("hide", True, True), ("off", False, True)],
)
def test_prompts_that_open_no_thought_stay_as_they_are(thinking: Any, begun: bool, closed: bool) -> None:
    assert with_reasoning_closed("<think>\n", thinking, begun).endswith("</think>\n\n") is closed
    for prompt in ("ask", "<think>\n\n</think>\n\n"):
        assert with_reasoning_closed(prompt, thinking, begun) == prompt


@given(
    st.lists(st.sampled_from(["<think>", "</think>", "\n\n", "a", "b"]), max_size=12).map("".join),
    st.lists(st.integers(1, 7), max_size=12),
    st.sampled_from([True, None]),
)
def test_hidden_reasoning_do_not_depend_on_the_pieces(
    text: str, sizes: list[int], begins_in_reasoning: bool | None
) -> None:
    whole = StepCutter("\n\n", hide_reasoning=True, begins_in_reasoning=begins_in_reasoning)
    whole.feed(text)
    assert "<think>" not in whole.text
    cutter, start = StepCutter("\n\n", hide_reasoning=True, begins_in_reasoning=begins_in_reasoning), 0
    for size in [*sizes, len(text) + 1]:
        if cutter.feed(text[start : start + size]):
            break
        start += size
    assert (cutter.text, cutter.closed) == (whole.text, whole.closed)


@pytest.mark.parametrize(("pieces", "text"), [(["42"], "42"), (["42 is ", "the sum.\n\n", "So"], "So")])
def test_a_whole_reply_is_no_echo_because_the_answer_begins_with_it(pieces: list[str], text: str) -> None:
    cutter = StepCutter("\n\n", echo="42 is the sum.\n\n")
    for piece in pieces:
        cutter.feed(piece)
    assert cutter.text == text
