# ruff: noqa: E501
"""Fields that a model refuses: left out by a setting or by a preset, or after the server has named them."""

import asyncio
import json
from typing import Any

import pytest
from tests.backends.http.hostile import Asked, HostileServer
from tests.backends.http.test_faults import PROBLEM
from tests.backends.test_openai_server import BEGUN, SAMPLING, Canned, text_chunk
from tests.patients import Patient, diagnose, ill

from steproute.backends.http.refused_fields import FIELDS, refused_fields
from steproute.backends.http.server import Server
from steproute.backends.openai.model import OpenAiModel
from steproute.backends.openai.request import request_fields
from steproute.backends.openai.settings import OpenAiSettings
from steproute.core.errors import BackendError, ConfigError
from steproute.core.ports import Continuation
from steproute.core.solution import Draft, Meter, Outcome, Sampling, Stop
from steproute.core.usage import FREE, Usage
from steproute.engine.episode import Episode
from steproute.engine.roles import ModelRole, Roles
from steproute.strategies.single import Single

FORMS = [  # the shapes of OpenAI, OpenAI's values, Gemini, Mistral, vLLM, Groq, xAI, Azure, Fireworks and others
    lambda name: {"error": {"message": f"Unsupported parameter: '{name}' is not supported with this model.", "param": name}},
    lambda name: {
        "error": {
            "message": f"Unsupported value: '{name}' does not support 0.3 with this model. Only the default (1) value is "
            "supported.",
            "code": "unsupported_value",
        }
    },
    lambda name: [{"error": {"code": 400, "message": f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.'}}],
    lambda name: {
        "object": "error",
        "message": {"detail": [{"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs are not permitted"}]},
    },
    lambda name: {"detail": [{"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs are not permitted", "input": 1}]},
    lambda name: {"object": "error", "message": f"[{{'type': 'extra_forbidden', 'loc': ('body', '{name}'), 'input': 1}}]"},
    lambda name: {"error": {"message": f"property '{name}' is unsupported, did you mean 'foo'?"}},
    lambda name: {"code": "Client specified an invalid argument", "error": f"Argument not supported on this model: {name}"},
    lambda name: {"error": {"message": f"Unrecognized request argument supplied: {name}", "type": "invalid_request_error"}},
    lambda name: {"error": {"message": f"Extra inputs are not permitted, field: '{name}'"}},
    lambda name: {"error": {"message": f"`{name}` is deprecated for this model."}},
    lambda name: {"message": f"Unknown parameter: {name}"},
    lambda name: {"detail": f"body.{name}: extra fields not permitted"},
    lambda name: {"error": {"message": f"The model does not support parameter {name}."}},
]  # fmt: skip


class Picky(HostileServer):
    """Refuses the fields in its way, one after the other or all at once."""

    def __init__(self, *refused: str, form: Any = FORMS[0], at_once: bool = False, status: int = 400) -> None:
        super().__init__(lambda request: None)
        self.refused, self.form, self.at_once, self.status = refused, form, at_once, status

    async def _stream(self, request: Asked, writer: asyncio.StreamWriter, reader: asyncio.StreamReader) -> bool:
        named = [name for name in self.refused if name in request.body]
        if named:
            return await self._send(writer, self.status, self.form("' and '".join(named) if self.at_once else named[0]))
        return await super()._stream(request, writer, reader)


def ask(server: Picky, times: int = 1, **settings: Any) -> tuple[Draft, Meter, OpenAiModel]:
    async def run() -> tuple[Draft, Meter, OpenAiModel]:
        async with server.running():
            chosen = {"continuation": Continuation.INSTRUCT, "kind": "openai", **settings}
            model = OpenAiModel("m", OpenAiSettings(model="m", server=Server(base_url=server.url), **chosen))
            for _ in range(times):
                meter = Meter()
                (draft,) = await model.propose(BEGUN, 1, SAMPLING, meter)
            return draft, meter, model

    return asyncio.run(run())


REFUSABLE = ("temperature", "top_p", "seed", "stop", "stream_options", "max_completion_tokens")


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", REFUSABLE)
def test_a_field_that_the_server_refuses_is_left_out_from_then_on(name: str, form: Any, status: int) -> None:
    server = Picky(name, form=form, status=status)
    draft, meter, model = ask(server, times=2)
    assert draft.text.startswith("Step 2")
    assert [name in request.body for request in server.asked] == [True, False, False], "one second try, and remembered"
    assert model.refused == (name,)
    assert meter.total == draft.usage


def test_fields_that_are_refused_one_after_the_other_or_at_once_are_all_left_out() -> None:
    for at_once, asked in ((False, 4), (True, 2)):
        server = Picky("temperature", "top_p", "stop", at_once=at_once)
        draft, _, model = ask(server)
        assert draft.text.startswith("Step 2")
        assert len(server.asked) == asked
        assert set(model.refused) == {"temperature", "top_p", "stop"}


def test_a_step_without_stop_ends_at_the_separator() -> None:
    server = Picky("stop")
    draft, _, _ = ask(server, kind="vllm", continuation=Continuation.COMPLETIONS, template="none")
    assert (draft.text, draft.stop) == ("Step 2: so then", Stop.SEPARATOR)


def test_the_limit_of_tokens_goes_by_its_other_name() -> None:
    for sent, other, kind in (
        ("max_completion_tokens", "max_tokens", "openai"),
        ("max_tokens", "max_completion_tokens", "vllm"),
    ):
        server = Picky(sent)
        ask(server, kind=kind)
        assert [request.body.get(other) for request in server.asked] == [None, SAMPLING.max_tokens]


@pytest.mark.parametrize("name", ["logprobs", "top_logprobs"])
def test_log_probabilities_that_are_asked_for_are_not_left_out_in_silence(name: str) -> None:
    with pytest.raises(BackendError, match="Set logprobs = 0"):
        ask(Picky(name), logprobs=5)


def test_both_names_of_the_limit_refused_is_an_error_that_names_the_setting() -> None:
    with pytest.raises(BackendError, match='Set omit = .*"max_tokens"'):
        ask(Picky("max_tokens", "max_completion_tokens"))


def test_a_refusal_that_goes_on_is_no_endless_loop() -> None:
    class Stubborn(Picky):
        async def _stream(self, request: Asked, writer: asyncio.StreamWriter, reader: asyncio.StreamReader) -> bool:
            return await self._send(writer, 400, FORMS[0]("temperature"))

    server = Stubborn()
    with pytest.raises(BackendError, match="Unsupported parameter: 'temperature'"):
        ask(server)
    assert len(server.asked) == 2


def test_a_field_that_is_refused_in_the_middle_of_an_answer_is_an_error_and_paid_for() -> None:
    server = Canned([text_chunk("a"), text_chunk(" step"), {"error": {**FORMS[0]("seed")["error"], "code": 400}}])
    meter = Meter()

    async def run() -> None:
        async with server.running():
            settings = OpenAiSettings(model="m", server=Server(base_url=server.url), template="none")
            with pytest.raises(BackendError, match="Unsupported parameter: 'seed'"):
                await OpenAiModel("m", settings).propose(BEGUN, 1, SAMPLING, meter)

    asyncio.run(run())
    assert (len(server.asked), meter.total.output_tokens) == (1, 2)


def test_many_that_are_refused_at_the_same_time_all_get_their_answers() -> None:
    async def run() -> int:
        server = Picky("seed", "temperature")
        async with server.running():
            settings = OpenAiSettings(model="m", server=Server(base_url=server.url), template="none")
            model = OpenAiModel("m", settings)
            drafts = await asyncio.gather(*(model.propose(BEGUN, 1, SAMPLING) for _ in range(20)))
            assert all(draft.text == "Step 2: so then" for (draft,) in drafts)
            return len(server.asked)

    assert asyncio.run(run()) <= 60


@pytest.mark.parametrize(
    "message",
    [
        "Invalid value: temperature must be between 0 and 1, 3 is not supported",
        "max_tokens is too large: 2048. This model supports at most 1024 completion tokens, more are unsupported",
        "'seed' is out of range, which is not allowed",
        "the prompt is not supported",
        "Unknown model: stopgap",
        "Unsupported: 'response_format'",
        "This model's maximum context length is 100 tokens",
        "The worker stopped at a request with temperature = 0.3 and seed = 7",
    ],
)
def test_other_complaints_refuse_no_field(message: str) -> None:
    assert refused_fields(message) == ()


def test_of_two_fields_that_exclude_each_other_one_is_left_out() -> None:
    assert refused_fields("`temperature` and `top_p` cannot both be specified for this model.") == ("top_p",)
    assert refused_fields("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.") == (
        "max_tokens",
    )


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_that_is_omitted_by_the_setting_is_not_sent(name: str) -> None:
    for kind, mode in (
        ("openai", Continuation.INSTRUCT),
        ("vllm", Continuation.COMPLETIONS),
        ("llama.cpp", Continuation.INSTRUCT),
    ):
        server = Picky(name)
        ask(server, omit=(name,), kind=kind, continuation=mode, template="none")
        assert [name in request.body for request in server.asked] == [False]
        assert any(limit in server.asked[0].body for limit in ("max_tokens", "max_completion_tokens"))


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"omit": ("temprature",)}, "omit: 'temprature' is no field that is sent. Use some of temperature"),
        ({"omit": ("max_tokens", "max_completion_tokens")}, "no budget could be kept"),
        ({"omit": ("logprobs",), "logprobs": 3}, "contradicts logprobs = 3"),
    ],
)
def test_what_cannot_be_omitted_is_refused_by_name(settings: dict[str, Any], error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        OpenAiSettings(model="m", server=Server(base_url="http://127.0.0.1:1/v1"), **settings)


@pytest.mark.parametrize(
    ("url", "model", "left_out"),
    [
        ("https://api.openai.com/v1", "gpt-5", {"temperature", "top_p", "stop"}),
        ("https://api.openai.com/v1", "gpt-5-mini-2025-08-07", {"temperature", "top_p", "stop"}),
        ("https://api.openai.com/v1", "o3", {"temperature", "top_p", "stop"}),
        ("https://api.openai.com/v1", "o4-mini", {"temperature", "top_p", "stop"}),
        ("https://mine.openai.azure.com/openai/v1", "o1-preview", {"temperature", "top_p", "stop"}),
        ("https://api.openai.com/v1", "gpt-5.1", {"stop"}),
        ("https://api.openai.com/v1", "gpt-4o", set()),
        ("https://api.openai.com/v1", "gpt-5-chat-latest", set()),
        ("https://generativelanguage.googleapis.com/v1beta/openai", "gemini-2.5-pro", {"seed"}),
        ("https://api.mistral.ai/v1", "magistral-medium-latest", {"seed", "stream_options", "max_completion_tokens"}),
        ("https://evil.example/api.mistral.ai/v1", "m", set()),
        ("http://127.0.0.1:8000/v1", "gpt-5", set()),
    ],
)
def test_what_a_providers_models_are_known_to_refuse_is_left_out(url: str, model: str, left_out: set[str]) -> None:
    settings = OpenAiSettings(
        model=model, server=Server(base_url=url), kind="openai", continuation=Continuation.INSTRUCT
    )
    assert set(settings.omitted) - {"logprobs", "top_logprobs"} == left_out
    assert (settings.stop == "client") is ("stop" in left_out)
    everything = OpenAiSettings(
        model=model, server=Server(base_url=url), kind="openai", continuation=Continuation.INSTRUCT, omit=()
    )
    assert everything.omitted == ()


@pytest.mark.parametrize(
    ("url", "model"),
    [
        ("https://api.openai.com/v1", "gpt-5"),
        ("https://api.anthropic.com/v1", "claude-sonnet-4-5"),
        ("https://api.mistral.ai/v1", "mistral-small-latest"),
        ("https://api.groq.com/openai/v1", "qwen/qwen3-32b"),
    ],
)
def test_log_probabilities_that_are_asked_for_are_sent_whatever_a_provider_is_known_to_refuse(
    url: str, model: str
) -> None:
    """The provider's error then says that there are none, and the route that reads them does not run without."""
    kind: dict[str, Any] = {"kind": "openai", "continuation": Continuation.INSTRUCT}
    for logprobs in (0, 5):
        settings = OpenAiSettings(model=model, server=Server(base_url=url), logprobs=logprobs, **kind)
        assert ({"logprobs", "top_logprobs"} <= set(settings.omitted)) is (logprobs == 0)
        assert ("logprobs" in request_fields(settings, SAMPLING, 1)) is (logprobs > 0)


def test_what_a_provider_refuses_is_sent_to_a_server_of_another_kind_behind_its_address() -> None:
    """Such as vLLM on Vertex AI."""
    settings = OpenAiSettings(model="m", server=Server(base_url="https://mine-aiplatform.googleapis.com/v1"))
    assert settings.omitted == ()


def test_a_problem_is_solved_and_billed_though_fields_are_refused() -> None:
    async def run() -> tuple[Outcome, list[Usage], list[int]]:
        server = Picky("temperature", "seed")
        async with server.running():
            settings = OpenAiSettings(
                model="m", server=Server(base_url=server.url), kind="openai", continuation=Continuation.INSTRUCT
            )
            writer = ModelRole(model=OpenAiModel("m", settings), price=FREE, sampling=Sampling())
            trace = await Episode(PROBLEM, Roles(models={"weak": writer}), route="t").run(Single("weak"))
            return trace.outcome, [line.usage for line in trace.account], [each.generated for each in server.asked]

    outcome, usages, generated = asyncio.run(run())
    assert outcome is Outcome.ANSWERED
    assert [usage.output_tokens for usage in usages] == [tokens for tokens in generated if tokens]


class PickyPatient(Patient):
    async def _stream(self, request: Asked, writer: asyncio.StreamWriter, reader: asyncio.StreamReader) -> bool:
        for name in self.faults:
            if name in request.body:
                return await self._send(writer, 400, FORMS[0](name))
        return await super()._stream(request, writer, reader)


def test_doctor_proposes_the_line_to_add(tmp_path: Any) -> None:
    found = ill(diagnose(tmp_path, PickyPatient("seed", "stop")))
    (finding,) = [each for each in found if each.backend == "models.weak"]
    assert finding.check == "request fields"
    assert "seed (runs cannot be repeated), stop (the stream is closed at the separator)" in finding.seen
    line = 'omit = ["seed", "stop"]'
    assert f"Set {line} below [models.weak]" in finding.remedy
    assert json.loads(line.partition(" = ")[2]) == ["seed", "stop"]
    assert (
        ill(diagnose(tmp_path, PickyPatient("seed", "stop"), ('template = "none"', f'{line}\ntemplate = "none"'))) == []
    )
