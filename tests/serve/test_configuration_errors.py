"""What the operator has configured wrongly is no fault of the client, and the client learns nothing of it."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.serve.test_passthrough import ASK, CONFIG

from steproute import Sampling
from steproute.config import read_setup
from steproute.core.chat import ChatDelta, ChatRequest
from steproute.core.errors import ArtifactError, ConfigError, RequestError, SteprouteError
from steproute.core.solution import Draft, Meter, Prefix
from steproute.serve.app import application
from steproute.serve.gateway import Gateway

SECRET = "/srv/keys/strong.txt"


class Failing:
    """A model that fails as it is told, whatever it is asked for."""

    name = "failing"

    def __init__(self, failure: SteprouteError) -> None:
        self.failure = failure

    async def propose(
        self, prefix: Prefix, n: int = 1, sampling: Sampling = Sampling(), meter: Meter | None = None
    ) -> list[Draft]:
        raise self.failure

    async def chat(self, request: ChatRequest, meter: Meter | None = None) -> AsyncGenerator[ChatDelta, None]:
        raise self.failure
        yield ChatDelta()


def answered(folder: Path, change: Callable[[Gateway], None], **fields: Any) -> httpx2.Response:
    """The answer of a gateway in this process, of which something was changed."""
    (folder / "steproute.toml").write_text(CONFIG.format(url="http://127.0.0.1:9/v1"))

    async def asked() -> httpx2.Response:
        app = application(read_setup(folder / "steproute.toml"), f"sqlite:///{folder / 'gateway.db'}")
        async with app.router.lifespan_context(app):
            change(app.state.gateway)
            transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
            async with httpx2.AsyncClient(transport=transport, base_url="http://gateway") as client:
                return await client.post("/v1/chat/completions", json={"messages": ASK} | fields)

    return asyncio.run(asked())


def failing(failure: SteprouteError) -> Callable[[Gateway], None]:
    def change(gateway: Gateway) -> None:
        roles = gateway.setup.roles
        models = {name: replace(role, model=Failing(failure)) for name, role in roles.models.items()}
        gateway.setup = replace(gateway.setup, roles=replace(roles, models=models))

    return change


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["strong", "default"])
@pytest.mark.parametrize("kind", [ConfigError, ArtifactError])
def test_a_wrong_setting_is_status_500_and_a_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: type[SteprouteError], model: str, stream: bool
) -> None:
    failure = kind(f"{SECRET} cannot be read.", where="models.strong")
    with caplog.at_level("ERROR", logger="steproute"):
        answer = answered(tmp_path, failing(failure), model=model, stream=stream)
    error = json.loads(answer.text)["error"]
    assert (answer.status_code, error["code"], error["param"]) == (500, "misconfigured", None)
    assert "strong" not in error["message"]
    assert SECRET not in answer.text
    assert [record for record in caplog.records if SECRET in record.getMessage()]


def test_a_route_that_cannot_be_built_is_status_500(tmp_path: Path) -> None:
    def change(gateway: Gateway) -> None:
        def built(model: str) -> None:
            raise ConfigError(f"{SECRET} is missing.", where="policy")

        gateway.route = built  # type: ignore[method-assign,assignment]

    answer = answered(tmp_path, change, model="default")
    assert answer.status_code == 500
    assert SECRET not in answer.text


def test_what_a_model_cannot_read_of_a_request_is_status_400(tmp_path: Path) -> None:
    answer = answered(tmp_path, failing(RequestError("it has no schema.", where="response_format")), model="strong")
    error = json.loads(answer.text)["error"]
    assert (answer.status_code, error["param"]) == (400, "response_format")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"temperature": -1}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"steproute": {"max_cost_usd": 1e308}}, "max_cost_usd"),
        ({"max_tokens": 2**60}, "max_tokens"),
        ({"tools": {}}, "tools"),
        ({"model": "strong", "n": 0}, "n"),
    ],
)
def test_a_field_that_is_wrong_is_status_400(tmp_path: Path, fields: dict[str, Any], param: str) -> None:
    answer = answered(tmp_path, lambda gateway: None, **{"model": "default", **fields})
    assert (answer.status_code, json.loads(answer.text)["error"]["param"]) == (400, param)
