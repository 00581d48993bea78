"""A gateway with keys in front of a server of this test: tools, failures and a model that takes its time."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from tests.backends.http.hostile import Asked, Fault
from tests.backends.test_openai_chat import Chatting, delta, usage
from tests.paid_servers import served
from tests.serve.running import RunningGateway, gateway

from steproute.store import Budgets, open_store

_ROLE: Final = """
[models.{role}]
backend = "openai"
base_url = "{url}"
model = "{role}"
kind = "openai"
continuation = "instruct"
price = {{ input = 1, cache_read = 0.5, output = 10 }}
limiter = {{ failures_to_open = 1000 }}
"""
_ROUTE: Final = """
[route]
policy = "random"
knob = 0.5
[limits]
retries = 0
[roles]
ladder = ["weak", "strong"]
"""
ASK: Final[list[dict[str, Any]]] = [{"role": "user", "content": "What is 2 + 3?"}]
_CALL: Final = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "add", "arguments": ""}}
_TEXT: Final = (
    delta(role="assistant", content=""),
    delta(content="It is "),
    delta(content="5."),
    delta("stop"),
    usage(),
)
_TOOL: Final = (
    delta(role="assistant", content="I add."),
    delta(tool_calls=[_CALL]),
    delta(tool_calls=[{"index": 0, "function": {"arguments": '{"a": 2,'}}]),
    delta(tool_calls=[{"index": 0, "function": {"arguments": ' "b": 3}'}}]),
    delta("tool_calls"),
    usage(),
)
BUDGETS: Final = {
    "open": Budgets(),
    "spent": Budgets(usd_per_day=Decimal("0.00001")),
    "busy": Budgets(usd_per_day=Decimal("0.043")),
}
"""Tenants. What `busy` has is enough for one request at a time, which may cost up to 4 cents."""


_FAULTS: Final = {"broken": Fault.SERVER_ERROR, "breaking": Fault.EARLY_END}


class Upstream(Chatting):
    """Calls the tool that it is offered, until it has a result.

    `broken` fails, `breaking` fails after its first piece, and `slow` pauses before its end.
    """

    def __init__(self) -> None:
        super().__init__(*_TEXT, decide=lambda asked: _FAULTS.get(asked.body["model"]))

    async def _stream(self, request: Asked, writer: asyncio.StreamWriter, reader: asyncio.StreamReader) -> bool:
        calls = request.body.get("tools") and request.body["messages"][-1]["role"] != "tool"
        slow = request.body["model"] == "slow"
        self.chunks = _TEXT[:-1] if slow else _TOOL if calls else _TEXT
        self.pause = 30 if slow else 0
        return await super()._stream(request, writer, reader)


_OUTCOMES: Final = {499: "cancelled", 502: "failed"}


@dataclass(frozen=True)
class PaidGateway:
    """keys: of each tenant."""

    gateway: RunningGateway
    upstream: Upstream
    keys: dict[str, str]

    @property
    def v1(self) -> str:
        """The address for clients."""
        return f"{self.gateway.url}/v1"

    def refused(self, status: int) -> int:
        """How many requests ended with this status; those that were answered are counted by the answer's outcome."""
        counted = f'refused_requests_total{{.*status="{status}"'
        if status in _OUTCOMES:
            counted = f'requests_total{{outcome="{_OUTCOMES[status]}"'
        counts = re.findall(rf"steproute_{counted}.*}} (\d+)", self.gateway.get("/metrics").text)
        return sum(map(int, counts))


@contextmanager
def paid_gateway(folder: Path) -> Iterator[PaidGateway]:
    """The gateway, until the context ends."""
    upstream, keys = Upstream(), asyncio.run(_keys(f"sqlite:///{folder / 'gateway.db'}"))
    with served(upstream) as url:
        roles = "".join(_ROLE.format(role=role, url=url) for role in ("weak", "strong", "broken", "breaking", "slow"))
        config = folder / "steproute.toml"
        config.write_text(roles + _ROUTE)
        with gateway(folder, "--config", str(config), "--keys") as started:
            yield PaidGateway(started, upstream, keys)


async def _keys(database: str) -> dict[str, str]:
    store = await open_store(database, worker="test")
    try:
        for name, budgets in BUDGETS.items():
            await store.tenants.create(name, budgets)
        return {name: await store.tenants.new_key(name, "test") for name in BUDGETS}
    finally:
        await store.close()
