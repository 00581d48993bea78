"""An outage that a run falls back on is said everywhere, and mended by the same command."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from tests.backends.http.hostile import Asked, Fault
from tests.cli.answering import served
from tests.cli.timeless import timeless
from tests.paid_servers import PaidServer, write_setup
from typer.testing import CliRunner

from steproute.cli.main import app
from steproute.engine.trace_file import read_traces

PROBLEMS = 5
LIMITS = """
[limits]
retries = 0
on_weak_failure = "strong"
on_strong_failure = "accept"
on_scorer_failure = "accept"
"""
OWN = ("--config", "steproute.toml", "--data", "own.jsonl")
ROUTED = "stepwise/threshold=0.5"


class Outage(PaidServer):
    """down: the model whose steps from a routed solution's prefix are refused, and with which status."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.status = "", 500
        self.decide = self._decide

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.CancelledError):  # its clients keep their connections
            await super()._serve(reader, writer)

    def _decide(self, request: Asked) -> Fault | None:
        routed = request.path.endswith("/pooling") or bool(request.body.get("stop"))
        return Fault.SERVER_ERROR if routed and request.body.get("model") == self.down else None

    async def _send(self, writer: Any, status: int, body: object, headers: str = "") -> bool:
        return await super()._send(writer, self.status if status == 500 else status, body, headers)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Outage]:
    monkeypatch.chdir(tmp_path)
    server = Outage()
    with served(server) as url:
        write_setup(tmp_path, url, PROBLEMS, 0.05)
        Path("steproute.toml").write_text(Path("steproute.toml").read_text() + LIMITS)
        yield server


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def good(*words: str) -> str:
    result = run(*words)
    assert result.exit_code == 0, (result.output, result.exception)
    return " ".join(result.stdout.split())


def evaluate(name: str, *words: str) -> str:
    return good("eval", *OWN, "--knobs", "0.5", "--baselines", "", "--name", name, *words)


def summary(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(f"runs/{name}/summary.json").read_text())
    return found


def same(first: str, second: str) -> None:
    """Two runs say the same, whatever happened on the way."""
    one, other = (timeless(summary(name)) for name in (first, second))
    assert one.pop("spent_usd") == pytest.approx(other.pop("spent_usd"))
    assert one == other


@pytest.mark.parametrize("role", ["weak", "strong", "prm"])
def test_an_outage_is_reported_and_the_same_command_repairs_it(server: Outage, role: str) -> None:
    evaluate("undisturbed")
    server.down = role
    shown = evaluate("own")
    found = summary("own")
    assert found["failed"] == 0
    assert 0 < max(group["count"] for group in found["fallbacks"]) <= found["fell_back"] <= PROBLEMS
    assert {group["role"] for group in found["fallbacks"]} == {role}
    assert {group["route"] for group in found["fallbacks"]} == {ROUTED}
    assert f"{found['fell_back']} solutions fell back" in shown
    assert "The same command tries them again" in shown
    assert f"× {role}: " in shown
    assert "Why solutions fell back" in Path("runs/own/report.html").read_text()
    server.down = ""
    assert f"{found['fell_back']} solutions fell back" in evaluate("own", "--keep-failed")
    assert f"{found['fell_back']} of 15 solutions are missing" in evaluate("own", "--estimate")
    assert "fell back" not in evaluate("own")
    assert summary("own")["interrupted_usd"] > 0
    assert "fell back" not in Path("runs/own/report.html").read_text()
    same("own", "undisturbed")
    asked = len(server.asked)
    evaluate("own")
    assert len(server.asked) == asked


def test_compare_tries_what_fell_back_again(server: Outage) -> None:
    words = ("compare", *OWN, "--policies", "threshold,threshold+takeover", "--resamples", "100")
    good(*words, "--name", "undisturbed")
    server.down = "strong"
    assert "solutions fell back" in good(*words, "--name", "own")
    server.down = ""
    assert "solutions fell back" not in good(*words, "--name", "own")
    same("own", "undisturbed")


def test_a_wrong_key_fails_the_problem_despite_fallbacks(server: Outage) -> None:
    server.down, server.status = "strong", 401
    shown = evaluate("own")
    found = summary("own")
    assert found["failed"] > 0
    assert (found["fell_back"], found["fallbacks"]) == (0, [])
    assert "strong: BackendError: strong: status 401" in shown
    assert not any(trace.fallbacks for trace in read_traces(Path("runs/own/traces.jsonl.zst")))
