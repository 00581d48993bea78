"""Every template of `steproute init` is read as the product reads it, down to each table's settings, and works."""

import asyncio
import re
from math import log
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.backends.http.hostile import Asked
from tests.backends.http.judging import JudgingServer
from tests.patients import Claude, Patient, adds_up
from typer.testing import CliRunner

from steproute import Episode, Outcome, Problem
from steproute.backends.llama_cpp import model as llama_cpp
from steproute.cli.init import TEMPLATES
from steproute.cli.main import app
from steproute.config import ConfigFile, read_config, read_setup
from steproute.core.errors import ConfigError
from steproute.doctor import Finding, Severity, examine
from steproute.serve.gateway import served_routes

ROLES = {
    "lab": ("weak", "strong", "prm"),
    "vllm": ("weak", "strong", "prm"),
    "three": ("weak", "mid", "strong", "prm"),
    "hosted": ("weak", "strong"),
    "openrouter": ("weak", "strong", "prm"),
    "gateway": ("weak", "strong", "prm"),
    "openai": ("weak", "strong", "prm"),
    "anthropic": ("weak", "strong", "prm"),
    "llama.cpp": ("weak", "strong"),
}
REMOTE = [name for name in TEMPLATES if name not in ("lab", "llama.cpp")]


def test_every_template_is_listed_here() -> None:
    assert tuple(ROLES) == TEMPLATES


def written(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that `init` makes of a template, with its keys set and any model's file at hand."""
    path = folder / "steproute.toml"
    result = CliRunner().invoke(app, ["init", "--template", name, "--out", str(path)])
    assert result.exit_code == 0, result.output
    for variable in re.findall(r'^(?:# )?api_key_env = "(.*)"$', path.read_text(), re.MULTILINE):
        monkeypatch.setenv(variable, "sk-of-a-test")
    monkeypatch.setattr(llama_cpp, "Gguf", _loaded)
    return path


@pytest.fixture(params=TEMPLATES)
def template(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Path]:
    """A template's name and the file that `init` makes of it."""
    return request.param, written(request.param, tmp_path, monkeypatch)


def _loaded(path: str, *, n_ctx: int, threads: int, gpu_layers: int, sessions: int) -> SimpleNamespace:
    return SimpleNamespace(template=object())


def build(path: Path) -> ConfigFile:
    config = read_config(path)
    config.roles()
    config.route.strategy_at(0)
    return config


def test_a_template_is_a_configuration(template: tuple[str, Path]) -> None:
    name, path = template
    tables = build(path).tables
    assert (*tables["models"], *tables["scorers"]) == ROLES[name]
    assert all("price" in table for part in tables.values() for table in part.values())


def test_unknown_fields_are_rejected_in_every_table_of_a_template(template: tuple[str, Path]) -> None:
    _, path = template
    text = path.read_text()
    headers = re.findall(r"^\[.+\]$", text, re.MULTILINE)
    assert len(headers) >= 3
    for header in headers:
        path.write_text(text.replace(header, f"{header}\ncolour = 3", 1))
        with pytest.raises(ConfigError, match="colour"):
            build(path)


class Hosted(JudgingServer, Patient):
    """A healthy server of every model, which judges steps too and gives log-probabilities in chats."""

    def __init__(self, models: set[str]) -> None:
        Patient.__init__(self)
        self.words, self.gives_logprobs, self.models = None, True, models

    def _verdict(self, request: Asked, right: bool) -> bytes:
        step = request.body["messages"][0]["content"].rpartition("<step>")[2].partition("</step>")[0]
        return super()._verdict(request, adds_up(step))

    def _event(self, request: Asked, piece: str, **ending: Any) -> bytes:
        if "messages" in request.body and request.body.get("logprobs") and piece:
            top = [{"token": piece, "logprob": log(0.9)}, {"token": "Hm", "logprob": log(0.1)}]
            ending["logprobs"] = {"content": [{"token": piece, "logprob": log(0.9), "top_logprobs": top}]}
        return super()._event(request, piece, **ending)

    async def _get(self, request: Asked, writer: asyncio.StreamWriter) -> bool:
        return await self._send(writer, 200, {"data": [{"id": each, "max_model_len": 8192} for each in self.models]})


class Messages(Claude):
    """A healthy server of the Messages API that lists the template's model."""

    async def _get(self, request: Asked, writer: asyncio.StreamWriter) -> bool:
        listed = [{"type": "model", "id": "claude-sonnet-5", "max_input_tokens": 200000}]
        return await self._send(writer, 200, {"data": listed, "has_more": False})


def over_stand_ins(path: Path) -> tuple[list[Finding], Outcome, set[str]]:
    """What doctor finds, how a problem ends, and which roles are on its bill, with servers on loopback."""
    text = path.read_text()
    hosted, claude = Hosted(set(re.findall(r'^model = "(.*)"$', text, re.MULTILINE))), Messages()

    def served(match: re.Match[str]) -> str:
        return f'base_url = "{claude.url.removesuffix("/v1") if "anthropic" in match[1] else hosted.url}"'

    async def run() -> tuple[list[Finding], Outcome, set[str]]:
        async with hosted.running(), claude.running():
            path.write_text(re.sub(r'^base_url = "(.*)"$', served, text, flags=re.MULTILINE))  # noqa: ASYNC240
            config = read_config(path)
            findings = await examine(config)
            problem = Problem.ask(id="p", text="What is 6 * 7?")
            episode = Episode(problem, config.roles(), route="template", limits=config.limits)
            trace = await episode.run(config.route.strategy_at(0))
            return findings, trace.outcome, {line.role for line in trace.account}

    return asyncio.run(run())


@pytest.mark.parametrize("name", REMOTE)
def test_a_template_works_with_fake_servers(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    findings, outcome, roles = over_stand_ins(written(name, tmp_path, monkeypatch))
    assert [finding for finding in findings if finding.severity is Severity.FAILED] == []
    assert outcome is Outcome.ANSWERED
    assert roles >= {"weak", *({"prm"} & set(ROLES[name]))}


def test_the_judge_in_the_comments_of_the_hosted_template_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written("hosted", tmp_path, monkeypatch)
    text, _, judge = path.read_text().partition("# [scorers.prm]")
    judge = "\n".join(line.removeprefix("# ") for line in ("# [scorers.prm]" + judge).splitlines())
    text = text.replace('policy = "confidence"', 'policy = "threshold"').replace("logprobs = 5", "logprobs = 0")
    path.write_text(text + judge)
    findings, outcome, roles = over_stand_ins(path)
    assert [finding for finding in findings if finding.severity is Severity.FAILED] == []
    assert outcome is Outcome.ANSWERED
    assert "prm" in roles


@pytest.mark.parametrize("name", [name for name in REMOTE if name != "gateway"])
def test_the_gateway_of_a_template_can_be_switched_on(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(name, tmp_path, monkeypatch)
    before, table, after = path.read_text().partition("# [serve]\n")
    block, gap, rest = (table + after).partition("\n\n")
    path.write_text(before + re.sub(r"^# ", "", block, flags=re.MULTILINE) + gap + rest)
    setup = read_setup(path)
    served = served_routes(setup)["default"]
    assert (setup.gateway.serve.keys, served.route.passthrough) == (True, "strong")
    assert served.route.solves == setup.route
    assert str(served.route.limits.max_cost_usd) == "0.05"
