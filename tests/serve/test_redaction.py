"""With `keep_texts = false` nothing that was asked or answered is on disk, in a log or in a span."""

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import Connection, MetaData, select
from tests.backends.http.hostile import Asked, Fault
from tests.backends.test_openai_chat import Chatting, delta, usage
from tests.paid_servers import served
from tests.serve.otlp_receiver import receiver
from tests.serve.paid_gateway import _ROLE, _ROUTE

from steproute.backends.prompts import COMPLETE
from steproute.config import read_setup
from steproute.core.decision import Accept
from steproute.core.solution import Outcome, Step
from steproute.core.trace import Fallback, Trace
from steproute.serve.app import application
from steproute.serve.logs import JsonLines
from steproute.serve.redaction import without_texts
from steproute.store.database import Database

ASKED, ANSWERED, ARGUMENT, HEADER, BROKEN = (
    "plantedAsk",
    "plantedReply",
    "plantedArgument",
    "plantedHeader",
    "plantedFault",
)
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "description": ASKED}}}
CALL = {
    "index": 0,
    "id": "call_1",
    "type": "function",
    "function": {"name": "add", "arguments": f'{{"a": "{ARGUMENT}"}}'},
}
SAID = (delta(role="assistant", content=f"It is {ANSWERED} 5."), delta("stop"), usage())
ENDED = (delta(role="assistant", content=COMPLETE), delta("stop"), usage())
CALLED = (delta(role="assistant", content=ANSWERED), delta(tool_calls=[CALL]), delta("tool_calls"), usage())
MESSAGES = [{"role": "system", "content": f"Be {ASKED}."}, {"role": "user", "content": f"How many {ASKED} are 2 + 3?"}]
HISTORY = [
    *MESSAGES,
    {"role": "assistant", "content": None, "tool_calls": [{k: v for k, v in CALL.items() if k != "index"}]},
    {"role": "tool", "tool_call_id": "call_1", "content": ARGUMENT},
]


class Telling(Chatting):
    """Answers with planted texts, and `broken` quotes what it was sent."""

    def __init__(self) -> None:
        super().__init__(*SAID, decide=lambda asked: Fault.SERVER_ERROR if asked.body["model"] == "broken" else None)

    async def _stream(self, request: Asked, writer: asyncio.StreamWriter, reader: asyncio.StreamReader) -> bool:
        began = ANSWERED in json.dumps(request.body["messages"])
        self.chunks = CALLED if request.body.get("tools") else ENDED if began else SAID
        return await super()._stream(request, writer, reader)


@pytest.mark.parametrize("keep", [True, False], ids=["kept", "redacted"])
def test_planted_texts_are_found_only_if_texts_are_kept(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: bool
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")
    log = tmp_path / "gateway.log"
    handler = logging.FileHandler(log)
    handler.setFormatter(JsonLines(with_texts=keep))
    logging.getLogger().addHandler(handler)
    try:
        with receiver() as collector, served(Telling()) as url:
            monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
            roles = "".join(_ROLE.format(role=role, url=url) for role in ("weak", "strong", "broken"))
            auto = '[serve.routes.default]\n[serve.routes.auto]\nauto = "rule"\npassthrough = "strong"\n'
            config = tmp_path / "steproute.toml"
            config.write_text(f"{roles}{_ROUTE}[serve]\nkeep_texts = {str(keep).lower()}\n{auto}")
            asyncio.run(asked(config, database))
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()
    found = {
        "rows": asyncio.run(rows_of(database)).encode(),
        "files": b"".join(each.read_bytes() for each in tmp_path.iterdir() if each.name.startswith("gateway.db")),
        "log": log.read_bytes(),
        "spans": collector.bodies,
    }
    assert b"default" in found["rows"]
    assert collector.spans
    secrets = (ASKED, ANSWERED, ARGUMENT, HEADER, BROKEN)
    places = {(place, secret) for place, text in found.items() for secret in secrets if secret.encode() in text}
    if not keep:
        assert places == set()
        return
    assert {("rows", ASKED), ("rows", ANSWERED), ("rows", ARGUMENT), ("spans", ASKED), ("log", BROKEN)} <= places
    assert not [place for place, secret in places if secret == HEADER]


async def asked(config: Path, database: str) -> None:
    """Steps, tools, a choice by words, a model that fails and a fault of the gateway itself."""
    app = application(read_setup(config), database)
    async with app.router.lifespan_context(app):
        transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://gateway") as client:
            client.headers["x-planted"] = HEADER
            statuses = [
                await post(client, model="default", messages=MESSAGES),
                await post(client, model="auto", messages=MESSAGES),
                await post(client, model="default", messages=HISTORY, tools=[TOOL]),
                await post(client, model="broken", messages=MESSAGES),
            ]
            app.state.gateway.route = fault
            statuses.append(await post(client, model="default", messages=MESSAGES))
            assert statuses == [200, 200, 200, 502, 500]


async def post(client: httpx2.AsyncClient, **body: Any) -> int:
    response = await client.post("/v1/chat/completions", json=body)
    return int(response.status_code)


def fault(model: str) -> None:
    try:
        raise ValueError(BROKEN)
    except ValueError as cause:
        raise RuntimeError(f"a defect that quotes {ASKED}") from cause


async def rows_of(url: str) -> str:
    """Every row of every table as text."""
    database = Database(url)

    def work(connection: Connection) -> str:
        metadata = MetaData()
        metadata.reflect(connection)
        return str([connection.execute(select(table)).all() for table in metadata.sorted_tables])

    try:
        return await database.read(work)
    finally:
        await database.close()


def test_the_structure_of_a_trace_stays() -> None:
    whole = Trace(
        problem_id="p",
        route="r",
        steps=(
            Step(role="strong", text="t", tokens=3, score=0.5, decision=Accept(), rejected="u", rejected_score=0.1),
        ),
        answer="42",
        outcome=Outcome.FAILED,
        account=(),
        latency_s=1.0,
        seed=0,
        error="the server said: t",
        at_fault="weak",
        notes=("the question says 't'",),
        fallbacks=(Fallback(role="prm", reason="t"),),
    )
    kept = without_texts(whole)
    (step,) = kept.steps
    assert (step.role, step.tokens, step.score, step.decision, step.rejected_score) == ("strong", 3, 0.5, Accept(), 0.1)
    assert (step.text, step.rejected, kept.answer, kept.notes) == ("", "", "", ())
    assert (kept.outcome, kept.at_fault, kept.fallbacks[0].role) == (Outcome.FAILED, "weak", "prm")
    assert json.dumps([kept.error, kept.fallbacks[0].reason]).count("not kept") == 2
