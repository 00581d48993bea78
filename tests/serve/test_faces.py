"""Each API's shape of any reply: its stream and its whole answer say the same, in types that official clients have."""

import json
from typing import Any

import anthropic
import httpx2
from anthropic.types import Message
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from steproute.core.chat import ChatDelta, ToolCallDelta
from steproute.core.solution import Outcome, Step
from steproute.core.trace import Trace
from steproute.serve.chat_reply import Head, PassedChoices, step_facts
from steproute.serve.face import Face
from steproute.serve.messages import MessagesFace
from steproute.serve.responses import ResponsesFace
from steproute.serve.responses_request import read_responses_request

HEAD = Head(trace_id="chatcmpl-1", model="m", created=1, facts={})
TRACE = Trace(
    problem_id="chatcmpl-1",
    route="passthrough/m",
    steps=(),
    answer=None,
    outcome=Outcome.COMPLETED,
    account=(),
    latency_s=0.0,
    seed=0,
    error=None,
)
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
texts = st.lists(st.text(min_size=1, max_size=5), max_size=3)


@st.composite
def replies(draw: st.DrawFn) -> list[ChatDelta]:
    """Reasoning, text, a refusal, then calls of tools, each in pieces."""
    deltas = [ChatDelta(reasoning=text) for text in draw(texts)]
    deltas += [ChatDelta(content=text) for text in draw(texts)]
    deltas += [ChatDelta(refusal=text) for text in draw(texts)]
    for index in range(draw(st.integers(0, 3))):
        first = ToolCallDelta(index=index, id=f"call_{index}", name="f")
        deltas.append(ChatDelta(tool_calls=(first,)))
        again = first.id if draw(st.booleans()) else ""  # some servers repeat it in each piece
        arguments = json.dumps({"a": draw(st.text(max_size=5))})
        cut = draw(st.integers(0, len(arguments)))
        for piece in (arguments[:cut], arguments[cut:]):
            deltas.append(ChatDelta(tool_calls=(ToolCallDelta(index=index, id=again, arguments=piece),)))
    finish = draw(st.sampled_from(["stop", "length", "content_filter"]))
    return [*deltas, ChatDelta(finish_reason="tool_calls" if deltas and deltas[-1].tool_calls else finish)]


def streamed(face: Face, deltas: list[ChatDelta]) -> list[dict[str, Any]]:
    chunks = [
        HEAD.chunk({"role": "assistant", "content": ""}),
        *map(HEAD.passed_chunk, deltas),
        HEAD.chunk({}, steproute=HEAD.summary(TRACE)),
        HEAD.usage_chunk(TRACE),
    ]
    events = [event for chunk in chunks for event in face.events(chunk)]
    return [json.loads(event["data"]) for event in (*events, *face.end())]


def whole(face: Face, deltas: list[ChatDelta]) -> dict[str, Any]:
    passed = PassedChoices()
    for delta in deltas:
        passed.take(delta)
    return dict(face.whole(HEAD.completion(TRACE, passed.whole)))


def responses_face() -> ResponsesFace:
    fields = {"model": "m", "input": "Hello"}
    return ResponsesFace(read_responses_request(fields)[0], fields)


@settings(max_examples=50)
@given(replies())
def test_a_response_is_the_same_streamed_and_whole(deltas: list[ChatDelta]) -> None:
    events = streamed(responses_face(), deltas)
    answer = whole(responses_face(), deltas)
    assert events[-1]["response"] == answer
    Response.model_validate(answer, strict=True)
    for event in events:
        EVENT.validate_python(event)
    shown = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    assert shown == "".join(delta.content for delta in deltas)
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert done == answer["output"]


def received(events: list[dict[str, Any]]) -> Message:
    """What Anthropic's client makes of these events."""
    text = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
    headers = {"content-type": "text/event-stream"}
    transport = httpx2.MockTransport(lambda request: httpx2.Response(200, text=text, headers=headers))
    client = anthropic.Anthropic(base_url="http://x", api_key="x", http_client=httpx2.Client(transport=transport))
    with client.messages.stream(model="m", max_tokens=1, messages=[]) as stream:
        return stream.get_final_message()


@settings(max_examples=30)
@given(replies())
def test_a_message_is_the_same_streamed_and_whole(deltas: list[ChatDelta]) -> None:
    answer = Message.model_validate(whole(MessagesFace("m"), deltas), strict=True)
    message = received(streamed(MessagesFace("m"), deltas))
    assert [_plain(block) for block in message.content] == [_plain(block) for block in answer.content]
    assert message.stop_reason == answer.stop_reason


def _plain(block: Any) -> dict[str, Any]:
    return {
        name: getattr(block, name, None) for name in ("type", "text", "thinking", "signature", "id", "name", "input")
    }


def test_reasoning_with_its_signature_is_a_block_of_its_own() -> None:
    block = {"type": "thinking", "thinking": "Hm.", "signature": "s1"}
    deltas = [ChatDelta(reasoning="Hm."), ChatDelta(fields={"thinking_blocks": [block]}), ChatDelta(content="5.")]
    deltas.append(ChatDelta(finish_reason="stop"))
    expected = [block, {"type": "text", "text": "5."}]
    assert whole(MessagesFace("m"), deltas)["content"] == expected
    kinds = [
        event["delta"]["type"] for event in streamed(MessagesFace("m"), deltas) if "index" in event and "delta" in event
    ]
    assert kinds == ["thinking_delta", "signature_delta", "text_delta"]


def test_each_step_of_a_stream_has_its_facts() -> None:
    step = Step(role="weak", text="So it is.", tokens=4, score=0.5)
    chunk = HEAD.chunk({"content": step.text}, steproute=step_facts(step))
    for face in (responses_face(), MessagesFace("m")):
        events = [json.loads(event["data"]) for event in face.events(chunk)]
        (delta,) = [event for event in events if event["type"].endswith("delta")]
        assert delta["steproute"] == {"trace_id": HEAD.trace_id, "step": {"role": "weak", "score": 0.5, "tokens": 4}}
        later = face.events(HEAD.passed_chunk(ChatDelta(content="more")))
        assert all("steproute" not in json.loads(event["data"]) for event in later)
