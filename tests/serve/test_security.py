"""What strangers send, and what must never come back to them or be kept."""

import asyncio
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.backends.http.hostile import Asked, Fault
from tests.paid_servers import PaidServer, served
from tests.serve.attacked import UPSTREAM_KEY, AttackedGateway, attacked, body

MARKUP = "</script><script>alert(1)</script>\x1b[31m\x1b]0;title\x07\r\n\x00\u202e"
CONTROL = re.compile(rb"[\x00-\x09\x0b-\x1f\x7f]")


class MarkupServer(PaidServer):
    """Its models say what terminals and browsers act upon, and its errors repeat the key that they were sent."""

    def _pieces(self, said: str, stops: bool, one_step: bool) -> list[str | None]:
        return [MARKUP, "\\boxed{2}"] if "markup" in said else super()._pieces(said, stops, one_step)

    async def _send(self, writer: asyncio.StreamWriter, status: int, body: object, headers: str = "") -> bool:
        if status == 500:
            body = {"error": {"message": f"wrong key {UPSTREAM_KEY}{MARKUP}", "type": "x", "key": UPSTREAM_KEY}}
        return await super()._send(writer, 401 if status == 500 else status, body, headers)


def _refuse_keys(request: Asked) -> Fault | None:
    return Fault.SERVER_ERROR if "refused" in json.dumps(request.body) else None


@pytest.fixture(scope="module")
def models() -> Iterator[MarkupServer]:
    server = MarkupServer()
    server.decide = _refuse_keys
    with served(server):
        yield server


@pytest.fixture(scope="module")
def gateway(models: MarkupServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AttackedGateway]:
    with attacked(tmp_path_factory.mktemp("attacked"), models.url) as running:
        yield running
        assert "Traceback" not in running.log


def post(gateway: AttackedGateway, content: Any, path: str = "/v1/chat/completions", key: str = "") -> httpx2.Response:
    headers = {"authorization": f"Bearer {key or gateway.key}", "content-type": "application/json"}
    return httpx2.post(gateway.url + path, content=content, headers=headers, timeout=60)


def memory_mb(gateway: AttackedGateway) -> float:
    """The most that the process has ever held."""
    status = Path(f"/proc/{gateway.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1000  # type: ignore[index]


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_of_100_mb_is_refused_and_not_held(gateway: AttackedGateway, declared: bool) -> None:
    before = memory_mb(gateway)
    blocks = (b"x" * 1_000_000 for _ in range(100))
    try:
        response = post(gateway, b"x" * 100_000_000 if declared else blocks)
        assert response.status_code == 413
    except httpx2.WriteError:
        pass  # the connection was closed before all was sent
    assert memory_mb(gateway) < before + 60


def nested(kind: str, depth: int) -> bytes:
    return b"[" * depth + b"]" * depth if kind == "list" else b'{"a":' * depth + b"1" + b"}" * depth


@pytest.mark.parametrize("depth", [500, 100_000])
@pytest.mark.parametrize("kind", ["list", "object"])
@pytest.mark.parametrize("field", ["messages", "content", "metadata", "response_format", "tools", "steproute", "stop"])
def test_deeply_nested_json_does_no_harm(gateway: AttackedGateway, field: str, kind: str, depth: int) -> None:
    deep = nested(kind, depth)
    if field == "content":
        sent = b'{"model": "cheap", "messages": [{"role": "user", "content": ' + deep + b"}]}"
    else:
        sent = b'{"model": "steps", "messages": [{"role": "user", "content": "What is 2?"}], "' + field.encode()
        sent += b'": ' + deep + b"}"
    passes = (field, kind, depth) == ("response_format", "object", 500)  # a schema, for the model's server to judge
    assert post(gateway, sent).status_code == (200 if passes else 400)


TURN = {"role": "user", "content": [{"type": "text", "text": "What is 2?"}]}
CALL = {
    "role": "assistant",
    "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
STREAM = {"stream": False, "stream_options": {"include_usage": True}, "temperature": 1.0}
REQUESTS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {
        "messages": [
            {"role": "system", "content": "x"},
            TURN,
            CALL,
            {"role": "tool", "tool_call_id": "1", "content": "y"},
        ],
        "max_tokens": 9,
        "stop": ["x"],
        "tools": [TOOL],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "response_format": {"type": "text"},
        "steproute": {"max_cost_usd": 0.001, "deadline_s": 9.0, "seed": 1},
        "seed": 1,
        "metadata": {"a": "b"},
        **STREAM,
    },
    "/v1/completions": {"prompt": "What is 2?", "max_tokens": 9, "stop": "x", "seed": 1, **STREAM},
    "/v1/responses": {
        "input": [{"role": "user", "content": [{"type": "input_text", "text": "What is 2?"}]}],
        "instructions": "x",
        "max_output_tokens": 9,
        "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}],
        "text": {"format": {"type": "text"}},
        "reasoning": {"effort": "low"},
        "stream": False,
    },
    "/v1/messages": {
        "messages": [TURN],
        "system": [{"type": "text", "text": "x"}],
        "max_tokens": 9,
        "tools": [{"name": "f", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "auto"},
        "stop_sequences": ["x"],
        "stream": False,
    },
    "/v1/simulate": {"messages": [TURN]},
}
JUNK: tuple[Any, ...] = (None, -1, 1.5, True, "", "x", [], {}, [5], [[]], [None], {"a": {}}, 10**30)


def mutations(value: Any) -> Iterator[Any]:
    """The value with junk in each of its places, one at a time."""
    yield from JUNK
    places = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for place, inner in places:
        for other in mutations(inner):
            changed = value.copy()
            changed[place] = other
            yield changed


@pytest.mark.parametrize("path", REQUESTS)
def test_junk_in_any_field_is_no_fault_of_the_gateway(gateway: AttackedGateway, path: str) -> None:
    """A part of all requests that differ from a valid one in one place. 502 is a fault of the model's server."""
    valid = {"model": "talks"} | REQUESTS[path]
    every = 1 if path == "/v1/simulate" else 7
    with httpx2.Client(headers={"authorization": f"Bearer {gateway.key}"}, timeout=60) as client:
        for number, changed in enumerate(mutations(valid)):
            if number % every == 0:
                response = client.post(gateway.url + path, json=changed)
                assert response.status_code not in (500, 503), (changed, response.text)


def exchange(gateway: AttackedGateway, sent: bytes) -> bytes:
    """What comes back until the connection is closed."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=30) as connection:
        received = b""
        try:
            connection.sendall(sent)
            while block := connection.recv(65536):
                received += block
        except ConnectionError:
            pass  # closed while we sent
        return received


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * 3_000_000 + b" HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\nx: " + b"a" * 3_000_000 + b"\r\n",
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 500_000,
        b"GET / HTTP/1.1\r\n" + b"a" * 3_000_000,
    ],
    ids=["long path", "long header", "many headers", "long name"],
)
def test_a_flood_of_headers_is_cut_off(gateway: AttackedGateway, head: bytes) -> None:
    before = memory_mb(gateway)
    received = exchange(gateway, head)  # no empty line follows, so nothing but the limit ends it
    assert received == b"" or received.startswith(b"HTTP/1.1 4")
    assert memory_mb(gateway) < before + 20
    assert gateway.answers()


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00",
        b"GET\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x00" * 999,
        b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: -5\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused(gateway: AttackedGateway, sent: bytes) -> None:
    assert exchange(gateway, sent).startswith(b"HTTP/1.1 4")


PATHS = """/v1/..%2fmetrics /v1/../v1/models //v1/models /v1//models /V1/MODELS /v1/models/ /v1/models/%00
/v1/models/..%2f..%2fhealthz /v1/models/%2e%2e /v1/models/%ff%fe /v1/models;x=1 /v1%2fmodels
/v1/models/steproute%252fcheap /v1/models?key=x /v1/chat%2fcompletions /%1b[31m"""


@pytest.mark.parametrize("path", PATHS.split())
def test_no_spelling_of_a_path_passes_the_keys(gateway: AttackedGateway, path: str) -> None:
    received = exchange(gateway, f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
    assert received.split()[1] in (b"400", b"401", b"404", b"405", b"307")
    assert b"steproute/cheap" not in received


def test_a_route_is_found_by_its_exact_name_only(gateway: AttackedGateway) -> None:
    for name, status in (
        ("steproute%2fcheap", 200),
        ("cheap", 200),
        ("Cheap", 404),
        ("..%2fcheap", 404),
        ("a/cheap", 404),
    ):
        headers = {"authorization": f"Bearer {gateway.key}"}
        assert httpx2.get(f"{gateway.url}/v1/models/{name}", headers=headers).status_code == status


def test_a_trace_belongs_to_its_tenant(gateway: AttackedGateway) -> None:
    trace_id = post(gateway, json.dumps(body(2))).json()["id"]
    gateway.new_key("stranger")
    assert gateway.in_store(lambda store: store.traces.get(trace_id, "payer")) is not None
    assert gateway.in_store(lambda store: store.traces.get(trace_id, "stranger")) is None
    assert gateway.in_store(lambda store: store.traces.newest("stranger")) == []


def test_markup_and_escapes_are_data(gateway: AttackedGateway) -> None:
    for stream in (False, True):
        sent = {
            **body(2, "cheap", stream=stream),
            "messages": [{"role": "user", "content": f"What is 2? {MARKUP} markup"}],
        }
        response = post(gateway, json.dumps(sent))
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream" if stream else "application/json")
        assert not CONTROL.search(response.content)
        assert MARKUP in _text(response.text, stream)
    for name, value in (("model", MARKUP), ("user", MARKUP), (MARKUP, MARKUP)):
        assert not CONTROL.search(post(gateway, json.dumps({**body(2), name: value})).content)


def _text(answer: str, stream: bool) -> str:
    if not stream:
        return str(json.loads(answer)["choices"][0]["message"]["content"])
    chunks = [json.loads(line[6:]) for line in answer.split("\n") if line.startswith("data: {")]
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk["choices"])


def test_no_log_line_holds_control_characters(gateway: AttackedGateway) -> None:
    httpx2.get(f"{gateway.url}/v1/models/%1b%5b31m%0d%0aforged", headers={"authorization": f"Bearer {gateway.key}"})
    post(gateway, json.dumps(body(2)), key="steproute_%1b_x")
    post(gateway, json.dumps({**body(2), "messages": [{"role": "user", "content": f"What is 2? refused {MARKUP}"}]}))
    assert not CONTROL.search(gateway.log.encode())
    assert "forged" not in gateway.log


@pytest.mark.parametrize("model", ["cheap", "steps"])
@pytest.mark.parametrize("stream", [True, False])
def test_no_key_is_ever_said_or_kept(gateway: AttackedGateway, models: MarkupServer, model: str, stream: bool) -> None:
    refused = {**body(2, model, stream=stream), "messages": [{"role": "user", "content": "What is 2? refused"}]}
    said = post(gateway, json.dumps(refused)).text
    assert "error" in said
    assert any(UPSTREAM_KEY in request.head for request in models.asked)
    said += post(gateway, json.dumps(body(2)), key=gateway.key[:-1]).text
    said += httpx2.get(gateway.url + "/metrics").text + httpx2.get(gateway.url + "/readyz").text + gateway.log
    kept = b"".join(path.read_bytes() for path in gateway.folder.glob("gateway.db*"))
    secret = gateway.key.split("_", 2)[2]
    for planted in (UPSTREAM_KEY, gateway.key, secret):
        assert planted not in said
        assert planted.encode() not in kept


@pytest.mark.long
def test_schemathesis_finds_no_fault(gateway: AttackedGateway) -> None:
    """Hundreds of requests to every path. Of the models' server, 502 is no fault of the gateway."""
    program = shutil.which("schemathesis", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if program is None:
        pytest.skip("needs schemathesis on the path (pip install schemathesis)")
    command = [program, "run", gateway.url + "/openapi.json", "--header", f"authorization: Bearer {gateway.key}"]
    command += ["--checks", "not_a_server_error,content_type_conformance", "--suppress-health-check", "filter_too_much"]
    command += ["--max-examples", "100", "--generation-deterministic", "--continue-on-failure"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=gateway.folder)
    print(done.stdout)
    assert done.returncode == 0, done.stdout
