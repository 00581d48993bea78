"""Spans: off unless OpenTelemetry's variables ask for them, one tree per request, and no content unless asked for."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.datastructures import Headers
from tests.serve.otlp_receiver import Receiver, attributes, receiver
from tests.serve.running import PROBLEM, gateway

from steproute.config import lab_roles, read_setup
from steproute.core.errors import ConfigError
from steproute.core.problem import Problem
from steproute.core.usage import Purpose
from steproute.engine.episode import Episode
from steproute.engine.roles import Roles
from steproute.policies.trim.threshold import Threshold
from steproute.serve.observed import Observed
from steproute.serve.span_tree import request_tree
from steproute.serve.tracing import Spans, spans_of, spans_wanted
from steproute.strategies.stepwise import Stepwise

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SECRET = "sk-secret-of-the-client"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    """What a gateway sends for an answer and a refusal."""
    with receiver() as collector:
        folder, environment = tmp_path_factory.mktemp("traced"), {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        with gateway(folder, environment=environment) as running:
            ask = [{"role": "user", "content": PROBLEM}]
            client = running.client(SECRET)
            client.chat.completions.create(model="default", messages=ask, seed=3, extra_headers={"traceparent": PARENT})
            running.get("/v1/models/nothing", SECRET)
        yield collector


def test_a_request_is_one_tree_of_steps_and_calls(exported: Receiver) -> None:
    (root,) = [span for span in exported.spans if span.name == "POST /v1/chat/completions"]
    assert root.trace_id.hex() == PARENT.split("-")[1]
    assert root.parent_span_id.hex() == PARENT.split("-")[2]
    facts = attributes(root)
    assert facts["gen_ai.operation.name"] == "invoke_workflow"
    assert facts["gen_ai.workflow.name"] == "default"
    assert facts["http.response.status_code"] == 200
    assert facts["steproute.tenant"] == "local"
    steps = [span for span in exported.spans if span.parent_span_id == root.span_id]
    assert [span.name for span in steps] == [f"step {number}" for number in range(1, len(steps) + 1)]
    for step in steps:
        within = [span for span in exported.spans if span.parent_span_id == step.span_id]
        assert [span.name for span in within][:3] == ["text_completion lab-weak", "score lab-verifier", "decide"]
        assert all(root.start_time_unix_nano <= span.start_time_unix_nano for span in within)
        call, score, decision = map(attributes, within[:3])
        assert call["gen_ai.request.model"] == "lab-weak"
        assert call["gen_ai.usage.output_tokens"] > 0
        assert 0 <= score["gen_ai.evaluation.score.value"] <= 1
        assert decision["steproute.decision"] in ("accept", "strong")


def test_the_resource_is_the_gateway(exported: Receiver) -> None:
    assert exported.resource["service.name"] == "steproute"


def test_neither_prompts_nor_keys_are_sent(exported: Receiver) -> None:
    for secret in (b"coins", SECRET.encode()):
        assert secret not in exported.bodies


def test_a_refusal_is_a_span_without_an_error_status(exported: Receiver) -> None:
    (span,) = [span for span in exported.spans if span.name == "GET /v1/models/{name:path}"]
    assert attributes(span)["http.response.status_code"] == 404
    assert span.status.code == 0


def test_the_calls_of_a_tree_are_the_lines_of_the_account() -> None:
    request, roles = asyncio.run(solved())
    calls = [node for step in request_tree(request, roles).within for node in (step, *step.within)]
    purposes = [node.attributes["steproute.purpose"] for node in calls if "steproute.purpose" in node.attributes]
    assert request.trace is not None
    assert purposes == [line.purpose.value for line in request.trace.account]
    assert {Purpose.ACCEPTED, Purpose.DISCARDED, Purpose.SCORE} <= set(purposes)


@pytest.mark.parametrize("with_content", [False, True])
def test_conversations_are_attributes_only_if_asked_for(with_content: bool) -> None:
    request, roles = asyncio.run(solved())
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    Spans(provider, roles, with_content=with_content).export(request)
    texts = " ".join(span.to_json() for span in exporter.get_finished_spans())
    assert ("coins" in texts) is with_content


def test_content_needs_the_variable_and_kept_prompts() -> None:
    setup, on = read_setup(None), {"OTEL_TRACES_EXPORTER": "console"}
    variable = {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true"}
    private = replace(setup, gateway=replace(setup.gateway, serve=replace(setup.gateway.serve, keep_prompts=False)))
    made = [spans_of(setup, on), spans_of(setup, on | variable), spans_of(private, on | variable)]
    assert [spans is not None and spans._with_content for spans in made] == [False, True, False]


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, False),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "console"}, True),
    ],
)
def test_the_standard_variables_switch_spans_on(environment: dict[str, str], wanted: bool) -> None:
    assert spans_wanted(environment) is wanted


def test_an_exporter_that_is_not_installed_is_named() -> None:
    with pytest.raises(ConfigError, match="invented"):
        spans_of(read_setup(None), {"OTEL_TRACES_EXPORTER": "invented"})


def test_opentelemetry_is_not_imported_without_an_exporter() -> None:
    script = (
        "import sys; from pathlib import Path; from steproute.config import read_setup;"
        "from steproute.serve.app import application; application(read_setup(None), 'sqlite:///x.db');"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


async def solved() -> tuple[Observed, Roles]:
    """A request with rewritten steps, as the gateway would have recorded it."""
    roles = lab_roles()
    headers = Headers({})
    request = Observed(
        id="req_1", method="POST", path="/v1/x", headers=headers, began_ns=time.time_ns(), status=200, events=[]
    )
    problem = Problem.ask(PROBLEM)
    request.messages = problem.messages
    episode = Episode(problem, roles, route="thr", seed=1, on_event=request.happened)
    request.trace = await episode.run(Stepwise(policy=Threshold(0.9999)))
    request.ended_ns = time.time_ns()
    return request, roles
