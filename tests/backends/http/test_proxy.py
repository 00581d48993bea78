"""Proxies: which one a server is reached by, what errors say of it, and that its password is shown nowhere."""

import asyncio
import base64
from typing import Any

import pytest
from tests.backends.http.hostile import Asked, HostileServer
from tests.backends.http.test_faults import PROBLEM

from steproute.backends.anthropic.connection import AnthropicConnection
from steproute.backends.anthropic.model import AnthropicModel, AnthropicSettings
from steproute.backends.http.connection import Connection
from steproute.backends.http.proxy import environments_proxy, proxy_for
from steproute.backends.http.server import Server
from steproute.backends.openai.model import OpenAiModel
from steproute.backends.openai.settings import OpenAiSettings
from steproute.core.errors import BackendError, BackendUnavailable, ConfigError
from steproute.core.solution import Meter, Prefix
from steproute.scorers.vllm_pooling import PoolingSettings, VllmPoolingScorer

FAR = "http://models.invalid/v1"
SECRET = "p%40ss-Word1234"
VARIABLES = [f"{name}_proxy" for name in ("http", "https", "all", "no")]


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


class Forwards(HostileServer):
    """A proxy that answers itself what it is asked to forward; it knows no other name."""

    password = ""

    async def _stream(self, request: Asked, writer: asyncio.StreamWriter, reader: asyncio.StreamReader) -> bool:
        login = base64.b64encode(f"user:{self.password}".encode()).decode()
        if self.password and f"proxy-authorization: basic {login}".lower() not in request.head.lower():
            return await self._send(writer, 407, b"<html>Proxy Authentication Required</html>")
        return await super()._stream(request, writer, reader)


def ask(proxy: Forwards, setting: Any, url: str = FAR) -> str:
    async def run() -> str:
        async with proxy.running():
            at = proxy.url.removeprefix("http://").removesuffix("/v1")
            server = Server(base_url=url, proxy=setting(at), read_s=5.0)
            model = OpenAiModel("weak", OpenAiSettings(model="m", server=server, template="none"))
            (draft,) = await model.propose(Prefix(problem=PROBLEM))
            return draft.text

    return asyncio.run(run())


def test_a_server_is_reached_by_the_proxy_of_its_table() -> None:
    proxy = Forwards(lambda request: None)
    assert ask(proxy, lambda at: f"http://{at}") == "Step 1: so then"
    assert [request.path for request in proxy.asked] == ["http://models.invalid/v1/completions"]
    assert "models.invalid" in proxy.asked[0].head


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("scheme", ["http://", ""])
def test_a_server_is_reached_by_the_environments_proxy_if_asked_for(
    name: str, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Forwards(lambda request: None)

    def setting(at: str) -> str:
        monkeypatch.setenv(name, f"{scheme}{at}")
        return "environment"

    assert ask(proxy, setting) == "Step 1: so then"
    assert len(proxy.asked) == 1


def test_a_proxys_user_and_password_are_sent_to_it_alone() -> None:
    proxy = Forwards(lambda request: None)
    proxy.password = "p@ss-Word1234"
    assert ask(proxy, lambda at: f"http://user:{SECRET}@{at}") == "Step 1: so then"
    with pytest.raises(
        BackendError, match="407: .*The proxy asks for a user and a password. Set them in proxy"
    ) as caught:
        ask(proxy, lambda at: f"http://user:wrong-Word9876@{at}")
    assert "9876" not in str(caught.value)


def test_a_call_that_a_proxy_does_not_let_through_costs_nothing() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async def run() -> Meter:
        proxy, meter = await asyncio.start_server(refuse, "127.0.0.1", 0), Meter()
        at = proxy.sockets[0].getsockname()[1]
        server = Server(base_url="https://models.invalid/v1", proxy=f"http://127.0.0.1:{at}", read_s=5.0)
        model = OpenAiModel("weak", OpenAiSettings(model="m", server=server, template="none"))
        with pytest.raises(BackendUnavailable, match="403 Forbidden"):
            await model.propose(Prefix(problem=PROBLEM), meter=meter)
        proxy.close()
        return meter

    assert asyncio.run(run()).calls == []


@pytest.mark.parametrize(
    ("variables", "url", "proxy"),
    [
        ({}, FAR, ""),
        ({"https_proxy": "http://s:1"}, FAR, ""),
        ({"https_proxy": "http://s:1"}, "https://host/v1", "http://s:1"),
        ({"http_proxy": "http://p:1", "all_proxy": "http://a:1"}, FAR, "http://p:1"),
        ({"http_proxy": "http://p:1", "no_proxy": "models.invalid"}, FAR, ""),
        ({"http_proxy": "http://p:1", "no_proxy": ".invalid,localhost"}, FAR, ""),
        ({"http_proxy": "http://p:1", "no_proxy": "other.invalid"}, FAR, "http://p:1"),
        ({"http_proxy": "http://p:1", "no_proxy": "*"}, FAR, ""),
        ({"http_proxy": "http://p:1", "no_proxy": "127.0.0.1:8000"}, "http://127.0.0.1:8000/v1", ""),
        ({"http_proxy": "http://p:1", "no_proxy": "127.0.0.1:9000"}, "http://127.0.0.1:8000/v1", "http://p:1"),
    ],
)
def test_the_environment_names_a_proxy_by_scheme_and_excepts_hosts(
    variables: dict[str, str], url: str, proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name.upper(), value)
    assert environments_proxy(url) == proxy_for(url, "environment") == proxy
    assert proxy_for(url, "") == "", "only if it is asked for"
    assert proxy_for(url, "http://mine:1") == "http://mine:1"


@pytest.mark.parametrize(
    "proxy",
    [
        "proxy:3128",
        "ftp://proxy:3128",
        "http://",
        "http://proxy:3128/path",
        "env",
        f"user:{SECRET}@proxy",
        f"htp://user:{SECRET}@p:1",
    ],
)
def test_what_is_no_proxy_is_refused(proxy: str) -> None:
    with pytest.raises(ConfigError, match="proxy: .* is no proxy. Use an address such as http://proxy") as caught:
        Server(base_url=FAR, proxy=proxy)
    assert "1234" not in str(caught.value)


def test_a_socks_proxy_needs_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steproute.backends.http.proxy.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="pip install socksio"):
        Server(base_url=FAR, proxy="socks5://127.0.0.1:1080")


@pytest.mark.parametrize("url", [FAR, "https://models.invalid/v1"])
@pytest.mark.parametrize("by_environment", [False, True])
def test_a_proxy_that_cannot_be_reached_is_named_without_its_password(
    url: str, by_environment: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"http://user:{SECRET}@127.0.0.1:9"
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, address)
    server = Server(base_url=url, proxy="environment" if by_environment else address)

    async def run(make: Any) -> str:
        with pytest.raises(BackendUnavailable) as caught:
            await make()
        return str(caught.value)

    prefix = Prefix(problem=PROBLEM)
    for make in (
        lambda: OpenAiModel("weak", OpenAiSettings(model="m", server=server, template="none")).propose(prefix),
        lambda: AnthropicModel("weak", AnthropicSettings(model="m", server=server)).propose(prefix),
        lambda: VllmPoolingScorer("weak", PoolingSettings(model="m", server=server)).score(prefix),
        lambda: Connection("weak", server).models(),
        lambda: AnthropicConnection("weak", server).models(),
    ):
        said = asyncio.run(run(make))
        source = "the environment names it" if by_environment else "set by proxy"
        assert f"(through the proxy http://127.0.0.1:9, {source})" in said
        assert "Word" not in said
        assert "user" not in said
    assert "Word" not in repr(server)


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_name_that_cannot_be_resolved_beside_a_proxy_that_is_not_used_says_so(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> str:
        model = OpenAiModel("weak", OpenAiSettings(model="m", server=Server(base_url=FAR), template="none"))
        with pytest.raises(BackendUnavailable) as caught:
            await model.propose(Prefix(problem=PROBLEM))
        return str(caught.value)

    assert "proxy" not in asyncio.run(run())
    monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert "The environment names a proxy, which is not used. Set proxy = 'environment' to use it." in asyncio.run(
        run()
    )
    monkeypatch.setenv("NO_PROXY", "models.invalid")
    assert "proxy" not in asyncio.run(run())
