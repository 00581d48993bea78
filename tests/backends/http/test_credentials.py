"""A user and a password in an address reach the server alone: no error, trace, limiter, log or representation."""

import asyncio
import base64
import logging
from pathlib import Path
from typing import Any

import pytest
from tests.backends.http.hostile import Asked, HostileServer
from tests.backends.http.test_faults import PROBLEM
from tests.config_texts import WRITERS

from steproute.backends.anthropic.connection import AnthropicConnection
from steproute.backends.http.address import login_of, shown_address, without_login
from steproute.backends.http.body_reader import Foreign
from steproute.backends.http.connection import Connection
from steproute.backends.http.server import Server
from steproute.config import read_config
from steproute.core.errors import BackendError, ConfigError
from steproute.doctor import examine
from steproute.engine import metering
from steproute.engine.episode import Episode
from steproute.policies.baselines.random import RandomRouting
from steproute.strategies.stepwise import Stepwise

SECRET = "hunter2-Word1234"
LOGINS = [
    ("user", SECRET),
    ("", SECRET),
    (SECRET, ""),
    ("user", f"{SECRET}%40%2F%3A"),
    ("user", f"{SECRET}:x"),
    ("us%40er", f"{SECRET}@x"),
]


def address(login: tuple[str, str], url: str = "http://127.0.0.1:9/v1") -> str:
    user, password = login
    return url.replace("//", f"//{user}{':' if password else ''}{password}@")


def hidden(text: str, login: tuple[str, str]) -> bool:
    user, password = login
    parts = [password, user if not password or len(user) >= 8 else ""]
    forms = [*parts, SECRET, base64.b64encode(":".join(login).encode()).decode()]
    return not any(form in text for form in forms if form)


@pytest.mark.parametrize("login", LOGINS)
def test_an_address_is_shown_without_what_may_be_secret(login: tuple[str, str]) -> None:
    assert shown_address(address(login)) == without_login(address(login)) == "http://127.0.0.1:9/v1"
    assert login_of("http://127.0.0.1:9/v1") is None
    for end in ("?key=abc", "#abc", "/?api-key=abc&x=1"):
        assert "abc" not in shown_address(address(login) + end)
    for broken in (f"http://user:{SECRET}/x@host/v1", f"http://user:{SECRET}?x@host", f"user:{SECRET}@host/v1"):
        assert SECRET not in shown_address(broken)
    server = Server(base_url=address(login))
    assert hidden(repr(server), login)
    assert hidden(server.root, login)


def test_a_login_is_read_as_it_was_before_it_was_quoted() -> None:
    assert login_of("http://us%40er:p%40ss%2F%3A:x@host/v1") == ("us@er", "p@ss/::x")


@pytest.mark.parametrize("proxy", [False, True])
def test_a_server_that_repeats_a_login_is_quoted_without_it(proxy: bool) -> None:
    """A short user stays, since it may be a word of any message."""
    plain, with_login = "http://127.0.0.1:9", address(("user", SECRET), "http://127.0.0.1:9")
    server = Server(base_url=plain, proxy=with_login) if proxy else Server(base_url=with_login)
    connection = Connection("weak", server)
    said = str(connection.errors.for_status(400, {"error": {"message": f"no such user, or {SECRET} is wrong"}}))
    assert said == f"weak: status 400: no such user, or [key] is wrong (at {plain})"
    said = str(connection.errors.foreign(Foreign(f"a web page titled 'Login {SECRET}'")))
    assert f"base_url: {plain} answers with a web page titled 'Login [key]'" in said
    assert SECRET not in said


@pytest.mark.parametrize("query", ["?key=", "?api-version=1&token=", "#", "/?sig="])
def test_an_address_with_a_query_is_refused_and_its_keys_are_not_shown(query: str) -> None:
    with pytest.raises(ConfigError, match="base_url: 'http://host/v1/?' is followed by a query.*api_key_env") as caught:
        Server(base_url=f"http://host/v1{query}{SECRET}")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [f"http://user:{SECRET}/x@host/v1", f"user:{SECRET}@host/v1", f"ftp://user:{SECRET}@host", f"http://u:{SECRET}@"],
)
def test_an_address_that_is_none_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigError, match="base_url: ") as caught:
        Server(base_url=url)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


class Repeats(HostileServer):
    """Says in its errors whatever it has been sent."""

    status = 401

    async def _say(self, request: Asked, writer: asyncio.StreamWriter) -> bool:
        sent = base64.b64decode(request.head.partition("Basic ")[2].split("\r\n")[0]).decode()
        message = f"bad login {sent} in {request.head}"
        more = f"location: http://{sent}@elsewhere.invalid/v1/completions\r\n" if self.status == 307 else ""
        return await self._send(writer, self.status, {"error": {"message": message}}, more)

    async def _get(self, request: Asked, writer: asyncio.StreamWriter) -> bool:
        return await self._say(request, writer)

    async def _stream(self, request: Asked, writer: asyncio.StreamWriter, reader: asyncio.StreamReader) -> bool:
        return await self._say(request, writer)


@pytest.mark.parametrize("kind", [Connection, AnthropicConnection])
@pytest.mark.parametrize("status", [400, 401, 407, 429, 500, 307])
@pytest.mark.parametrize("login", LOGINS)
def test_a_login_reaches_its_server_and_no_error_or_log(
    login: tuple[str, str], status: int, kind: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    async def run() -> str:
        server = Repeats(lambda request: None)
        server.status = status
        async with server.running():
            connection = kind("weak", Server(base_url=address(login, server.url)))
            with pytest.raises(BackendError) as caught:
                await connection.models()
            sent = login_of(address(login))
            assert sent is not None
            assert base64.b64encode(":".join(sent).encode()).decode() in server.asked[0].head
            return str(caught.value)

    said = asyncio.run(run())
    unquoted = login_of(address(login))
    assert unquoted is not None
    assert hidden(said, login)
    assert hidden(said, unquoted)
    if status != 307:  # the libraries' own log has where a server redirects, at the level DEBUG
        assert hidden(caplog.text, login)


CONFIG = (
    WRITERS
    + """
[scorers.prm]
backend = "vllm-pooling"
base_url = "{url}"
model = "m"
limiter = {{ in_flight = 4, cooldown_s = 0.05 }}
"""
)


@pytest.mark.parametrize("login", LOGINS)
def test_no_gate_trace_or_finding_shows_a_login(
    login: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metering, "_BACKOFF_S", 0.001)
    path = tmp_path / "steproute.toml"
    path.write_text(CONFIG.format(url=address(login)))
    roles = read_config(path).roles()
    limiters = [writer.limiter for writer in roles.models.values()]
    assert [limiter.name for limiter in limiters if limiter] == ["http://127.0.0.1:9"] * 2

    async def run() -> str:
        said = ""
        for _ in range(4):  # the circuit opens
            trace = await Episode(PROBLEM, roles, route="t").run(Stepwise(policy=RandomRouting.at(0.0, 0)))
            said += f"{trace}"
        return said + f"{await examine(read_config(path))}"

    said = asyncio.run(run())
    assert "circuit open" in said
    assert hidden(said, login)
    path.write_text(
        CONFIG.format(url=address(login)).replace(
            "price = { input = 3", "limiter = { in_flight = 9 }\nprice = { input = 3"
        )
    )
    with pytest.raises(ConfigError, match=r"same server and model \(http://127.0.0.1:9, m\)") as caught:
        read_config(path).roles()
    assert hidden(str(caught.value), login)
