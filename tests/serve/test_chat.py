"""Chat completions over a real socket, by OpenAI's own client."""

import json
from collections.abc import Iterator
from decimal import Decimal

import httpx2
import openai
import pytest
from tests.serve.running import PROBLEM, RunningGateway, gateway

import steproute
from steproute.serve.chat_request import Chat
from steproute.serve.errors import ApiError

ASK = [{"role": "user", "content": PROBLEM}]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with gateway(tmp_path_factory.mktemp("gateway")) as started:
        yield started


def test_an_answer_is_the_one_that_solve_gives(running: RunningGateway) -> None:
    reply = running.client().chat.completions.create(model="steproute/default", messages=ASK, seed=7)
    solution = steproute.solve(PROBLEM, seed=7)
    assert reply.choices[0].message.content == solution.text
    assert reply.choices[0].finish_reason == "stop"
    extension = reply.model_extra["steproute"]
    assert extension["answer"] == solution.answer
    assert [step["role"] for step in extension["steps"]] == [step.role for step in solution.steps]
    assert Decimal(extension["cost_usd"]) > 0


def test_a_stream_is_the_same_answer_step_by_step(running: RunningGateway) -> None:
    client = running.client()
    whole = client.chat.completions.create(model="default", messages=ASK, seed=3)
    stream = client.chat.completions.create(
        model="default", messages=ASK, seed=3, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    texts = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert "".join(texts) == whole.choices[0].message.content
    assert len(texts) == len(whole.model_extra["steproute"]["steps"])
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens


def test_usage_counts_every_token_of_every_call(running: RunningGateway) -> None:
    reply = running.client().chat.completions.create(model="default", messages=ASK, seed=11)
    by_role = reply.model_extra["steproute"]["usage_by_role"].values()
    assert reply.usage.completion_tokens == sum(role["output_tokens"] for role in by_role)
    assert reply.usage.prompt_tokens == sum(role["read_tokens"] for role in by_role)
    kept = sum(step["tokens"] for step in reply.model_extra["steproute"]["steps"])
    assert reply.usage.completion_tokens == kept + reply.usage.completion_tokens_details.rejected_prediction_tokens


def test_each_role_is_a_model_that_answers_alone(running: RunningGateway) -> None:
    client = running.client()
    assert {model.id for model in client.models.list()} >= {"steproute/default", "steproute/weak", "steproute/strong"}
    reply = client.chat.completions.create(model="steproute/weak", messages=ASK, seed=1)
    assert {step["role"] for step in reply.model_extra["steproute"]["steps"]} == {"weak"}


@pytest.mark.parametrize(
    ("request_fields", "status", "param"),
    [
        ({"model": "nothing"}, 404, "model"),
        ({"messages": [{"role": "user", "content": "What is the capital of Wales?"}]}, 400, "messages"),
        ({"messages": []}, 400, "messages"),
        ({"messages": [{"content": "no role"}]}, 400, "messages"),
        ({"n": 2}, 400, "n"),
        ({"max_tokens": 0}, 400, "max_tokens"),
        ({"logit_bias": {"1": 2}}, 400, "logit_bias"),
        ({"temperature": -1.0}, 400, "temperature"),
        ({"tools": [{"type": "function", "function": {"name": "add"}}]}, 400, "tools"),
        ({"extra_body": {"steproute": {"knob": 0.1}}}, 400, "steproute.knob"),
        ({"extra_body": {"steproute": {"colour": "red"}}}, 400, "steproute"),
        ({"extra_body": {"invented": 1}}, 400, "invented"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(
    running: RunningGateway, request_fields: dict[str, object], status: int, param: str | None
) -> None:
    with pytest.raises(openai.APIStatusError) as failure:
        running.client().chat.completions.create(**{"model": "default", "messages": ASK, **request_fields})
    assert failure.value.status_code == status
    assert failure.value.param == param


def test_a_request_may_lower_its_budget_and_is_cut_off_by_it(running: RunningGateway) -> None:
    reply = running.client().chat.completions.create(model="default", messages=ASK, max_tokens=20, seed=1)
    assert reply.choices[0].finish_reason == "length"
    assert reply.usage.completion_tokens <= 20
    cheap = running.client().chat.completions.create(
        model="default", messages=ASK, seed=1, extra_body={"steproute": {"max_cost_usd": 0.00001}}
    )
    assert cheap.choices[0].finish_reason == "length"
    assert Decimal(cheap.model_extra["steproute"]["cost_usd"]) <= Decimal("0.00001")


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"{", 400), (b"[]", 400), (b"\xff", 400), (b'{"model":' + b"[" * 100_000, 400), (b"x" * 21_000_000, 413)],
)
def test_a_body_that_is_no_request_is_refused(running: RunningGateway, body: bytes, status: int) -> None:
    response = httpx2.post(f"{running.url}/v1/chat/completions", content=body)
    assert response.status_code == status
    assert response.json()["error"]["message"]


def test_a_path_that_there_is_not_has_an_error_of_the_same_shape(running: RunningGateway) -> None:
    for method, path, status in (("GET", "/v1/nothing", 404), ("GET", "/v1/chat/completions", 405)):
        response = httpx2.request(method, running.url + path)
        assert response.status_code == status
        assert response.json()["error"]["type"] == "invalid_request_error"


def test_it_says_that_it_is_ready_and_what_it_did(running: RunningGateway) -> None:
    running.client().chat.completions.create(model="default", messages=ASK, seed=1)
    assert running.get("/healthz").json() == {"status": "ok"}
    assert running.get("/readyz").json()["status"] == "ready"
    metrics = running.get("/metrics").text
    assert 'steproute_requests_total{outcome="answered",route="default"}' in metrics
    assert "steproute_requests_in_flight 0.0" in metrics


def test_headers_name_the_trace_and_its_cost(running: RunningGateway) -> None:
    response = running.client().chat.completions.with_raw_response.create(model="default", messages=ASK, seed=1)
    body = json.loads(response.content)
    assert response.headers["x-steproute-trace-id"] == body["id"]
    assert response.headers["x-steproute-cost-usd"] == body["steproute"]["cost_usd"]


def test_bytes_that_are_no_text_are_refused_in_any_field() -> None:
    with pytest.raises(ApiError) as refused:
        Chat.from_json(b'{"model": "m", "messages": [{"role": "user", "content": "?"}], "unknown": "\xff"}')
    assert (refused.value.status, "utf-8" in refused.value.message) == (400, True)


@pytest.mark.parametrize(
    ("field", "value"),
    [("service_tier", "priority"), ("models", ["m"]), ("best_of", 9), ("chat_template", "x"), ("plugins", [{}])],
)
def test_fields_that_change_what_a_call_costs_are_refused_by_name(field: str, value: object) -> None:
    asked = {"model": "m", "messages": [{"role": "user", "content": "?"}]}
    with pytest.raises(ApiError) as refused:
        Chat.of({**asked, field: value})
    assert (refused.value.param, refused.value.code) == (field, "unsupported_parameter")
    Chat.of({**asked, field: None})
