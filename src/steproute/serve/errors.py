"""Errors as OpenAI's clients read them, and which status each of steproute's errors has."""

import logging
import re
from collections.abc import Mapping
from math import ceil
from typing import Any, Final

from steproute.core.errors import (
    ArtifactError,
    ConfigError,
    DatasetError,
    FieldRefused,
    RequestError,
    SteprouteError,
    StorageError,
)
from steproute.solving import NotALabProblem
from steproute.store import BudgetRefused, TenantSuspended

_LOG: Final = logging.getLogger("steproute.serve")
_ADDRESS: Final = re.compile(r"https?://[^\s,;)\"']+")
NEVER_RETRY: Final = {"x-should-retry": "false"}
"""OpenAI's and Anthropic's clients retry 429 and 5xx by themselves, unless told not to."""


class ApiError(Exception):
    """A refusal or failure with its HTTP status.

    type and code: OpenAI's words where there are some. param: the field of the request that is wrong. headers: such as
    Retry-After.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] = {},
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.type, self.code, self.param = status, message, type, code, param
        self.headers = dict(headers)

    @property
    def body(self) -> dict[str, Any]:
        """What the client gets."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}


def refused_field(param: str, why: str, code: str = "unsupported_parameter") -> ApiError:
    """A field of the request that cannot be done; it is never dropped without a word."""
    return ApiError(400, f"{param}: {why}", code=code, param=param)


def api_error(failure: SteprouteError) -> ApiError:
    """The error of steproute as the client gets it."""
    if isinstance(failure, BudgetRefused):
        return _refused(failure)
    if isinstance(failure, TenantSuspended):
        message = "This tenant is suspended, so nothing was sent to a model. Ask the operator of this gateway."
        return ApiError(403, message, type="permission_error", code="tenant_suspended")
    if isinstance(failure, StorageError):
        return ApiError(
            503,
            "The ledger cannot be reached, so nothing was sent to a model.",
            type="server_error",
            code="ledger_unavailable",
            headers={"retry-after": "1"},
        )
    if isinstance(failure, NotALabProblem):
        remedy = "The gateway serves the bundled lab. Give it your models: steproute serve --config steproute.toml."
        return ApiError(400, f"{failure.reason} {remedy}", param="messages")
    if isinstance(failure, RequestError):
        return ApiError(400, str(failure), param=failure.where or None)
    if isinstance(failure, ConfigError | ArtifactError | DatasetError):
        return _misconfigured(failure)
    if isinstance(failure, FieldRefused):
        named = failure.where.startswith(failure.fields)  # else it is the model, whose server has refused them
        name = failure.where if named else ", ".join(failure.fields)
        return refused_field(name, without_address(f"{failure.message} {failure.remedy}".strip()))
    return upstream_failure(str(failure))


def _misconfigured(failure: SteprouteError) -> ApiError:
    """What the operator has to mend: the log says what it is, and the client only that it is none of its own."""
    _LOG.error("the configuration cannot answer this request: %s", failure)
    message = "The gateway is not configured to answer this request. Its log says more."
    return ApiError(500, message, type="server_error", code="misconfigured", headers=NEVER_RETRY)


def without_address(text: str) -> str:
    """A text for clients: where a model's server is, is no concern of theirs."""
    return _ADDRESS.sub("its server", text)


def upstream_failure(message: str) -> ApiError:
    """A model or a scorer failed for good: it was tried again already, as the route's limits say."""
    return ApiError(502, without_address(message), type="api_error", code="upstream_failed", headers=NEVER_RETRY)


def overloaded(message: str, retry_after_s: float) -> ApiError:
    """The gateway takes no further request for now."""
    return ApiError(
        503, message, type="server_error", code="overloaded", headers={"retry-after": f"{max(1, round(retry_after_s))}"}
    )


def client_left() -> ApiError:
    """Nobody reads this; it is counted among the refusals."""
    return ApiError(499, "The client closed the connection.", code="client_closed_request")


def interrupted() -> ApiError:
    """The gateway itself ended a request, because it stops or has lost the reservation."""
    return ApiError(
        503,
        "The gateway ended the request before its answer was complete.",
        type="server_error",
        code="interrupted",
        headers={"retry-after": "1"},
    )


def _refused(failure: BudgetRefused) -> ApiError:
    """A spent budget is 402, which no client retries; what passes by itself is 429 with the seconds to wait."""
    if failure.kind == "budget":
        return ApiError(402, str(failure), type="insufficient_quota", code="budget_exceeded", headers=NEVER_RETRY)
    wait_s = failure.retry_after_s
    headers = NEVER_RETRY if wait_s is None else {"retry-after": str(max(1, ceil(wait_s)))}
    code = "rate_limit_exceeded" if failure.kind == "rate" else "budget_reserved"
    return ApiError(429, str(failure), type="rate_limit_error", code=code, headers=headers)
