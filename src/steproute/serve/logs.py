"""Logs: one JSON object per line on stderr, among them one line per request. Neither prompts nor keys are in them."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Final

from steproute.core.solution import Outcome
from steproute.core.trace import Trace, total_usage
from steproute.serve.observed import Observed, observed
from steproute.serve.redaction import frames_of

_LOG: Final = logging.getLogger("steproute.serve.requests")
_FIELDS: Final = "fields"


class JsonLines(logging.Formatter):
    """A record as JSON, with the ids of the request that it was written for.

    with_texts: whether an exception's message is written, which may quote a conversation.
    """

    def __init__(self, *, with_texts: bool = True) -> None:
        super().__init__()
        self._with_texts = with_texts

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (fields := record.__dict__.get(_FIELDS)) is not None:
            line |= fields
        elif (request := observed()) is not None:
            line |= {"request_id": request.id, "trace_id": request.trace_id}
        if record.exc_info and record.exc_info[1] is not None:
            failure = record.exc_info[1]
            line["exception"] = self.formatException(record.exc_info) if self._with_texts else frames_of(failure)
        return json.dumps(line)


def log_to_stderr(*, with_texts: bool = True) -> None:
    """Write the gateway's and its server's records to stderr as JSON lines, with the messages of exceptions or not."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(with_texts=with_texts))
    root = logging.getLogger()
    root.handlers, root.level = [handler], logging.WARNING
    logging.getLogger("steproute").setLevel(logging.INFO)


def log_request(request: Observed) -> None:
    """The line of one request."""
    failed = request.status >= 500 or request.outcome == Outcome.FAILED
    level = logging.ERROR if failed else logging.INFO
    _LOG.log(level, "request", extra={_FIELDS: _fields(request)})


def _fields(request: Observed) -> dict[str, Any]:
    principal, first_s = request.principal, request.first_step_s
    return {
        "request_id": request.id,
        "trace_id": request.trace_id,
        "tenant": principal.tenant if principal else "",
        "key_id": principal.key_id if principal else "",
        "method": request.method,
        "path": request.path,
        "route": request.route,
        "outcome": request.outcome,
        "status": request.status,
        "error": request.error,
        "at_fault": (request.trace.at_fault if request.trace else None) or "",
        **_used(request.trace),
        "seconds": round(request.seconds, 6),
        "first_step_s": None if first_s is None else round(first_s, 6),
    }


def _used(trace: Trace | None) -> dict[str, Any]:
    total = total_usage(trace.account if trace else ())
    return {
        "input_tokens": total.read_tokens,
        "output_tokens": total.output_tokens,
        "cost_usd": f"{trace.cost_usd:f}" if trace else "0",
    }
