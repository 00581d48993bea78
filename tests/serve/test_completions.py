"""The older completions API over a real socket, by OpenAI's own client."""

import openai
import pytest
from tests.serve.paid_gateway import PaidGateway
from tests.serve.running import PROBLEM, RunningGateway

import steproute


def test_a_prompt_is_answered_as_a_turn_of_the_user(lab_gateway: RunningGateway) -> None:
    reply = lab_gateway.client().completions.create(model="steproute/default", prompt=PROBLEM, seed=7)
    assert reply.choices[0].text == steproute.solve(PROBLEM, seed=7).text
    assert (reply.object, reply.choices[0].finish_reason) == ("text_completion", "stop")
    assert reply.id.startswith("cmpl-")
    assert reply.usage.completion_tokens > 0
    assert reply.model_extra["steproute"]["outcome"] == "answered"


def test_a_stream_is_the_same_text_step_by_step(lab_gateway: RunningGateway) -> None:
    client = lab_gateway.client()
    whole = client.completions.create(model="default", prompt=[PROBLEM], seed=3)
    chunks = list(
        client.completions.create(
            model="default", prompt=PROBLEM, seed=3, stream=True, stream_options={"include_usage": True}
        )
    )
    texts = [choice.text for chunk in chunks for choice in chunk.choices if choice.text]
    assert "".join(texts) == whole.choices[0].text
    assert len(texts) == len(whole.model_extra["steproute"]["steps"])
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices][-1] == "stop"
    assert chunks[-1].usage == whole.usage


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": ["one", "two"]}, "prompt"),
        ({"prompt": [1, 2]}, "prompt[0]"),
        ({"prompt": ""}, "prompt"),
        ({"echo": True}, "echo"),
        ({"best_of": 2}, "best_of"),
        ({"suffix": "end"}, "suffix"),
        ({"logprobs": 1}, "logprobs"),
        ({"stop": "."}, "stop"),
        ({"max_tokens": 0}, "max_tokens"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(
    lab_gateway: RunningGateway, fields: dict[str, object], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as failure:
        lab_gateway.client().completions.create(**{"model": "default", "prompt": PROBLEM, **fields})
    assert failure.value.param == param


def test_a_model_alone_gets_fields_that_steps_cannot_do(paid: PaidGateway) -> None:
    client = paid.gateway.client(paid.keys["open"])
    reply = client.completions.create(model="strong", prompt="What is 2 + 3?", stop=["\n"], temperature=0.5)
    assert reply.choices[0].text == "It is 5."
    asked = paid.upstream.asked[-1].body
    assert (asked["stop"], asked["temperature"]) == (["\n"], 0.5)
    assert asked["messages"] == [{"role": "user", "content": "What is 2 + 3?"}]
