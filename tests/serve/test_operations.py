"""What an operator reads: one log line per request, and metrics that Prometheus's own parser reads."""

import asyncio
import json
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.serve.running import PROBLEM, RunningGateway, gateway
from tests.serve.test_chat import ASK
from typer.testing import CliRunner

from steproute.cli.main import app as cli
from steproute.config import read_setup
from steproute.serve.app import application
from steproute.serve.logs import JsonLines

SECRET = "sk-secret-of-the-client"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with gateway(tmp_path_factory.mktemp("gateway")) as started:
        yield started


def request_lines(running: RunningGateway, count: int) -> list[dict[str, Any]]:
    """The newest lines of requests, once there are so many."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        lines = [json.loads(line) for line in running.log.read_text().splitlines() if line.startswith("{")]
        if len(found := [line for line in lines if line["message"] == "request"]) >= count:
            return found[-count:] if count else found
        time.sleep(0.05)
    raise AssertionError(f"no {count} lines of requests")


def request_line(running: RunningGateway, **field: str) -> dict[str, Any]:
    """The line of the request that has this field, once it is there."""
    ((name, value),) = field.items()
    until = time.monotonic() + 10
    while time.monotonic() < until:
        if found := [line for line in request_lines(running, 0) if line[name] == value]:
            return found[0]
        time.sleep(0.05)
    raise AssertionError(f"no line with {name} = {value}")


def families(running: RunningGateway) -> dict[str, Any]:
    return {family.name: family for family in text_string_to_metric_families(running.get("/metrics").text)}


def samples(running: RunningGateway, name: str) -> dict[tuple[str, ...], float]:
    """The values of a family by those of its labels, which are in alphabetical order."""
    return {
        tuple(each.labels[label] for label in sorted(each.labels)): each.value
        for each in families(running)[name].samples
    }


def test_a_request_is_one_line_with_its_price(running: RunningGateway) -> None:
    response = running.client(SECRET).chat.completions.with_raw_response.create(model="default", messages=ASK, seed=1)
    body = json.loads(response.content)
    line = request_line(running, trace_id=body["id"])
    assert line["request_id"] == response.headers["x-request-id"]
    assert line["trace_id"] == body["id"]
    assert line["cost_usd"] == body["steproute"]["cost_usd"]
    assert line["input_tokens"] == body["usage"]["prompt_tokens"]
    assert line["output_tokens"] == body["usage"]["completion_tokens"]
    assert (line["tenant"], line["route"], line["outcome"], line["status"]) == ("local", "default", "answered", 200)
    assert 0 < line["first_step_s"] <= line["seconds"]


def test_a_stream_is_one_line_too(running: RunningGateway) -> None:
    chunks = list(running.client().chat.completions.create(model="weak", messages=ASK, seed=1, stream=True))
    line = request_line(running, trace_id=chunks[0].id)
    assert (line["trace_id"], line["route"], line["outcome"]) == (chunks[0].id, "weak", "completed")


def test_a_refusal_is_a_line_with_its_code(running: RunningGateway) -> None:
    refused = running.get("/v1/models/nothing", SECRET)
    line = request_line(running, request_id=refused.headers["x-request-id"])
    assert (line["outcome"], line["status"], line["error"]) == ("refused", 404, "model_not_found")


def test_probes_are_no_lines(running: RunningGateway) -> None:
    before = running.log.read_text()
    for path in ("/healthz", "/readyz", "/metrics"):
        running.get(path)
    assert running.log.read_text() == before


def test_logs_hold_neither_prompts_nor_keys(running: RunningGateway) -> None:
    reply = running.client(SECRET).chat.completions.create(model="default", messages=ASK, seed=1)
    request_line(running, trace_id=reply.id)
    assert "coins" not in running.log.read_text()
    assert SECRET not in running.log.read_text()


def test_metrics_follow_prometheus_conventions(running: RunningGateway) -> None:
    """A prefix, base units, counters in `_total` (which the parser takes off), and a help text for each."""
    for name, family in families(running).items():
        assert re.fullmatch(r"steproute_[a-z]+(_[a-z]+)*", name), name
        assert family.documentation, name
        assert not re.search(r"_(count|sum|bucket|total|milliseconds|ms|minutes)$", name), name
        if family.type == "histogram" and name != "steproute_step_score":
            assert name.endswith("_seconds"), name


def test_metrics_count_what_an_answer_used(running: RunningGateway) -> None:
    before = samples(running, "steproute_cost_usd")
    body = running.client().chat.completions.create(model="strong", messages=ASK, seed=1).model_extra["steproute"]
    request_line(running, trace_id=body["trace_id"])
    after, key = samples(running, "steproute_cost_usd"), ("strong", "strong", "local")
    assert after[key] - before.get(key, 0.0) == pytest.approx(float(body["cost_usd"]))
    first = families(running)["steproute_first_step_seconds"].samples
    assert sum(each.value for each in first if each.name.endswith("_count") and each.labels["route"] == "strong") == 1


def test_metrics_count_what_a_worker_holds_open(running: RunningGateway) -> None:
    def connections() -> float:
        """One of them may be that of this very request."""
        (value,) = samples(running, "steproute_open_connections").values()
        return value

    until, address = time.monotonic() + 60, ("127.0.0.1", int(running.url.rpartition(":")[2]))
    with ExitStack() as opened:
        for _ in range(5):
            opened.enter_context(socket.create_connection(address))
        while (most := connections()) < 5 and time.monotonic() < until:
            time.sleep(0.2)
    while (least := connections()) > 1 and time.monotonic() < until:
        time.sleep(0.2)
    assert most >= 5
    assert least <= 1
    assert all(value > 0 for value in samples(running, "steproute_tasks").values())


def test_metrics_say_what_each_tenant_has_left(tmp_path: Path) -> None:

    database = f"sqlite:///{tmp_path / 'gateway.db'}"
    made = CliRunner().invoke(
        cli,
        ["tenants", "create", "research", "--usd-per-day", "5", "--tokens-per-month", "900", "--database", database],
    )
    assert made.exit_code == 0, made.output
    with gateway(tmp_path) as running:
        assert samples(running, "steproute_budget_left_usd") == {("research", "day"): 5.0}
        assert samples(running, "steproute_budget_left_tokens") == {("research", "month"): 900.0}
        assert samples(running, "steproute_ledger_up") == {(): 1.0}
        assert samples(running, "steproute_unaccounted_usd") == {(): 0.0}


def test_the_breaker_of_a_dead_server_is_open(tmp_path: Path) -> None:
    config = tmp_path / "steproute.toml"
    dead = 'backend = "openai"\nkind = "openai"\nbase_url = "http://127.0.0.1:9/v1"\nmodel = "m"\n'
    limiter = "limiter = { failures_to_open = 1, cooldown_s = 60 }\n"
    config.write_text(
        f'[models.weak]\n{dead}continuation = "instruct"\n{limiter}'
        f'[models.strong]\n{dead}continuation = "instruct"\n'
        '[route]\npolicy = "random"\n[limits]\nretries = 0\n'
    )
    with gateway(tmp_path, "--config", str(config)) as running:
        assert samples(running, "steproute_breaker_open")[("strong", "http://127.0.0.1:9")] == 0
        reply = running.client(max_retries=0).chat.completions.with_raw_response
        with pytest.raises(Exception, match="502"):
            reply.create(model="strong", messages=[{"role": "user", "content": PROBLEM}])
        assert samples(running, "steproute_breaker_open")[("strong", "http://127.0.0.1:9")] == 1
        assert samples(running, "steproute_requests")[("failed", "strong")] == 1
        assert samples(running, "steproute_refused_requests") == {}
        (line,) = request_lines(running, 1)
        assert (line["level"], line["status"], line["outcome"]) == ("error", 502, "failed")
        assert (line["error"], line["at_fault"]) == ("upstream_failed", "strong")
        assert line["trace_id"].startswith("chatcmpl-")


def test_a_fault_of_the_gateway_is_logged_under_the_id_that_the_client_gets(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(model: str) -> None:
        raise RuntimeError("a defect")

    async def asked() -> httpx2.Response:
        app = application(read_setup(None), f"sqlite:///{tmp_path / 'gateway.db'}")
        async with app.router.lifespan_context(app):
            app.state.gateway.route = broken
            transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
            async with httpx2.AsyncClient(transport=transport, base_url="http://gateway") as client:
                return await client.post("/v1/chat/completions", json={"model": "default", "messages": ASK})

    caplog.handler.setFormatter(JsonLines())
    with caplog.at_level("INFO", logger="steproute"):
        response = asyncio.run(asked())
    lines = [json.loads(line) for line in caplog.text.splitlines()]
    (request,) = [line for line in lines if line["message"] == "request"]
    (fault,) = [line for line in lines if "exception" in line]
    assert response.status_code == request["status"] == 500
    assert request["outcome"] == "error"
    assert response.headers["x-request-id"] == request["request_id"] == fault["request_id"]
    assert "a defect" not in response.text
    assert "a defect" in fault["exception"]


def test_metrics_are_those_of_all_workers_but_the_dead(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    with gateway(tmp_path, "--workers", "2", environment={"PROMETHEUS_MULTIPROC_DIR": str(shared)}) as running:
        for _ in range(4):
            httpx2.post(f"{running.url}/v1/chat/completions", json={"model": "weak", "messages": ASK})
        request_lines(running, 4)
        until = time.monotonic() + 60
        while len(workers := in_flight_files(shared)) < 2 and time.monotonic() < until:
            time.sleep(0.05)
        assert (counted := samples(running, "steproute_requests"))[("completed", "weak")] == 4
        os.kill(killed := min(workers), signal.SIGKILL)
        while killed in in_flight_files(shared) and time.monotonic() < until:
            families(running)
        assert killed not in in_flight_files(shared)
        replaced = f"worker {killed} was killed by SIGKILL (exit status -9); worker "
        while replaced not in running.log.read_text() and time.monotonic() < until:
            time.sleep(0.05)
        assert replaced in running.log.read_text()
        assert samples(running, "steproute_requests") == counted


def in_flight_files(folder: Path) -> set[int]:
    """The processes that have said how many requests they work on."""
    return {int(file.stem.rpartition("_")[2]) for file in folder.glob("gauge_livesum_*.db")}
