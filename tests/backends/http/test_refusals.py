"""What a server's error means: whether it may pass, what the context holds, what a user is told."""

import asyncio
import json
from typing import Any

import pytest
from tests.backends.http.refusing import RefusingServer

from steproute.backends.anthropic.connection import AnthropicConnection
from steproute.backends.http.connection import Connection
from steproute.backends.http.server import Server
from steproute.core.errors import BackendError, BackendUnavailable, ContextOverflow, RateLimited, TransientError

HERE = Server(base_url="http://127.0.0.1:1/v1")
FULL = "This model's maximum context length is 64 tokens. However, you requested 90 tokens (50 in the messages, 40 in"


def error(status: int, message: str, **fields: Any) -> BackendError:
    return Connection("weak", HERE).errors.for_status(status, {"error": {"message": message, **fields}})


def error_within(message: str, **fields: Any) -> BackendError:
    return Connection("weak", HERE).errors.in_body({"error": {"message": message, **fields}})


@pytest.mark.parametrize("status", [408, 409, 425, 500, 502, 503, 504, 507, 520, 521, 522, 523, 524, 529, 530, 598])
def test_a_server_that_may_come_back_is_asked_again(status: int) -> None:
    assert type(error(status, "down")) is BackendUnavailable


@pytest.mark.parametrize(("status", "kind"), [(429, RateLimited), (503, BackendUnavailable)])
def test_how_long_a_server_asks_to_wait_comes_with_its_refusal(status: int, kind: type[TransientError]) -> None:
    async def run() -> TransientError:
        body = {"error": {"message": "later"}}
        async with RefusingServer(status=status, body=body, headers="retry-after: 7\r\n").running() as server:
            with pytest.raises(kind, match=f"weak: status {status}: later") as caught:
                await Connection("weak", Server(base_url=server.url)).models()
            return caught.value

    assert asyncio.run(run()).retry_after_s == 7.0


@pytest.mark.parametrize("status", [400, 401, 404, 405, 451, 501, 505])
def test_what_a_further_try_would_not_change_is_not_tried_again(status: int) -> None:
    assert type(error(status, "no")) is BackendError


def test_an_error_that_is_null_leaves_the_message_beside_it() -> None:
    failure = Connection("weak", HERE).errors.for_status(429, {"error": None, "message": "slow down"})
    assert str(failure) == "weak: status 429: slow down (at http://127.0.0.1:1/v1)"


@pytest.mark.parametrize(
    ("fields", "status", "kind"),
    [
        ({"type": "insufficient_quota", "code": "insufficient_quota"}, 429, BackendError),
        ({"type": "insufficient_quota", "code": 429}, 429, BackendError),
        ({"type": "tokens", "code": "rate_limit_exceeded"}, 429, RateLimited),
        ({"type": "invalid_request_error", "code": "invalid_api_key"}, 401, BackendError),
        ({"type": "invalid_request_error", "code": "model_not_found"}, 404, BackendError),
        ({"type": "invalid_request_error", "code": "context_length_exceeded"}, 400, ContextOverflow),
        ({"type": "invalid_request_error", "code": "of_tomorrow"}, 400, BackendError),
        ({"type": "invalid_request_error", "code": None}, 400, BackendError),
        ({"type": "server_error", "code": None}, 500, BackendUnavailable),
        ({"code": "503"}, 503, BackendUnavailable),
        ({"code": "400"}, 400, BackendError),
        ({"code": 524}, 524, BackendUnavailable),
        ({"code": 7, "type": "overloaded_error"}, 529, BackendUnavailable),
        ({}, 500, BackendUnavailable),
    ],
)
def test_an_error_without_a_status_is_told_by_its_code_or_type(
    fields: dict[str, Any], status: int, kind: type[BackendError]
) -> None:
    failure = error_within("oops", **fields)
    assert type(failure) is kind
    assert str(failure).startswith(f"weak: status {status}: oops")


@pytest.mark.parametrize("code", ["insufficient_quota", "billing_hard_limit_reached"])
def test_an_account_without_money_is_not_tried_again(code: str) -> None:
    failure = error(429, "You exceeded your current quota", type="requests", code=code)
    assert type(failure) is BackendError
    assert "no money left" in str(failure)


@pytest.mark.parametrize(
    ("message", "context", "prompt"),
    [
        (FULL, 64, 50),
        ("input length and `max_tokens` exceed context limit: 50 + 40 > 64, decrease input length", 64, 50),
        ("the request exceeds the available context size (64 tokens), try increasing it", 64, None),
        ("prompt is too long: 215000 tokens > 200000 maximum", 200000, 215000),
        ("The prompt (total length 5000) is too long to fit into the model", None, 5000),
    ],
)
def test_a_prompt_that_does_not_fit_is_told_with_what_numbers_there_are(
    message: str, context: int | None, prompt: int | None
) -> None:
    for said in (message, "y" * 5000 + " " + message):
        failure = error(400, said)
        assert isinstance(failure, ContextOverflow)
        assert (failure.context_tokens, failure.prompt_tokens) == (context, prompt)
        assert "context has no room" in str(failure)
        assert len(str(failure)) < 400


@pytest.mark.parametrize(
    "message",
    ["Invalid 'stop[0]': string too long. Expected at most 64 characters.", "Invalid 'user': string too long", "odd"],
)
def test_another_field_that_is_too_long_is_no_full_context(message: str) -> None:
    assert type(error(400, message)) is BackendError


def test_a_key_that_is_part_of_the_message_changes_nothing_but_what_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("e", "token", "64"):
        monkeypatch.setenv("MY_KEY", key)
        server = Server(base_url=HERE.base_url, api_key_env="MY_KEY")
        failure = Connection("weak", server).errors.for_status(400, {"error": {"message": FULL}})
        assert isinstance(failure, ContextOverflow)
        assert (failure.context_tokens, failure.prompt_tokens) == (64, 50)
        assert "[key]" in str(failure)
        said = {"error": {"type": "invalid_request_error", "message": "y" * 400 + "temperature: not permitted"}}
        assert "Set sampling_fields" in str(AnthropicConnection("weak", server).errors.for_status(400, said))


@pytest.mark.parametrize(
    "raw",
    ["upstream is gone", {"error": {"message": "upstream is gone"}}, '{"error": {"message": "upstream is gone"}}'],
)
def test_the_reason_of_a_provider_behind_a_gateway_is_shown(raw: object) -> None:
    failure = error_within("Provider returned error", code=502, metadata={"raw": raw, "provider_name": "Together"})
    assert type(failure) is BackendUnavailable
    said = "weak: status 502: Provider returned error (Together: upstream is gone)"
    assert str(failure) == f"{said} (at http://127.0.0.1:1/v1)"
    full = error(400, "Provider returned error", code=400, metadata={"raw": json.dumps({"message": FULL})})
    assert isinstance(full, ContextOverflow)
    assert "Provider returned error (its provider: This model's" in str(full)


def test_an_error_names_the_address_without_user_and_password() -> None:
    server = Server(base_url="http://me:secret@127.0.0.1:1/v1")
    assert (
        str(Connection("weak", server).errors.for_status(500, "oops"))
        == "weak: status 500: oops (at http://127.0.0.1:1/v1)"
    )


def test_an_error_without_a_message_shows_all_of_it() -> None:
    for body in ({"error": {"message": None, "reason": "odd"}}, {"detail": "odd"}, {"error": "odd"}, "odd"):
        assert "odd" in str(Connection("weak", HERE).errors.for_status(400, body))


@pytest.mark.parametrize("kind", [Connection, AnthropicConnection])
@pytest.mark.parametrize(
    ("location", "told"),
    [
        (
            "https://me:pass@there.example/v1/models?token=pass#pass",
            "to https://there.example/v1/models. Set base_url to https://there.example/v1.",
        ),
        ("https://there.example/llm/v1/models", "Set base_url to https://there.example/llm/v1."),
        ("/login", "/login. Set base_url to an address that answers itself."),
        ("http://there.example:pass/", "the server redirects. Set base_url to an address that answers itself."),
    ],
)
def test_a_redirect_says_where_to_and_what_base_url_should_be(
    kind: type[Connection | AnthropicConnection], location: str, told: str
) -> None:
    async def run() -> str:
        server = RefusingServer(status=308, body={}, headers=f"location: {location}\r\n")
        async with server.running():
            with pytest.raises(BackendError) as caught:
                await kind("weak", Server(base_url=server.url)).models()
            assert type(caught.value) is BackendError
            assert len(server.asked) == 1
            return str(caught.value)

    said = asyncio.run(run())
    assert said.startswith("weak: status 308: the server redirects")
    assert said.endswith(told)
    assert "pass" not in said
