"""The HTTP side of every remote backend: one client a server, and its failures in our words."""

import asyncio
import ssl
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from functools import cache
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar

import httpx2
import msgspec

from steproute.backends.http.address import login_of, shown_address
from steproute.backends.http.api_key import ApiKey
from steproute.backends.http.body_reader import Foreign, page_in
from steproute.backends.http.chat_meter import ChatMeter
from steproute.backends.http.error_body import ErrorBody
from steproute.backends.http.model_list import model_list
from steproute.backends.http.proxy import ENVIRONMENT, environments_proxy, is_unresolved, proxy_for
from steproute.backends.http.refused_fields import refused_fields
from steproute.backends.http.retry_after import retry_after
from steproute.backends.http.server import Server
from steproute.core.errors import (
    BackendError,
    BackendTimeout,
    BackendUnavailable,
    ContextOverflow,
    FieldRefused,
    RateLimited,
    TransientError,
)

if TYPE_CHECKING:
    import anthropic
    import openai

_SHOWN: Final = 300
_READ: Final = 20_000
_PASSING: Final = frozenset({408, 409, 425})
_NEVER_PASSING: Final = frozenset({501, 505})
_NO_OVERFLOW: Final = frozenset({401, 402, 403, 404, 429})
_KEEPALIVE_S: Final = 2.0  # well below uvicorn's 5 s, so that no call is sent on a connection that is being closed
_STREAMED: Final = {"X-Stainless-Raw-Response": "stream", "Content-Type": "application/json"}
"""Has `client.post` return a response whose body is still to be read."""
_UNSENT: Final = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
_REMEDIES: Final = {
    401: "Check the key in the variable that api_key_env names.",
    402: "The account has no money left.",
    403: "The key may not use this model.",
    404: "Check base_url (does it end in /v1?) and the model's name.",
    407: "The proxy asks for a user and a password. Set them in proxy, as http://user:password@host:port.",
}

_T = TypeVar("_T")
_Client = TypeVar("_Client", bound="openai.AsyncOpenAI | anthropic.AsyncAnthropic")


class _MaybeError(msgspec.Struct):
    error: object = None


class ServerConnection(ABC, Generic[_Client]):
    """A server as the backend `name` of a run: its client, and its failures as BackendErrors that name its address,
    without a user, a password or the key.

    `models_path` lists its models. Raises ConfigError if the key's variable holds no key.
    """

    models_path: ClassVar[str]

    def __init__(self, name: str, server: Server) -> None:
        self.name, self.server = name, server
        self.proxy = proxy_for(server.url, server.proxy)
        self.key = ApiKey(server.api_key_env, server.base_url, self.proxy)
        self._at = f" (at {self.key.hidden_in(shown_address(server.url))})"
        self._clients: dict[asyncio.AbstractEventLoop, _Client] = {}
        self._closers: dict[asyncio.AbstractEventLoop, AsyncGenerator[None, None]] = {}

    @property
    @abstractmethod
    def _package(self) -> ModuleType:
        """The client's package, which has the error classes that both vendors' generated clients share."""

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
        with self._failures():
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
        with self._failures():
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
        """The response to a request, which costs from when it is sent; `unpaid` as in `paid`."""
        async with AsyncExitStack() as stack:
            with self.paid(unpaid):
                begun = await stack.enter_async_context(response)
            yield begun

    @contextmanager
    def paid(self, unpaid: Callable[[], None]) -> Iterator[None]:
        """A request. Calls `unpaid` if the server refuses it or never gets it, so that nothing was computed."""
        package = self._package
        try:
            yield
        except (package.APIStatusError, package.APIConnectionError, BackendError, UnicodeEncodeError) as failure:
            if not isinstance(failure, package.APIConnectionError) or isinstance(failure.__cause__, _UNSENT):
                unpaid()
            raise

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Raises a call's failures in our words; see `call`."""
        name, at, package = self.name, self._at, self._package
        try:
            yield
        except TimeoutError:
            raise BackendTimeout(f"no complete answer within {self.server.total_s:g} s{at}", where=name) from None
        except (package.APITimeoutError, httpx2.TimeoutException) as failure:
            reason = self._reason(failure)
            raise BackendTimeout(f"{reason}; no answer in time{at}{self._way(failure)}", where=name) from None
        except package.APIStatusError as failure:
            if 300 <= failure.status_code < 400:
                raise self._redirected(failure.response) from None
            raise self.error(failure.status_code, failure.body or str(failure), failure.response.headers) from None
        except (package.APIConnectionError, httpx2.TransportError) as failure:
            raise BackendUnavailable(f"{self._reason(failure)}{at}{self._way(failure)}", where=name) from None
        except (package.APIError, httpx2.HTTPError, msgspec.DecodeError, UnicodeDecodeError) as failure:
            raise BackendUnavailable(f"its answer is damaged ({self._reason(failure)}){at}", where=name) from None
        except UnicodeEncodeError as failure:
            held = failure.object[failure.start]
            raise BackendError(
                f"the text cannot be sent, since it holds the lone surrogate {held!r}.",
                where=name,
                remedy="Remove it from the problem's text or the instructions.",
            ) from None

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

    def error(self, status: int, body: object, headers: Mapping[str, str] = MappingProxyType({})) -> BackendError:
        """What a status and the body that came with it mean; the error carries the status."""
        failure = self._meaning(status, body, headers)
        failure.where = failure.where or self.name
        failure.status, failure.request_id = status, headers.get("x-request-id") or headers.get("request-id", "")
        return failure

    def _meaning(self, status: int, body: object, headers: Mapping[str, str]) -> BackendError:
        error_body = ErrorBody.of(body)
        shown = f"status {status}: {self._shown(error_body.message)}{self._at}"
        if error_body.is_spent:
            return BackendError(shown, remedy=_REMEDIES[402])
        if status not in _NO_OVERFLOW and error_body.is_overflow:
            return ContextOverflow(f"{shown}. The model's context has no room for it.", *error_body.room)
        if status == 429:
            return self._to_wait_for(RateLimited, shown, retry_after(headers, body))
        if status in _PASSING or (status >= 500 and status not in _NEVER_PASSING):
            return self._to_wait_for(BackendUnavailable, shown, retry_after(headers, body))
        if status in (400, 422) and (fields := self._refused(str(body))):
            return FieldRefused(shown, fields)
        return self._lasting(status, error_body.message, shown)

    def error_within(self, body: Mapping[str, object]) -> BackendError:
        """The error that a body of status 200 holds."""
        return self.error(ErrorBody.of(body).status, body)

    def failure_in(self, error: Mapping[str, object] | None, foreign: Foreign | None) -> BackendError | None:
        """The failure that an event of an answer is, if it is one."""
        if error is not None:
            return self.error_within(error)
        return None if foreign is None else self.foreign(foreign)

    def foreign(self, foreign: Foreign) -> BackendError:
        """What it means that something else than a model's answer came with status 200."""
        return BackendError(
            f"{shown_address(self.server.url)} answers with {self._shown(foreign.what)}, which is no model's answer.",
            where=f"{self.name}: base_url",
            remedy="Does base_url end in /v1, or in the path that the server's documents give?",
        )

    def _to_wait_for(self, kind: type[TransientError], shown: str, wait_s: float | None) -> BackendError:
        """An error that may pass, unless the server asks for more time than one may wait."""
        longest = self.server.longest_wait_s
        if wait_s is None or wait_s <= longest:
            return kind(shown, wait_s)
        return BackendError(
            f"{shown}. It asks to wait {_time(wait_s)}, longer than longest_wait_s = {longest:g}.",
            remedy="Run the same command again after that time. Set longest_wait_s higher to wait for it.",
        )

    def _refused(self, body: str) -> tuple[str, ...]:
        """Fields of the request that an error's body refuses; none for servers whose settings say which are sent."""
        return ()

    def _way(self, failure: BaseException) -> str:
        """What the proxy, or that there is none, may have to do with a failure."""
        if self.proxy:
            source = "the environment names it" if self.server.proxy == ENVIRONMENT else "set by proxy"
            return f" (through the proxy {shown_address(self.proxy)}, {source})"
        if is_unresolved(failure) and environments_proxy(self.server.url):
            return f". The environment names a proxy, which is not used. Set proxy = {ENVIRONMENT!r} to use it."
        return ""

    def _lasting(self, status: int, message: str, shown: str) -> BackendError:
        """A failure that no further try mends, with its remedy. shown: the status and what may be shown of it."""
        return BackendError(shown, remedy=_REMEDIES.get(status, ""))

    def _redirected(self, response: httpx2.Response) -> BackendError:
        """The error that names a redirect's target. It is not followed: the key must not go to another address."""
        shown = f"status {response.status_code}: the server redirects"
        address, better = response.request.url, "an address that answers itself"
        try:
            target = address.join(response.headers["location"])
            target = target.copy_with(username="", password="", query=None, fragment=None)
        except (httpx2.InvalidURL, KeyError):
            return BackendError(shown, where=self.name, remedy=f"Set base_url to {better}.")
        below = address.path.removeprefix(httpx2.URL(self.server.root).path.rstrip("/"))
        if target.path.endswith(below):
            version = self.server.url.rstrip("/").removeprefix(self.server.root)
            root = str(target.copy_with(path=target.path.removesuffix(below) or "/")).rstrip("/")
            better = self._shown(root + version)
        return BackendError(
            f"{shown} to {self._shown(str(target))}", where=self.name, remedy=f"Set base_url to {better}."
        )

    def _reason(self, failure: BaseException) -> str:
        """The innermost reason, which the client's own wrappers hide."""
        while failure.__cause__ is not None:
            failure = failure.__cause__
        return self._shown(f"{type(failure).__name__}: {failure}".rstrip(": "))

    def _shown(self, text: str) -> str:
        """The text's beginning without the key, which goes before the cut: half of one is no less a leak."""
        return self.key.hidden_in(text[:_READ])[:_SHOWN]


class Connection(ServerConnection["openai.AsyncOpenAI"]):
    """A connection to an OpenAI-compatible server."""

    models_path = "/models"

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

    def _refused(self, body: str) -> tuple[str, ...]:
        return refused_fields(body)

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
        """Post to a path beside the version's, such as `/pooling`, and decode the answer. `unpaid` as in `paid`.

        Raises as `call` does.
        """
        async with self.call() as client:
            with self.paid(unpaid):
                response = await client.post(self.server.root + path, body=body, cast_to=httpx2.Response)
                text = response.content.decode("utf-8-sig")
                if (page := page_in(text)) is not None:
                    raise self.foreign(page)
                if (error := msgspec.json.decode(text, type=_MaybeError).error) is not None:
                    raise self.error_within({"error": error})
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


def _time(seconds: float) -> str:
    """Seconds in words."""
    if seconds == float("inf"):
        return "without end"
    return f"{seconds:g} s" if seconds < 600 else f"{seconds:.0f} s ({seconds / 3600:.3g} h)"
