"""What failures of a model's server mean, in our words."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType, ModuleType
from typing import Final

import httpx2
import msgspec

from steproute.backends.http.address import shown_address
from steproute.backends.http.api_key import ApiKey
from steproute.backends.http.body_reader import Foreign
from steproute.backends.http.error_body import ErrorBody
from steproute.backends.http.proxy import ENVIRONMENT, environments_proxy, is_unresolved
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

_SHOWN: Final = 300
_READ: Final = 20_000
_PASSING: Final = frozenset({408, 409, 425})
_NEVER_PASSING: Final = frozenset({501, 505})
_NO_OVERFLOW: Final = frozenset({401, 402, 403, 404, 429})
_UNSENT: Final = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.LocalProtocolError,
    httpx2.UnsupportedProtocol,
)
_REMEDIES: Final = {
    401: "Check the key in the variable that api_key_env names.",
    402: "The account has no money left.",
    403: "The key may not use this model.",
    404: "Check base_url (does it end in /v1?) and the model's name.",
    407: "The proxy asks for a user and a password. Set them in proxy, as http://user:password@host:port.",
}


class ServerErrors:
    """The failures of the server of the backend `name`, as BackendErrors that name its address, without a user, a
    password or the key.

    package: the client's, which has the error classes that both vendors' generated clients share.
    """

    def __init__(self, name: str, server: Server, key: ApiKey, proxy: str, package: ModuleType) -> None:
        self._name, self._server, self._key, self._proxy, self._package = name, server, key, proxy, package
        self._at = f" (at {key.hidden_in(shown_address(server.url))})"

    @contextmanager
    def unpaid_if_refused(self, unpaid: Callable[[], None]) -> Iterator[None]:
        """A request. Calls `unpaid` if the server refuses it or never gets it, so that nothing was computed."""
        package = self._package
        try:
            yield
        except (package.APIStatusError, package.APIConnectionError, BackendError, UnicodeEncodeError) as failure:
            if not isinstance(failure, package.APIConnectionError) or isinstance(failure.__cause__, _UNSENT):
                unpaid()
            raise

    @contextmanager
    def translated(self) -> Iterator[None]:
        """A call, whose failures are raised in our words."""
        name, at, package = self._name, self._at, self._package
        try:
            yield
        except TimeoutError:
            raise BackendTimeout(f"no complete answer within {self._server.total_s:g} s{at}", where=name) from None
        except (package.APITimeoutError, httpx2.TimeoutException) as failure:
            reason = self._reason(failure)
            raise BackendTimeout(f"{reason}; no answer in time{at}{self._way(failure)}", where=name) from None
        except package.APIStatusError as failure:
            if 300 <= failure.status_code < 400:
                raise self._redirected(failure.response) from None
            raise self.for_status(failure.status_code, failure.body or str(failure), failure.response.headers) from None
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

    def for_status(self, status: int, body: object, headers: Mapping[str, str] = MappingProxyType({})) -> BackendError:
        """What a status and the body that came with it mean; the error carries the status."""
        failure = self._meaning(status, body, headers)
        failure.where = failure.where or self._name
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

    def in_body(self, body: Mapping[str, object]) -> BackendError:
        """The error that a body of status 200 holds."""
        return self.for_status(ErrorBody.of(body).status, body)

    def in_event(self, error: Mapping[str, object] | None, foreign: Foreign | None) -> BackendError | None:
        """The failure that an event of an answer is, if it is one."""
        if error is not None:
            return self.in_body(error)
        return None if foreign is None else self.foreign(foreign)

    def foreign(self, foreign: Foreign) -> BackendError:
        """What it means that something else than a model's answer came with status 200."""
        return BackendError(
            f"{shown_address(self._server.url)} answers with {self._shown(foreign.what)}, which is no model's answer.",
            where=f"{self._name}: base_url",
            remedy="Does base_url end in /v1, or in the path that the server's documents give?",
        )

    def _to_wait_for(self, kind: type[TransientError], shown: str, wait_s: float | None) -> BackendError:
        """An error that may pass, unless the server asks for more time than one may wait."""
        longest = self._server.longest_wait_s
        if wait_s is None or wait_s <= longest:
            return kind(shown, wait_s)
        return BackendError(
            f"{shown}. It asks to wait {_time(wait_s)}, longer than longest_wait_s = {longest:g}.",
            remedy="Run the same command again after that time. Set longest_wait_s higher to wait for it.",
        )

    def _way(self, failure: BaseException) -> str:
        """What the proxy, or that there is none, may have to do with a failure."""
        if self._proxy:
            source = "the environment names it" if self._server.proxy == ENVIRONMENT else "set by proxy"
            return f" (through the proxy {shown_address(self._proxy)}, {source})"
        if is_unresolved(failure) and environments_proxy(self._server.url):
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
            return BackendError(shown, where=self._name, remedy=f"Set base_url to {better}.")
        below = address.path.removeprefix(httpx2.URL(self._server.root).path.rstrip("/"))
        if target.path.endswith(below):
            version = self._server.url.rstrip("/").removeprefix(self._server.root)
            root = str(target.copy_with(path=target.path.removesuffix(below) or "/")).rstrip("/")
            better = self._shown(root + version)
        return BackendError(
            f"{shown} to {self._shown(str(target))}", where=self._name, remedy=f"Set base_url to {better}."
        )

    def _reason(self, failure: BaseException) -> str:
        """The innermost reason, which the client's own wrappers hide."""
        while failure.__cause__ is not None:
            failure = failure.__cause__
        return self._shown(f"{type(failure).__name__}: {failure}".rstrip(": "))

    def _shown(self, text: str) -> str:
        """The text's beginning without the key, which goes before the cut: half of one is no less a leak."""
        return self._key.hidden_in(text[:_READ])[:_SHOWN]

    def _refused(self, body: str) -> tuple[str, ...]:
        """Fields of the request that an error's body refuses; none for servers whose settings say which are sent."""
        return ()


def _time(seconds: float) -> str:
    """Seconds in words."""
    if seconds == float("inf"):
        return "without end"
    return f"{seconds:g} s" if seconds < 600 else f"{seconds:.0f} s ({seconds / 3600:.3g} h)"
