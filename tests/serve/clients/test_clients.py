"""Other clients than OpenAI's and Anthropic's Python ones, over real sockets (make test-clients)."""

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.serve.gateway_page import examples
from tests.serve.paid_gateway import ASK, PaidGateway
from tests.serve.running import PROBLEM, RunningGateway

import steproute

pytestmark = pytest.mark.clients
HERE = Path(__file__).parent
TOOL = {
    "name": "add",
    "description": "Adds.",
    "parameters": {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}},
}
OPENAI, AI_SDK, ANTHROPIC, LANGCHAIN = CLIENTS = (
    "openai_client.mjs",
    "ai_sdk_client.mjs",
    "anthropic_client.mjs",
    "langchain_client.py",
)
each_client = pytest.mark.parametrize("client", CLIENTS)


@pytest.fixture(scope="session")
def installed() -> Path:
    """Where install.sh puts the clients."""
    home = subprocess.run([HERE / "install.sh"], check=True, capture_output=True, text=True).stdout.strip()
    return Path(home)


Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(installed: Path) -> Run:
    """Run one action of a client in a process of its own, and return what it reports."""

    def run(client: str, action: str, **given: Any) -> dict[str, Any]:
        given = {"action": action, "fields": {}, "settings": {}, **given}
        python = client.endswith(".py")
        command = [installed / "python/bin/python", "-"] if python else ["node", "--input-type=module"]
        # The code comes by standard input, so that it finds the packages of the folder it runs in.
        done = subprocess.run(
            command,
            input=(HERE / client).read_text(),
            cwd=installed,
            env={"PATH": os.environ["PATH"], "GIVEN": json.dumps(given)},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return report

    return run


def of_lab(gateway: RunningGateway) -> dict[str, Any]:
    return {"v1": f"{gateway.url}/v1", "key": "none", "model": "steproute/default", "text": PROBLEM}


def of(paid: PaidGateway, tenant: str, model: str) -> dict[str, Any]:
    return {"v1": paid.v1, "key": paid.keys[tenant], "model": model, "text": ASK[0]["content"]}


def seeded(client: str) -> dict[str, Any]:
    """A seed as this client sends it."""
    return {"seed": 7} if client in (AI_SDK, OPENAI) else {"steproute": {"seed": 7}}


@each_client
def test_a_chat_and_a_stream_give_the_text_of_solve(lab_gateway: RunningGateway, run: Run, client: str) -> None:
    given = {**of_lab(lab_gateway), "fields": seeded(client)}
    solution = steproute.solve(PROBLEM, seed=7)
    assert run(client, "chat", **given) == {"text": solution.text, "outcome": "answered"}
    report = run(client, "stream", **given)
    assert ("".join(report["pieces"]), len(report["pieces"])) == (solution.text, len(solution.steps))
    assert report.get("tokens", 1) > 0


@pytest.mark.parametrize("client", [OPENAI, LANGCHAIN])
def test_the_responses_api_gives_the_text_of_solve(lab_gateway: RunningGateway, run: Run, client: str) -> None:
    report = run(client, "responses", **of_lab(lab_gateway), fields={"steproute": {"seed": 7}})
    assert report == {"text": steproute.solve(PROBLEM, seed=7).text}


def test_the_older_completions_give_the_text_of_solve(lab_gateway: RunningGateway, run: Run) -> None:
    report = run(OPENAI, "completions", **of_lab(lab_gateway), fields={"seed": 7})
    assert report == {"text": steproute.solve(PROBLEM, seed=7).text}


def test_the_example_of_the_docs_gives_the_answer(lab_gateway: RunningGateway, installed: Path) -> None:
    (example,) = examples("js", lab_gateway.url)
    command = ["node", "--input-type=module"]
    done = subprocess.run(command, input=example, cwd=installed, check=True, capture_output=True, text=True)
    assert "So the answer is" in done.stdout


@each_client
def test_a_call_of_a_tool_arrives_whole(paid: PaidGateway, run: Run, client: str) -> None:
    assert run(client, "tool", **of(paid, "open", "default"), tool=TOOL) == {
        "name": "add",
        "arguments": {"a": 2, "b": 3},
    }


@each_client
def test_no_client_tries_again_when_the_budget_is_spent(paid: PaidGateway, run: Run, client: str) -> None:
    before = paid.refused(402)
    report = run(client, "chat", **of(paid, "spent", "strong"))
    assert (report["status"], paid.refused(402) - before) == (402, 1)
    assert report["code"] == ("billing_error" if client == ANTHROPIC else "budget_exceeded")


@each_client
def test_a_model_that_failed_is_tried_again_by_the_ai_sdk_alone(paid: PaidGateway, run: Run, client: str) -> None:
    before, asked = paid.refused(502), len(paid.upstream.asked)
    report = run(client, "chat", **of(paid, "open", "broken"))
    tries = 3 if client == AI_SDK else 1
    assert (report["status"], paid.refused(502) - before) == (502, tries)
    assert len(paid.upstream.asked) - asked == tries


@each_client
def test_every_client_tries_twice_more_while_money_is_held(paid: PaidGateway, run: Run, client: str) -> None:
    holding = paid.gateway.client(paid.keys["busy"]).chat.completions.create(model="slow", messages=ASK, stream=True)
    with holding as stream:
        next(iter(stream))
        before = paid.refused(429)
        report = run(client, "chat", **of(paid, "busy", "strong"))
        assert (report["status"], paid.refused(429) - before) == (429, 3)


@each_client
def test_a_client_that_does_not_wait_cancels_the_call(paid: PaidGateway, run: Run, client: str) -> None:
    before = len(paid.upstream.asked)
    report = run(client, "chat", **of(paid, "open", "slow"), settings={"timeout": 2000, "maxRetries": 0})
    assert "imeout" in report["error"]
    (asked,) = paid.upstream.asked[before:]
    _until(lambda: asked.closed_by_client)


@each_client
def test_all_but_the_ai_sdk_repeat_what_they_stopped_waiting_for(paid: PaidGateway, run: Run, client: str) -> None:
    before = paid.refused(499)
    assert "imeout" in run(client, "chat", **of(paid, "open", "slow"), settings={"timeout": 1500})["error"]
    _until(lambda: paid.refused(499) - before == (1 if client == AI_SDK else 3))


@each_client
def test_a_stream_that_is_left_cancels_the_call(paid: PaidGateway, run: Run, client: str) -> None:
    before = len(paid.upstream.asked)
    assert run(client, "leave", **of(paid, "open", "slow")) == {"text": "It is "}
    (asked,) = paid.upstream.asked[before:]
    _until(lambda: asked.closed_by_client)


def _until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.05)
