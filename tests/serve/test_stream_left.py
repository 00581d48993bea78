"""A client that closes its stream before the first step: the call upstream is cancelled and billed, also if the server
has not answered at all."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.backends.http.hostile import Fault
from tests.backends.test_openai_chat import Chatting, delta

from steproute.config import read_setup
from steproute.serve.app import application
from steproute.serve.gateway import Gateway

_MODEL = """
[models.{role}]
backend = "openai"
base_url = "{url}"
model = "m"
kind = "openai"
continuation = "instruct"
price = {{ input = 1, output = 10 }}
"""
_ROUTE = """
[route]
policy = "random"
[limits]
retries = 0
"""


@pytest.mark.parametrize("fault", [None, Fault.HANG], ids=["after the headers", "before the headers"])
@pytest.mark.parametrize("model", ["default", "strong"])
@pytest.mark.parametrize("began", [True, False], ids=["after the response began", "before it began"])
def test_a_stream_that_is_closed_before_its_first_step_cancels_the_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, began: bool, fault: Fault | None
) -> None:
    monkeypatch.setattr("steproute.serve.chat_stream.FIRST_PIECE_S", 0.05 if began else 60)
    upstream = Chatting(delta("stop"), decide=lambda request: fault, pause=60)

    async def run() -> list[tuple[str, bool]]:
        async with upstream.running():
            file = tmp_path / "steproute.toml"
            file.write_text("".join(_MODEL.format(role=role, url=upstream.url) for role in ("weak", "strong")) + _ROUTE)
            app = application(read_setup(file), f"sqlite:///{tmp_path / 'gateway.db'}")
            async with app.router.lifespan_context(app):
                gateway: Gateway = app.state.gateway
                await _leave(app, model, lambda sent: bool(upstream.asked) and bool(sent) is began)
                async with asyncio.timeout(30):
                    while gateway.answers or not upstream.asked[0].closed_by_client:
                        await asyncio.sleep(0.01)
                totals = await gateway.store.ledger.totals(by=("purpose",))
                assert await gateway.store.ledger.audit() == []
        return [(total.group[0], total.usage.input_tokens > 0) for total in totals]

    assert asyncio.run(run()) == [("cancelled", True)]


async def _leave(app: Any, model: str, leaves: Callable[[list[str]], bool]) -> None:
    """Ask for a stream, and close the connection as soon as `leaves` says so, by what was sent."""
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": "What is 2 + 3?"}]}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/v1/chat/completions",
        "raw_path": b"/v1/chat/completions",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1),
        "server": ("gateway", 80),
    }
    whole = [{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}]
    sent: list[str] = []

    async def receive() -> dict[str, Any]:
        if whole:
            return whole.pop()
        while not leaves(sent):
            await asyncio.sleep(0.01)
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message["type"])

    await app(scope, receive, send)
