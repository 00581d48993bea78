"""How long servers ask to wait, in every form, and that no wait is longer than allowed."""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from math import inf, isfinite
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.backends.http.hostile import Asked, HostileServer
from tests.backends.http.test_faults import PROBLEM

from steproute.backends.http.connection import Connection
from steproute.backends.http.retry_after import retry_after
from steproute.backends.http.server import Server
from steproute.backends.openai.model import OpenAiModel
from steproute.backends.openai.settings import OpenAiSettings
from steproute.core.errors import BackendError, BackendUnavailable, ConfigError, RateLimited, TransientError
from steproute.core.solution import Outcome
from steproute.core.trace import Trace
from steproute.core.usage import FREE
from steproute.engine.episode import Episode
from steproute.engine.roles import ModelRole, Roles
from steproute.strategies.single import Single

GEMINI = {
    "error": {"code": 429, "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"}]}
}


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": " 2.5 "}, 2.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "86400"}, 86400.0),
        ({"retry-after": "1e3"}, 1000.0),
        ({"retry-after": "9" * 400}, inf),
        ({"retry-after": "30s"}, 30.0),
        ({"retry-after": "1m30s"}, 90.0),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"x-ms-retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "Wednesday, 21-Oct-15 07:28:00 GMT"}, 0.0),
        ({"retry-after": "Wed Oct 21 07:28:00 2015"}, 0.0),
        ({"retry-after": "2015-10-21T07:28:00Z"}, 0.0),
        *(
            ({"retry-after": text}, None)
            for text in ("-1", "nan", "NaN", "inf", "-inf", "soon", "", "٣", "0x10", "1_0")
        ),
        ({"retry-after": "Wed, 99 Oct 2015 07:28:00 GMT"}, None),
        ({"retry-after": "Wed, 21 Oct 99999999999 07:28:00 GMT"}, None),
        ({}, None),
    ],
)
def test_a_header_is_read_in_all_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


@pytest.mark.parametrize("form", [format_datetime, lambda date: format_datetime(date, usegmt=True), datetime.isoformat])
def test_a_date_is_a_wait_until_then(form: Any) -> None:
    wait = retry_after({"retry-after": form(datetime.now(UTC) + timedelta(seconds=90))})
    assert wait is not None
    assert 85 < wait <= 90


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        (GEMINI, 34.0),
        ([GEMINI], 34.0),
        ({"error": {"details": [{"retryDelay": "45.837906927s"}]}}, 45.837906927),
        ({"error": {"details": [{"metadata": {"quotaResetDelay": "373.801628ms"}}]}}, 0.373801628),
        ({"error": {"retry_after": 12}}, 12.0),
        ({"retry_after_ms": 1500}, 1.5),
        ({"error": {"retryAfterSeconds": "7"}}, 7.0),
        ({"error": {"retry_after": -5, "message": "Please try again in 8s."}}, 8.0),
        ({"error": {"message": "Rate limit reached. Please try again in 20s. Visit https://example.com."}}, 20.0),
        ({"error": {"message": "Please try again in 1m30s."}}, 90.0),
        ({"error": {"message": "Please try again in 7.66s."}}, 7.66),
        ({"error": {"message": "Please try again in 6ms."}}, 0.006),
        ({"error": {"message": "Please try again in 2h7m23s."}}, 7643.0),
        ({"error": {"message": "try again in 1 minute 5 seconds"}}, 65.0),
        ({"error": {"message": "Please retry in 26.660853464s."}}, 26.660853464),
        ({"error": {"message": "Please retry after 26 seconds."}}, 26.0),
        ({"error": {"message": "Your quota will reset after 3 hours."}}, 10800.0),
        ({"error": {"message": "Limit resets in 2 days"}}, 172800.0),
        ("Please try again in 12 sec", 12.0),
        ({"error": {"message": "Too many tokens: at most 30 s of audio."}}, None),
        ({"error": {"message": "Please try again later."}}, None),
        ({"error": {"message": "try again in 5 attempts"}}, None),
        ({"error": {"retry_after": True}}, None),
        ("", None),
        (None, None),
    ],
)
def test_a_body_is_read_in_all_its_forms(body: object, seconds: float | None) -> None:
    found = retry_after({}, body)
    assert found == (None if seconds is None else pytest.approx(seconds))
    assert retry_after({"retry-after": "3"}, body) == 3.0, "a header counts first"


@given(st.text(max_size=40), st.recursive(st.text(max_size=20), lambda x: st.dictionaries(st.text(max_size=9), x)))
def test_whatever_is_said_a_wait_is_a_time_or_none(header: str, body: object) -> None:
    wait = retry_after({"retry-after": header}, body)
    assert wait is None or wait >= 0


@pytest.mark.parametrize("status", [408, 429, 503, 529])
@pytest.mark.parametrize(
    ("wait", "said"),
    [("121", "121 s"), ("86400", "86400 s (24 h)"), ("9" * 400, "without end"), ("1h", "3600 s (1 h)")],
)
def test_a_wait_beyond_the_bound_fails_with_the_reason_and_the_time(status: int, wait: str, said: str) -> None:
    server = Connection("weak", Server(base_url="http://127.0.0.1:1/v1"))
    failure = server.errors.for_status(status, {"error": {"message": "tokens per day reached"}}, {"retry-after": wait})
    assert isinstance(failure, BackendError)
    assert not isinstance(failure, TransientError)
    assert (
        f"tokens per day reached (at http://127.0.0.1:1/v1). It asks to wait {said}, longer than longest_wait_s = 120."
        in str(failure)
    )


@pytest.mark.parametrize(("status", "kind"), [(429, RateLimited), (503, BackendUnavailable)])
@pytest.mark.parametrize(("longest", "wait"), [(120.0, "120"), (0.0, "0"), (1e6, "86400"), (inf, "9" * 400)])
def test_a_wait_within_the_bound_is_waited_for(
    status: int, kind: type[TransientError], longest: float, wait: str
) -> None:
    server = Connection("weak", Server(base_url="http://127.0.0.1:1/v1", longest_wait_s=longest))
    failure = server.errors.for_status(status, {}, {"retry-after": wait})
    assert type(failure) is kind
    assert failure.retry_after_s == float(wait)  # type: ignore[attr-defined]


@pytest.mark.parametrize("longest", [-1.0, float("nan"), -inf])
def test_a_bound_that_is_no_time_is_refused(longest: float) -> None:
    with pytest.raises(ConfigError, match="longest_wait_s"):
        Server(base_url="http://127.0.0.1:1/v1", longest_wait_s=longest)


class Refusing(HostileServer):
    """Refuses every request, and says in its body for how long."""

    async def _stream(self, request: Asked, writer: asyncio.StreamWriter, reader: asyncio.StreamReader) -> bool:
        return await self._send(writer, 429, {"error": {"message": "Daily quota. Please try again in 23h59m."}})


def test_a_problem_does_not_wait_for_a_daily_quota() -> None:
    async def run() -> tuple[Trace, int]:
        server = Refusing(lambda request: None)
        async with server.running():
            model = OpenAiModel("m", OpenAiSettings(model="m", server=Server(base_url=server.url), template="none"))
            writer = ModelRole(model=model, price=FREE)
            trace = await asyncio.wait_for(
                Episode(PROBLEM, Roles(models={"weak": writer}), route="t").run(Single("weak")), 5
            )
            return trace, len(server.asked)

    trace, asked = asyncio.run(run())
    assert (trace.outcome, asked) == (Outcome.FAILED, 1)
    assert "Daily quota" in (trace.error or "")
    assert "86340 s (24 h)" in (trace.error or "")
    assert isfinite(trace.latency_s)
