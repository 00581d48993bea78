"""The HTTP side of every remote backend: one client a server, and its failures in our words."""

import asyncio
import math
import os
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from types import MappingProxyType
from typing import Final, TypeVar
from weakref import WeakKeyDictionary

import httpx2
import msgspec
import openai

from steproute.core.errors import (
    BackendError,
    BackendTimeout,
    BackendUnavailable,
    ConfigError,
    ContextOverflow,
    RateLimited,
)

_SHOWN: Final = 300
_OVERFLOW: Final = re.compile(r"context.{0,20}(length|window|size)|max_model_len|too long", re.IGNORECASE)
_PASSING: Final = frozenset({408, 409, 425, 500, 502, 503, 504, 520, 529})
_REMEDIES: Final = {
    401: ". Check the key in the variable that api_key_env names.",
    403: ". The key may not use this model.",
    404: ". Check base_url (does it end in /v1?) and the model's name.",
    429: ". The account has no money left.",
}

_T = TypeVar("_T")


class _Listed(msgspec.Struct):
    id: str
    max_model_len: int | None = None


class _Models(msgspec.Struct):
    data: list[_Listed] = []


class _MaybeError(msgspec.Struct):
    error: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where a backend listens. `api_key_env` names the environment variable of its key; keys are kept nowhere else.

    connect_s and read_s bound the connection and each silence, total_s the whole call. Raises ConfigError for an
    address that is none and times that are not above 0.
    """

    base_url: str
    api_key_env: str = ""
    connect_s: float = 5.0
    read_s: float = 60.0
    total_s: float = 300.0

    def __post_init__(self) -> None:
        if not re.match(r"https?://[^/\s]+", self.base_url):
            raise ConfigError(f"base_url: {self.base_url!r} is no address. Give one such as http://127.0.0.1:8000/v1.")
        for name in ("connect_s", "read_s", "total_s"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name}: {getattr(self, name)} is not above 0.")

    @property
    def root(self) -> str:
        """The address without the version's path, where vLLM's own endpoints are."""
        return self.base_url.rstrip("/").removesuffix("/v1")


class Connection:
    """A server as the backend `name` of a run: its client, and its failures as BackendErrors without the key.

    Raises ConfigError where the key's variable is not set.
    """

    def __init__(self, name: str, server: Server) -> None:
        self.name, self.server = name, server
        self._key = os.environ.get(server.api_key_env, "") if server.api_key_env else "none"
        if not self._key:
            raise ConfigError(f"api_key_env: the variable {server.api_key_env} is not set. Set it to the key.")
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, openai.AsyncOpenAI] = WeakKeyDictionary()

    @property
    def client(self) -> openai.AsyncOpenAI:
        """The running event loop's client, which never retries."""
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            timeout = httpx2.Timeout(self.server.read_s, connect=self.server.connect_s)
            limits = httpx2.Limits(max_connections=None, max_keepalive_connections=64)
            http = httpx2.AsyncClient(timeout=timeout, limits=limits, trust_env=False, verify=_trusted())
            self._clients[loop] = openai.AsyncOpenAI(
                base_url=self.server.base_url, api_key=self._key, max_retries=0, timeout=timeout, http_client=http
            )
        return self._clients[loop]

    @asynccontextmanager
    async def call(self) -> AsyncIterator[openai.AsyncOpenAI]:
        """The client for one call, which must end within total_s.

        Raises BackendTimeout, RateLimited, BackendUnavailable, ContextOverflow, and BackendError for what a further
        try would not change.
        """
        name = self.name
        try:
            async with asyncio.timeout(self.server.total_s):
                yield self.client
        except TimeoutError:
            raise BackendTimeout(f"{name}: no complete answer within {self.server.total_s:g} s") from None
        except (openai.APITimeoutError, httpx2.TimeoutException) as failure:
            raise BackendTimeout(f"{name}: {self._reason(failure)}; no answer in time") from None
        except openai.APIStatusError as failure:
            raise self.error(failure.status_code, failure.body or str(failure), failure.response.headers) from None
        except (openai.APIConnectionError, httpx2.TransportError) as failure:
            raise BackendUnavailable(f"{name}: {self._reason(failure)}") from None
        except (openai.APIError, httpx2.HTTPError, msgspec.DecodeError, UnicodeDecodeError) as failure:
            raise BackendUnavailable(f"{name}: its answer is damaged ({self._reason(failure)})") from None

    async def models(self) -> dict[str, int | None]:
        """The server's models and how many tokens fit each, where it says. Raises as `call` does."""
        async with self.call() as client:
            response = await client.get("/models", cast_to=httpx2.Response)
            listed = msgspec.json.decode(response.content.decode(), type=_Models)
            return {model.id: model.max_model_len for model in listed.data}

    async def post(self, path: str, body: Mapping[str, object], answer: type[_T]) -> _T:
        """Post to a path beside the version's, such as `/pooling`, and decode the answer. Raises as `call` does."""
        async with self.call() as client:
            response = await client.post(self.server.root + path, body=body, cast_to=httpx2.Response)
            text = response.content.decode()
            if (error := msgspec.json.decode(text, type=_MaybeError).error) is not None:
                raise self.error_within({"error": error})
            return msgspec.json.decode(text, type=answer)

    def error(self, status: int, body: object, headers: Mapping[str, str] = MappingProxyType({})) -> BackendError:
        """What a status and the body that came with it mean."""
        message, code = _said(body)
        said = f"{self.name}: status {status}: {self._without_key(message)}"
        if status == 429 and code != "insufficient_quota":
            return RateLimited(said, retry_after(headers))
        if status in _PASSING:
            return BackendUnavailable(said, retry_after(headers))
        if status in (400, 413, 422) and (code == "context_length_exceeded" or _OVERFLOW.search(message)):
            return ContextOverflow(said)
        return BackendError(f"{said}{_REMEDIES.get(status, '')}")

    def error_within(self, body: Mapping[str, object]) -> BackendError:
        """The error that a body of status 200 holds."""
        error = body.get("error")
        code = error.get("code") if isinstance(error, dict) else None
        return self.error(code if isinstance(code, int) and 400 <= code < 600 else 500, body)

    def _reason(self, failure: BaseException) -> str:
        """The innermost reason, which the client's own wrappers hide."""
        while failure.__cause__ is not None:
            failure = failure.__cause__
        return self._without_key(f"{type(failure).__name__}: {failure}".rstrip(": ")[:_SHOWN])

    def _without_key(self, text: str) -> str:
        return text if self._key == "none" else text.replace(self._key, "[key]")


@cache
def _trusted() -> ssl.SSLContext:
    """One context for all clients, since to load the certificates takes longer than a small step."""
    return httpx2.create_ssl_context()


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a Retry-After or retry-after-ms header asks for, None where there is no sound one."""
    if (milliseconds := _number(headers.get("retry-after-ms"))) is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    if (seconds := _number(value)) is not None or value is None:
        return seconds
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _said(body: object) -> tuple[str, object]:
    """The message and the code of an error's body, however it is wrapped."""
    inner = body.get("error", body) if isinstance(body, dict) else body
    if isinstance(inner, dict):
        return str(inner.get("message", inner))[:_SHOWN], inner.get("code") or inner.get("type")
    return str(inner)[:_SHOWN], None
