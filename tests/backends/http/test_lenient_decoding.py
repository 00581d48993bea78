"""Answers of OpenAI-compatible servers in unusual forms, over HTTP on loopback: what they say, and what is billed."""

import asyncio
import json
from decimal import Decimal
from typing import Any

import pytest
from tests.backends.http.hostile import Asked, HostileServer
from tests.backends.http.test_provider_shapes import Serving

from steproute.backends.anthropic.model import AnthropicModel, AnthropicSettings
from steproute.backends.http.connection import Server
from steproute.backends.openai.model import OpenAiModel
from steproute.backends.openai.settings import OpenAiSettings
from steproute.core.errors import BackendError, BackendUnavailable, ContextOverflow, TransientError
from steproute.core.ports import Continuation
from steproute.core.problem import Problem
from steproute.core.solution import Draft, Meter, Outcome, Prefix, Sampling, Stop
from steproute.core.usage import Price, Usage
from steproute.engine.episode import Episode
from steproute.engine.limits import Limits
from steproute.engine.roles import ModelRole, Roles, ScorerRole
from steproute.policies.trim.threshold import Threshold
from steproute.scorers.self_evaluation import SelfEvaluationScorer, SelfEvaluationSettings
from steproute.scorers.vllm_pooling import PoolingSettings, VllmPoolingScorer
from steproute.strategies.stepwise import Stepwise

PREFIX = Prefix(problem=Problem.ask(id="p", text="2 + 3?"))
TEXT = "2 + 3 = 5, so \\boxed{5}."
USED = {"prompt_tokens": 20, "completion_tokens": 4, "total_tokens": 24}
USAGE: dict[str, Any] = {"choices": [], "usage": USED}
BILL = Usage(input_tokens=20, output_tokens=4)


def piece(text: object, finish: object = None, **more: Any) -> dict[str, Any]:
    return {"id": "c", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish, **more}]}


STEP, END = piece(TEXT), piece("", "stop")


def sse(*events: object) -> bytes:
    return "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode() + b"data: [DONE]\n\n"


def ask(body: bytes, content_type: str = "text/event-stream", n: int = 1, **settings: Any) -> tuple[list[Draft], Usage]:
    meter = Meter()
    try:
        return asyncio.run(asked(body, content_type, n, meter, settings)), meter.total
    except BackendError as failure:
        failure.__notes__ = [repr(meter.total)]
        raise


async def asked(body: bytes, content_type: str, n: int, meter: Meter, settings: dict[str, Any]) -> list[Draft]:
    chosen: dict[str, Any] = {"kind": "openai", "continuation": Continuation.INSTRUCT, **settings}
    async with Serving(body, content_type).running() as server:
        model = OpenAiModel("m", OpenAiSettings(model="m", server=Server(base_url=server.url, read_s=5), **chosen))
        return await model.propose(PREFIX, n, Sampling(max_tokens=500), meter)


def failed(body: bytes, content_type: str = "text/event-stream") -> tuple[BackendError, str]:
    with pytest.raises(BackendError) as caught:
        ask(body, content_type)
    return caught.value, caught.value.__notes__[0]


ODD_BUT_WHOLE: dict[str, list[Any]] = {
    "choices null": [STEP, END, {"choices": None, "usage": USED}],
    "choices absent": [STEP, END, {"usage": USED}],
    "choices one object": [{"choices": STEP["choices"][0]}, END, USAGE],
    "a null choice": [{"choices": [None]}, STEP, END, USAGE],
    "a null event": [STEP, None, END, USAGE],
    "events in a list": [[STEP, END], USAGE],
    "id a number": [{**STEP, "id": 7}, END, USAGE],
    "id null": [{**STEP, "id": None}, END, USAGE],
    "id an object": [{**STEP, "id": {"x": 1}}, END, USAGE],
    "index null": [piece(TEXT, index=None), END, USAGE],
    "index a float": [piece(TEXT, index=0.0), END, USAGE],
    "index a text": [piece(TEXT, index="0"), END, USAGE],
    "index of another type": [piece(TEXT, index=[]), END, USAGE],
    "delta null": [{"choices": [{"delta": None}]}, STEP, END, USAGE],
    "delta a text": [{"choices": [{"delta": TEXT}]}, END, USAGE],
    "content null": [piece(None), STEP, piece(None, "stop"), USAGE],
    "error null": [{**STEP, "error": None}, END, {**USAGE, "error": {}}],
    "an error without contents": [{**STEP, "error": {"message": "", "code": None}}, END, USAGE],
    "logprobs null": [piece(TEXT, logprobs=None), END, USAGE],
    "logprobs with nulls": [
        piece(TEXT, logprobs={"content": [None, {"logprob": None, "top_logprobs": None}]}),
        END,
        USAGE,
    ],
    "logprobs of another type": [piece(TEXT, logprobs="none"), END, USAGE],
    "stop_reason a number": [STEP, piece("", "stop", stop_reason=151645), USAGE],
    "stop_reason an object": [STEP, piece("", "stop", stop_reason={"x": 1}), USAGE],
    "usage null": [{**STEP, "usage": None}, END, USAGE],
    "usage of another type": [{**STEP, "usage": "none"}, {**END, "usage": []}, USAGE],
    "usage in floats": [STEP, END, {"usage": {name: float(count) for name, count in USED.items()}}],
    "usage in texts": [STEP, END, {"usage": {name: str(count) for name, count in USED.items()}}],
    "usage with nulls": [STEP, END, {"usage": {**USED, "total_tokens": None, "prompt_tokens_details": None}}],
    "usage in a choice": [STEP, piece("", "stop", usage=USED)],
    "usage with the reason": [STEP, {**END, "usage": USED}],
    "usage in x_groq": [STEP, {**END, "x_groq": {"usage": USED}}],
    "usage first": [{"choices": [], "usage": USED}, STEP, END],
    "usage spread": [{**STEP, "usage": {"prompt_tokens": 20}}, {**END, "usage": {"completion_tokens": 4}}],
    "usage spread with zeros": [
        {**STEP, "usage": {"prompt_tokens": 20, "completion_tokens": 0}},
        {**END, "usage": {"prompt_tokens": 0, "completion_tokens": 4}},
    ],
    "text in parts": [piece([{"type": "text", "text": TEXT}]), END, USAGE],
    "text in several parts": [piece([{"type": "text", "text": part} for part in (TEXT[:4], TEXT[4:])]), END, USAGE],
    "text in texts": [piece([TEXT[:4], None, TEXT[4:]]), END, USAGE],
    "text in one part": [piece({"type": "output_text", "text": TEXT}), END, USAGE],
    "text in a part with a value": [piece([{"type": "text", "text": {"value": TEXT}}]), END, USAGE],
    "parts of other kinds": [
        piece([{"type": "reference", "reference_ids": [1]}, {"type": "text", "text": TEXT}]),
        END,
        USAGE,
    ],
    "reasoning in parts": [
        piece([{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]),
        STEP,
        END,
        USAGE,
    ],
    "reasoning in a text": [piece([{"type": "thinking", "thinking": "Hm."}]), STEP, END, USAGE],
    "reasoning and text": [piece([{"type": "reasoning", "text": "Hm."}, {"type": "text", "text": TEXT}]), END, USAGE],
    "reasoning of another type": [{"choices": [{"delta": {"reasoning": False, "content": TEXT}}]}, END, USAGE],
    "the whole once more": [
        STEP,
        {"choices": [{"index": 0, "message": {"content": TEXT}, "finish_reason": "stop"}], "usage": USED},
    ],
    "pieces as messages": [{"choices": [{"message": {"content": part}}]} for part in (TEXT[:4], TEXT[4:])]
    + [END, USAGE],
    "events without a choice": [{"object": "ping"}, STEP, {}, END, USAGE],
    "finish false before the end": [piece(TEXT, False), END, USAGE],
    "the reason in an object": [STEP, piece("", {"type": "stop"}), USAGE],
    "another reason's field": [STEP, piece("", None, native_finish_reason="STOP"), USAGE],
}


@pytest.mark.parametrize("name", ODD_BUT_WHOLE)
def test_an_answer_of_odd_fields_is_read_and_billed_as_counted(name: str) -> None:
    (draft,), used = ask(sse(*ODD_BUT_WHOLE[name]))
    assert (draft.text, used) == (TEXT, BILL)


@pytest.mark.parametrize(
    "events",
    [
        [piece(5), END, USAGE],
        [piece(True), END, USAGE],
        [{"choices": "none"}],
        [{"choices": ["none"]}],
        [{"choices": [[STEP]]}],
        ["text"],
        [5],
        [piece([5]), END],
    ],
)
def test_a_text_of_another_type_is_damage_and_tried_again(events: list[Any]) -> None:
    failure, _ = failed(sse(*events))
    assert isinstance(failure, BackendUnavailable)
    assert str(failure).startswith("m: its answer is damaged")


def nested(opening: str, closing: str, depth: int = 900) -> str:
    return opening * depth + '"x"' + closing * depth


DEEP = [
    '{"choices": [{"delta": {"content": ' + nested("[", "]") + "}}]}",
    '{"choices": [{"delta": {"reasoning": ' + nested("[", "]") + "}}]}",
    '{"choices": [], "usage": ' + nested('{"prompt_tokens_details": ', "}") + "}",
    '{"error": ' + nested('{"message": ', "}") + "}",
    '{"choices": ' + nested("[", "]", 90_000) + "}",
]


@pytest.mark.parametrize("deep", DEEP, ids=range(len(DEEP)))
def test_deep_nesting_is_one_clear_error(deep: str) -> None:
    for body in (f"data: {deep}\n\n", deep):
        failure, _ = failed(body.encode())
        assert len(str(failure)) < 600


@pytest.mark.parametrize("indent", [None, 1, 4])
@pytest.mark.parametrize("mark", ["", "\ufeff", "\n \n"])
def test_a_whole_document_is_an_answer(indent: int | None, mark: str) -> None:
    choices = [
        {"message": {"role": "assistant", "content": TEXT + tail}, "finish_reason": "stop"} for tail in ("", "!")
    ]
    document = {"choices": choices, "usage": USED}
    drafts, used = ask((mark + json.dumps(document, indent=indent)).encode(), "application/json", n=2)
    assert ([draft.text for draft in drafts], used) == ([TEXT, TEXT + "!"], BILL)


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"error": {"message": "overloaded", "code": 503}}, "m: status 503: overloaded"),
        ([{"error": {"message": "overloaded", "code": 503}}], "m: status 503: overloaded"),
        ({"error": "overloaded"}, "m: status 500: overloaded"),
        ({"error": {"error": {"message": "overloaded", "type": "overloaded_error"}}}, "m: status 529: overloaded"),
        ({"errors": [{"message": "overloaded", "code": 502}]}, "m: status 502: overloaded"),
        ({"detail": "overloaded"}, "m: status 500: overloaded"),
        ({"detail": [{"loc": ["body"], "msg": "overloaded"}]}, "m: status 500: overloaded"),
        ({"object": "error", "message": "overloaded", "code": 503}, "m: status 503: overloaded"),
        (
            {"type": "error", "error": {"type": "overloaded_error", "message": "overloaded"}},
            "m: status 529: overloaded",
        ),
        ({"code": 500, "msg": "overloaded", "success": False}, "m: status 500: overloaded"),
        ({"message": "overloaded", "__type": "ServiceUnavailableException"}, "m: status 503: overloaded"),
        (
            {"choices": None, "base_resp": {"status_code": 1002, "status_msg": "overloaded"}},
            "m: status 500: overloaded",
        ),
        ({"choices": [{"error": {"message": "overloaded", "code": 502}}]}, "m: status 502: overloaded"),
        ({"error": {"message": '{"error": {"message": "overloaded"}}', "code": 503}}, "m: status 503: overloaded"),
        ({"fault": {"faultstring": "overloaded"}}, "m: status 500: overloaded"),
    ],
)
def test_an_error_within_status_200_says_what_the_server_said_and_costs_nothing(
    body: object, said: str, indent: int | None
) -> None:
    failure, bill = failed(json.dumps(body, indent=indent).encode(), "application/json")
    assert isinstance(failure, TransientError)
    assert str(failure).startswith(said)
    assert bill == repr(Usage())


def test_an_error_in_the_middle_is_paid_for() -> None:
    for error in (
        b'data: {"error": {"message": "died", "code": 503}}\n\n',
        b'event: error\ndata: {"message": "died"}\n\n',
    ):
        failure, bill = failed(sse(STEP).removesuffix(b"data: [DONE]\n\n") + error)
        assert "died" in str(failure)
        assert bill == repr(Usage(input_tokens=int(bill.split("=")[1].split(",")[0]), output_tokens=6, estimated=True))


PAGES = {
    "a page": (b"<!doctype html><html><head><title>Console</title></head></html>", "text/html"),
    "a page under another name": (b"<!DOCTYPE html>\n<html lang='en'><title>Log in</title>", "text/event-stream"),
    "a page of no name": (b"\xef\xbb\xbf\n  <html><body>Welcome</body></html>", "application/octet-stream"),
    "XML": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "application/xml"),
    "text": (b"Ollama is running", "text/plain"),
    "text of an error": (b"404 page not found\n", "text/plain"),
    "other JSON": (b'{"status": "ok"}', "application/json"),
    "an empty list": (b"[]", "application/json"),
    "a list of models": (b'{"object": "list", "data": [{"id": "m"}]}', "application/json"),
}


@pytest.mark.parametrize("name", PAGES)
def test_what_is_no_answer_is_an_error_at_once_that_asks_for_base_url_and_bills_nothing(name: str) -> None:
    body, content_type = PAGES[name]

    async def run() -> None:
        async with Serving(body, content_type).running() as server:
            here = Server(base_url=server.url, read_s=5)
            models: list[Any] = [
                OpenAiModel("m", OpenAiSettings(model="m", server=here, template="none")),
                OpenAiModel("m", OpenAiSettings(model="m", server=here, continuation=Continuation.INSTRUCT)),
                AnthropicModel("m", AnthropicSettings(model="m", server=here)),
            ]
            for count, model in enumerate(models, start=1):
                writer = ModelRole(model=model, price=Price(input=Decimal(1), output=Decimal(10)))
                roles = Roles(models={"weak": writer, "strong": writer})
                trace = await Episode(PREFIX.problem, roles, route="t", limits=Limits()).run(
                    Stepwise(policy=Threshold(0.0))
                )
                assert trace.outcome is Outcome.FAILED
                assert "no model's answer" in (trace.error or "")
                assert "Does base_url end in /v1" in (trace.error or "")
                assert trace.account == ()
                assert len(server.asked) == count, "not tried again"

    asyncio.run(run())


@pytest.mark.parametrize("name", ["a page", "a page of no name"])
def test_a_page_instead_of_a_judgement_is_the_same(name: str) -> None:
    body, content_type = PAGES[name]

    class Paged(Serving):
        async def _pool(self, request: Asked, writer: asyncio.StreamWriter) -> bool:
            return await self._send(writer, 200, body)

    async def run() -> None:
        async with Paged(body, content_type).running() as server:
            here = Server(base_url=server.url, read_s=5)
            scorers: list[Any] = [
                VllmPoolingScorer("m", PoolingSettings(model="m", server=here)),
                SelfEvaluationScorer("m", SelfEvaluationSettings(model="m", server=here)),
            ]
            good = HostileServer(lambda request: None)
            async with good.running():
                for scorer in scorers:
                    writer = OpenAiModel(
                        "w", OpenAiSettings(model="m", server=Server(base_url=good.url), template="none")
                    )
                    judge = ScorerRole(scorer=scorer, price=Price(input=Decimal(1), output=Decimal(1)))
                    role = ModelRole(model=writer)
                    roles = Roles(models={"weak": role, "strong": role}, scorers={"prm": judge})
                    trace = await Episode(PREFIX.problem, roles, route="t", limits=Limits()).run(
                        Stepwise(policy=Threshold(0.5))
                    )
                    assert "no model's answer" in (trace.error or "")
                    assert [line for line in trace.account if line.role == "prm"] == []
            assert len(server.asked) == 2

    asyncio.run(run())


def spelled(words: str) -> list[str]:
    """Each word as servers write it."""
    forms = [word for word in words.split() for word in (word, word.upper(), word.replace("_", "-"), word.title())]
    camel = [
        "".join([first, *(part.title() for part in rest)]) for first, *rest in (w.split("_") for w in words.split())
    ]
    return [*dict.fromkeys([*forms, *camel, *(f"FinishReason.{word.upper()}" for word in words.split())])]


REGULAR = "stop eos eos_token stop_sequence end_turn complete completed end_of_text eot stop_token eos_found finished"
LENGTH = "length max_tokens max_length max_output_tokens max_new_tokens max_completion_tokens"
CONTEXT = "model_context_window_exceeded model_length context_length_exceeded context_window_exceeded context_length"
FILTERED = (
    "content_filter sensitive safety recitation blocklist prohibited_content spii guardrail_intervened content_filtered"
)
UNKNOWN = "abort error insufficient_system_resource network_error malformed_function_call cancelled timeout other"


@pytest.mark.parametrize(
    ("words", "stop"), [(REGULAR, Stop.SEPARATOR), (LENGTH, Stop.LENGTH), (CONTEXT, Stop.CONTEXT)], ids=str
)
def test_ends_in_other_words(words: str, stop: Stop) -> None:
    for word in spelled(words):
        (draft,), used = ask(sse(STEP, piece("", word), USAGE))
        assert (draft.text, draft.stop, used) == (TEXT, stop, BILL), word


def test_refusals_in_other_words_are_not_tried_again() -> None:
    for word in [*spelled(FILTERED), "refusal"]:
        failure, _ = failed(sse(STEP, piece("", word), USAGE))
        assert type(failure) is BackendError, word
        assert word in str(failure)


def test_a_refusal_beside_the_text_is_not_tried_again() -> None:
    refused = {"choices": [{"delta": {"content": None, "refusal": "I cannot help."}}]}
    failure, _ = failed(sse(refused, END, USAGE))
    assert type(failure) is BackendError
    assert "I cannot help." in str(failure)


def test_ends_for_no_known_reason_are_tried_again() -> None:
    for word in spelled(UNKNOWN):
        failure, _ = failed(sse(STEP, piece("", word), USAGE))
        assert isinstance(failure, BackendUnavailable), word
        assert "no regular end" in str(failure)


@pytest.mark.parametrize(("counted", "stop"), [(4, Stop.SEPARATOR), (500, Stop.LENGTH)])
def test_an_answer_with_its_count_and_end_mark_is_complete_without_a_reason(counted: int, stop: Stop) -> None:
    usage = {"choices": [], "usage": {"prompt_tokens": 20, "completion_tokens": counted}}
    (draft,), used = ask(sse(STEP, usage))
    assert (draft.text, draft.stop, used.output_tokens) == (TEXT, stop, counted)
    document = {"choices": [{"message": {"content": TEXT}}], "usage": usage["usage"]}
    (again,), _ = ask(json.dumps(document).encode(), "application/json")
    assert (again.text, again.stop) == (TEXT, stop)


@pytest.mark.parametrize(
    "body",
    [
        sse(STEP),
        sse(STEP, USAGE).removesuffix(b"data: [DONE]\n\n"),
        sse(USAGE),
        sse(STEP, {"usage": {"prompt_tokens": 20, "completion_tokens": 0}}),
        sse(),
        b"",
    ],
)
def test_without_its_count_or_end_mark_it_broke_off(body: bytes) -> None:
    failure, _ = failed(body)
    assert isinstance(failure, BackendUnavailable)
    assert "broke off" in str(failure)


def test_an_overflow_within_status_200_ends_the_solution() -> None:
    failure, bill = failed(
        b'{"error": {"message": "This model\'s maximum context length is 64 tokens, 70 in the prompt"}}'
    )
    assert isinstance(failure, ContextOverflow)
    assert (failure.context_tokens, failure.prompt_tokens) == (64, 70)
    assert bill == repr(Usage())


def test_a_client_that_stops_reads_the_count_of_an_answer_that_has_ended() -> None:
    (draft,), used = ask(sse(STEP, END, USAGE), kind="vllm", stop="client")
    assert (draft.text, used) == (TEXT, BILL)


def test_long_pieces_are_estimated_by_their_length() -> None:
    (draft,), used = ask(sse(piece("x" * 400), END))
    assert (draft.usage.output_tokens, used.estimated) == (100, True)
