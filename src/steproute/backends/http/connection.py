"""The HTTP side of every remote backend: one client a server."""

import asyncio
import ssl
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager
from functools import cache, cached_property
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar

import httpx2
import msgspec

from steproute.backends.http.address import login_of
from steproute.backends.http.api_key import ApiKey
from steproute.backends.http.body_reader import page_in
from steproute.backends.http.chat_meter import ChatMeter
from steproute.backends.http.model_list import model_list
from steproute.backends.http.proxy import proxy_for
from steproute.backends.http.refused_fields import refused_fields
from steproute.backends.http.server import Server
from steproute.backends.http.server_errors import ServerErrors

if TYPE_CHECKING:
    import anthropic
    import openai

_KEEPALIVE_S: Final = 2.0  # well below uvicorn's 5 s, so that no call is sent on a connection that is being closed
_STREAMED: Final = {"X-Stainless-Raw-Response": "stream", "Content-Type": "application/json"}
"""Has `client.post` return a response whose body is still to be read."""

_T = TypeVar("_T")
_Client = TypeVar("_Client", bound="openai.AsyncOpenAI | anthropic.AsyncAnthropic")


class _MaybeError(msgspec.Struct):
    error: object = None


class ServerConnection(ABC, Generic[_Client]):
    """A server as the backend `name` of a run: its client, and its `errors`.

    `models_path` lists its models. Raises ConfigError if the key's variable holds no key.
    """

    models_path: ClassVar[str]
    _errors_kind: ClassVar[type[ServerErrors]]

    def __init__(self, name: str, server: Server) -> None:
        self.name, self.server = name, server
        self.proxy = proxy_for(server.url, server.proxy)
        self.key = ApiKey(server.api_key_env, server.base_url, self.proxy)
        self._clients: dict[asyncio.AbstractEventLoop, _Client] = {}
        self._closers: dict[asyncio.AbstractEventLoop, AsyncGenerator[None, None]] = {}

    @property
    @abstractmethod
    def _package(self) -> ModuleType:
        """The client's package."""

    @cached_property
    def errors(self) -> ServerErrors:
        """What the server's failures mean."""
        return self._errors_kind(self.name, self.server, self.key, self.proxy, self._package)

    @abstractmethod
    def _made(self, http: httpx2.AsyncClient) -> _Client:
        """A client that never retries."""

    async def _client(self) -> _Client:
        """The running event loop's client, which never retries. It is closed with the loop."""
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            for ended in [each for each in self._clients if each.is_closed()]:
                del self._clients[ended], self._closers[ended]
            self._clients[loop] = client = self._new_client()
            self._closers[loop] = closer = _closing(client)
            await anext(closer)
        return self._clients[loop]

    def _new_client(self) -> _Client:
        timeout = httpx2.Timeout(self.server.read_s, connect=self.server.connect_s)
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=64, keepalive_expiry=_KEEPALIVE_S)
        login = login_of(self.server.base_url)
        client = self._made(
            httpx2.AsyncClient(
                timeout=timeout,
                limits=limits,
                trust_env=False,
                verify=_trusted(),
                auth=None if login is None else httpx2.BasicAuth(*login),
                proxy=self.proxy or None,
            )
        )
        client._custom_headers = {}  # those of OPENAI_CUSTOM_HEADERS and ANTHROPIC_CUSTOM_HEADERS
        return client

    @asynccontextmanager
    async def call(self) -> AsyncIterator[_Client]:
        """The client for one call, which must end within total_s.

        Raises BackendTimeout, RateLimited, BackendUnavailable, ContextOverflow, and BackendError for what a further
        try would not change.
        """
        with self.errors.translated():
            async with asyncio.timeout(self.server.total_s):
                yield await self._client()

    async def streamed(
        self,
        request: Callable[[_Client], AbstractAsyncContextManager[Any]],
        used: ChatMeter,
        read: Callable[[AsyncIterator[bytes]], AsyncGenerator[_T, None]],
    ) -> AsyncGenerator[_T, None]:
        """What `read` makes of the body of the response to `request`, handed on while it arrives.

        The call must end within total_s, but no clock runs while the caller has an event: it could only interrupt the
        caller. Raises as `call` does.
        """
        deadline = asyncio.get_running_loop().time() + self.server.total_s
        with self.errors.translated():
            async with AsyncExitStack() as stack:
                async with asyncio.timeout_at(deadline):
                    client = await self._client()
                    used.sent()
                    response = await stack.enter_async_context(self.opened(request(client), used.discard))
                used.opened(response.headers)
                events = await stack.enter_async_context(aclosing(read(response.iter_bytes())))
                while True:
                    async with asyncio.timeout_at(deadline):
                        try:
                            event = await anext(events)
                        except StopAsyncIteration:
                            return
                    yield event

    @asynccontextmanager
    async def opened(self, response: AbstractAsyncContextManager[_T], unpaid: Callable[[], None]) -> AsyncIterator[_T]:
        """The response to a request, which costs from when it is sent, unless it is refused or does not arrive."""
        async with AsyncExitStack() as stack:
            with self.errors.unpaid_if_refused(unpaid):
                begun = await stack.enter_async_context(response)
            yield begun

    async def models(self) -> dict[str, int | None] | None:
        """The server's models and how many tokens fit each, if it says; None for an answer that lists none.

        Raises as `call` does.
        """
        async with self.call() as client:
            response = await client.get(self.models_path, cast_to=httpx2.Response)
            try:
                return model_list(msgspec.json.decode(response.content.decode("utf-8-sig")))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                return None


class _OpenAiErrors(ServerErrors):
    def _refused(self, body: str) -> tuple[str, ...]:
        return refused_fields(body)


class Connection(ServerConnection["openai.AsyncOpenAI"]):
    """A connection to an OpenAI-compatible server."""

    models_path = "/models"
    _errors_kind = _OpenAiErrors

    def __init__(self, name: str, server: Server) -> None:
        super().__init__(name, server)
        import openai  # takes half a second to load, which a wrong setting need not

        self._openai = openai

    @property
    def _package(self) -> ModuleType:
        return self._openai

    def _made(self, http: httpx2.AsyncClient) -> "openai.AsyncOpenAI":
        client = self._openai.AsyncOpenAI(
            base_url=self.server.url, api_key=self.key.sent, max_retries=0, timeout=http.timeout, http_client=http
        )
        client.organization = client.project = None  # those of OPENAI_ORG_ID and OPENAI_PROJECT_ID
        return client

    @asynccontextmanager
    async def chat_response(self, client: "openai.AsyncOpenAI", body: bytes) -> AsyncIterator[Any]:
        """The response to a streamed chat request of these very bytes."""
        response = await client.post(
            "/chat/completions",
            content=body,
            cast_to=object,
            options={"headers": _STREAMED},
            stream=True,
            stream_cls=self._openai.AsyncStream[object],
        )
        try:
            yield response
        finally:
            await response.close()

    async def post(
        self, path: str, body: Mapping[str, object], answer: type[_T], *, unpaid: Callable[[], None] = lambda: None
    ) -> _T:
        """Post to a path beside the version's, such as `/pooling`, and decode the answer.

        unpaid: called if the server refuses it or never gets it. Raises as `call` does.
        """
        async with self.call() as client:
            with self.errors.unpaid_if_refused(unpaid):
                response = await client.post(self.server.root + path, body=body, cast_to=httpx2.Response)
                text = response.content.decode("utf-8-sig")
                if (page := page_in(text)) is not None:
                    raise self.errors.foreign(page)
                if (error := msgspec.json.decode(text, type=_MaybeError).error) is not None:
                    raise self.errors.in_body({"error": error})
            return msgspec.json.decode(text, type=answer)


async def _closing(client: "openai.AsyncOpenAI | anthropic.AsyncAnthropic") -> AsyncGenerator[None, None]:
    """Closes the client when the event loop closes its generators, or when nothing refers to this one any more."""
    try:
        yield
    finally:
        await client.close()


@cache
def _trusted() -> ssl.SSLContext:
    """One context for all clients, since to load the certificates takes longer than a small step."""
    return httpx2.create_ssl_context()
