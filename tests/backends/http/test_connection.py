"""What is sent to a server, its key above all, and that no error shows one."""

import asyncio

import httpx2
import msgspec
import pytest
from tests.backends.http.hostile import HostileServer
from tests.backends.http.hostile_anthropic import HostileAnthropic
from tests.backends.http.test_faults import MODES, writer_of

from steproute.backends.anthropic.connection import AnthropicConnection
from steproute.backends.anthropic.model import AnthropicModel, AnthropicSettings
from steproute.backends.http import connection as connection_module
from steproute.backends.http.connection import Connection
from steproute.backends.http.server import Server
from steproute.backends.openai.model import OpenAiModel
from steproute.backends.openai.settings import OpenAiSettings
from steproute.core.errors import BackendError, BackendTimeout, ConfigError
from steproute.core.ports import StepModel
from steproute.core.problem import Problem
from steproute.core.solution import Meter, Outcome, Prefix, Sampling, Step
from steproute.core.trace import Trace
from steproute.engine.episode import Episode
from steproute.engine.roles import Roles
from steproute.scorers.vllm_pooling import PoolingSettings, VllmPoolingScorer
from steproute.strategies.single import Single

KINDS = pytest.mark.parametrize("kind", [Connection, AnthropicConnection])
KEY = "sk-secret-0123456789abcdef"


@KINDS
@pytest.mark.parametrize("end", ["\r", "\n", " ", "\r\n"])
def test_white_space_around_a_key_is_no_part_of_it(
    kind: type[Connection | AnthropicConnection], end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", f" {KEY}{end}")

    async def run() -> str:
        async with HostileServer(lambda request: None).running() as server:
            connection = kind("weak", Server(base_url=server.url, api_key_env="MY_KEY"))
            assert list(await connection.models()) == ["m"]
            return server.asked[0].head

    assert f"Bearer {KEY}\r\n" in asyncio.run(run())


@KINDS
@pytest.mark.parametrize("key", [f"{KEY}\u2026", f"sk-\u00e9{KEY}", f"{KEY}\r\n{KEY}", f"{KEY}\x7f"])
def test_what_can_be_no_key_is_refused_at_once_and_not_shown(
    kind: type[Connection | AnthropicConnection], key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", key)
    with pytest.raises(
        ConfigError, match="api_key_env: the variable MY_KEY holds characters that no key has"
    ) as caught:
        kind("weak", Server(base_url="http://127.0.0.1:1", api_key_env="MY_KEY"))
    assert "secret" not in str(caught.value)


def test_a_variable_of_white_space_holds_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", " \n")
    with pytest.raises(ConfigError, match="the variable MY_KEY is not set"):
        Connection("weak", Server(base_url="http://127.0.0.1:1", api_key_env="MY_KEY"))


def test_a_key_where_a_long_message_is_cut_does_not_show_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    connection = Connection("weak", Server(base_url="http://127.0.0.1:1", api_key_env="MY_KEY"))
    for before in range(260, 300):
        said = str(connection.errors.for_status(401, {"error": {"message": "y" * before + KEY}}))
        assert "sk" not in said
        assert "secret" not in connection.errors._reason(ValueError("y" * before + KEY))
        assert "sk-" not in connection.errors._reason(ValueError("y" * before + KEY))


@pytest.mark.parametrize(
    "echo",
    [f"Incorrect API key provided: {KEY[:12]}", f"bad key {KEY[:8]}********cdef", f"{KEY[3:]} is unknown", KEY * 2],
)
def test_a_key_that_a_server_cuts_off_or_masks_does_not_show(echo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    connection = Connection("weak", Server(base_url="http://127.0.0.1:1", api_key_env="MY_KEY"))
    said = str(connection.errors.for_status(400, {"error": {"message": echo}}))
    assert "[key]" in said
    assert "sk-" not in said
    assert "secret" not in said


@KINDS
@pytest.mark.parametrize("key_variable", ["", "MY_KEY"])
def test_nothing_of_the_environment_is_sent_but_the_key_that_is_named(
    kind: type[Connection | AnthropicConnection], key_variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    for variable in ("OPENAI_CUSTOM_HEADERS", "ANTHROPIC_CUSTOM_HEADERS"):
        monkeypatch.setenv(variable, "Authorization: Bearer leak\nX-Api-Key: leak\nX-Team: leak\nUser-Agent: leak")
    for variable in (
        *("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_WEBHOOK_SECRET"),
        *("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_WEBHOOK_SIGNING_KEY"),
    ):
        monkeypatch.setenv(variable, "leak")

    async def run() -> list[str]:
        async with HostileServer(lambda request: None).running() as server:
            connection = kind("weak", Server(base_url=server.url, api_key_env=key_variable))
            await connection.models()
            async with connection.call() as client:
                await client.post("/tokenize", body={"messages": [{"content": "a"}]}, cast_to=httpx2.Response)
            return [request.head for request in server.asked]

    for head in asyncio.run(run()):
        assert "leak" not in head
        assert f"Bearer {KEY if key_variable else 'none'}\r\n" in head
        assert not any(line.lower().startswith("openai-") for line in head.splitlines())


@KINDS
def test_no_proxy_of_the_environment_is_used(
    kind: type[Connection | AnthropicConnection], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> tuple[HostileServer, HostileServer]:
        server, proxy = (HostileServer(lambda request: None) for _ in range(2))
        async with server.running(), proxy.running():
            for variable in ("http_proxy", "https_proxy", "all_proxy"):
                monkeypatch.setenv(variable, proxy.url.removesuffix("/v1"))
                monkeypatch.setenv(variable.upper(), proxy.url.removesuffix("/v1"))
            for variable in ("no_proxy", "NO_PROXY"):
                monkeypatch.delenv(variable, raising=False)
            await kind("weak", Server(base_url=server.url)).models()
        return server, proxy

    server, proxy = asyncio.run(run())
    assert (len(server.asked), len(proxy.asked)) == (1, 0)


@KINDS
@pytest.mark.parametrize(("idle_s", "connections"), [(0.0, 1), (0.4, 2)])
def test_no_call_is_sent_on_a_connection_that_has_been_idle_for_long(
    kind: type[Connection | AnthropicConnection], idle_s: float, connections: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "_KEEPALIVE_S", 0.2)

    async def run() -> int:
        opened = 0

        class Counting(HostileServer):
            async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                nonlocal opened
                opened += 1
                await super()._serve(reader, writer)

        async with Counting(lambda request: None).running() as server:
            connection = kind("weak", Server(base_url=server.url))
            await connection.models()
            await asyncio.sleep(idle_s)
            await connection.models()
        return opened

    assert asyncio.run(run()) == connections


class Trickling(HostileServer):
    """Never silent for long and never at an end."""

    def _pieces(self, said: str, stops: bool, one_step: bool) -> list[str | None]:
        return ["so "] * 10**5


class TricklingAnthropic(Trickling, HostileAnthropic):
    """The same with the Messages API."""


@pytest.mark.parametrize("api", ["openai", "anthropic"])
def test_an_answer_that_trickles_on_is_given_up_when_the_whole_call_has_taken_too_long(api: str) -> None:
    async def run() -> Meter:
        meter, sampling = Meter(), Sampling(max_tokens=10**6)
        trickling = Trickling if api == "openai" else TricklingAnthropic
        async with trickling(lambda request: None, token_s=0.005).running() as server:
            here = Server(base_url=server.url, total_s=0.1)
            model: StepModel = OpenAiModel("m", OpenAiSettings(model="m", server=here, template="none"))
            if api == "anthropic":
                model = AnthropicModel("m", AnthropicSettings(model="m", server=here))
            with pytest.raises(BackendTimeout, match=r"m: no complete answer within 0\.1 s"):
                async with asyncio.timeout(10):
                    await model.propose(Prefix(problem=Problem.ask(id="p", text="A riddle.")), 1, sampling, meter)
            return meter

    assert asyncio.run(run()).total.read_tokens > 0, "what had come is paid for"


HALVES = pytest.mark.parametrize("half", ["\ud800", "so \udfff", "\udc80 it"], ids=ascii)
TELLS_INSTRUCTIONS = [mode for mode, settings in MODES.items() if settings.get("template") != "none"]


def solved(mode: str, text: str, **further: object) -> Trace:
    """The trace of a problem of which no server was asked anything."""
    settings = {**MODES[mode], **further}
    kind = HostileAnthropic if settings.get("api") == "anthropic" else HostileServer

    async def run() -> Trace:
        async with kind(lambda request: None).running() as server:
            roles = Roles(models={"weak": writer_of(server, **settings)})  # type: ignore[arg-type]
            trace = await Episode(Problem.ask(id="p", text=text), roles, route="t").run(Single("weak"))
            assert not server.asked
            return trace

    return asyncio.run(run())


@HALVES
@pytest.mark.parametrize("mode", TELLS_INSTRUCTIONS)
def test_instructions_that_no_server_can_be_sent_fail_the_problem_with_what_to_do(mode: str, half: str) -> None:
    trace = solved(mode, "A riddle.", instructions=f"Solve it {half}.")
    assert trace.outcome is Outcome.FAILED
    assert (trace.error or "").startswith(
        "BackendError: m: the text cannot be sent, since it holds the lone surrogate '\\ud"
    )
    assert "Remove it from the problem's text or the instructions." in (trace.error or "")
    assert trace.account == ()
    msgspec.json.encode(trace)


@HALVES
@pytest.mark.parametrize("mode", MODES)
def test_a_problem_that_no_server_can_be_sent_fails_before_any_is_asked(mode: str, half: str) -> None:
    trace = solved(mode, f"A riddle {half}.")
    assert trace.outcome is Outcome.FAILED
    assert (trace.error or "").startswith("problem.text: holds half a character, ")
    assert trace.account == ()
    msgspec.json.encode(trace)


@HALVES
@pytest.mark.parametrize("place", ["problem", "step"])
@pytest.mark.parametrize("mode", MODES)
def test_a_model_that_is_asked_without_the_engine_refuses_what_cannot_be_sent(mode: str, place: str, half: str) -> None:
    settings = dict(MODES[mode])
    kind = HostileAnthropic if settings.get("api") == "anthropic" else HostileServer
    problem = Problem.ask(id="p", text=f"A riddle {half}." if place == "problem" else "A riddle.")
    steps = (Step(role="weak", text=half, tokens=1),) if place == "step" else ()

    async def run() -> Meter:
        async with kind(lambda request: None).running() as server:
            writer, meter = writer_of(server, **settings), Meter()  # type: ignore[arg-type]
            with pytest.raises(BackendError, match=r"m: the text cannot be sent, since it holds the lone surrogate"):
                await writer.model.propose(Prefix(problem=problem, steps=steps), 1, writer.sampling, meter)
            assert not any("completions" in asked.path or "messages" in asked.path for asked in server.asked)
            return meter

    assert asyncio.run(run()).calls == []


def test_a_step_that_no_judge_can_be_sent_is_not_paid_for() -> None:
    async def run() -> Meter:
        async with HostileServer(lambda request: None).running() as server:
            settings, meter = PoolingSettings(model="m", server=Server(base_url=server.url)), Meter()
            scorer = VllmPoolingScorer("prm", settings)
            step = Step(role="weak", text="\udfff", tokens=1)
            with pytest.raises(BackendError, match="cannot be sent"):
                await scorer.score(Prefix(problem=Problem.ask(id="p", text="A riddle."), steps=(step,)), meter)
            return meter

    assert asyncio.run(run()).calls == []
