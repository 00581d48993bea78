"""An adaptive concurrency limiter with a circuit breaker."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Final

from steproute.core.errors import (
    BackendTimeout,
    BackendUnavailable,
    BudgetExceeded,
    CircuitOpen,
    ConfigError,
    RateLimited,
    SpendingLimitReached,
)
from steproute.core.solution import Meter

_CUT: Final = 0.8
_FIRST_LIMIT: Final = 8.0
_GUESSED_TOKENS: Final = 1000.0
_LEAST_WAIT_S: Final = 0.001


def slot_at(limiter: "Limiter | None", meter: Meter) -> AbstractAsyncContextManager[None]:
    """A slot at the backend's limiter; no wait if it has none."""
    return limiter.slot(meter) if limiter else nullcontext()


@dataclass(frozen=True, slots=True, kw_only=True)
class LimiterSettings:
    """in_flight: maximum requests at once. tokens_per_minute: tokens read and written, None for no limit. After
    `failures_to_open` failures in a row the circuit opens: no request for `cooldown_s` seconds, then one probe.

    Raises ConfigError for a number below 1, and a cooldown that is not above 0.
    """

    in_flight: int = 64
    tokens_per_minute: int | None = None
    failures_to_open: int = 8
    cooldown_s: float = 10.0

    def __post_init__(self) -> None:
        for name in ("in_flight", "failures_to_open"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{getattr(self, name)} is below 1.", where=name, remedy="Give 1 or more.")
        if self.tokens_per_minute is not None and self.tokens_per_minute < 1:
            raise ConfigError(
                f"{self.tokens_per_minute} is below 1.", where="tokens_per_minute", remedy="Leave it out for no limit."
            )
        if not self.cooldown_s > 0:
            raise ConfigError(
                f"{self.cooldown_s} is not above 0.", where="cooldown_s", remedy="Give a number of seconds."
            )


class Limiter:
    """The requests of all problems to one backend: first come, first served, within the backend's capacity.

    The number of requests at once starts low and grows by one per full round without a failure. A 429 cuts it by a
    fifth, once for all requests that were under way together, and a Retry-After stops new ones for that time. Server
    errors do not reduce it, but many in a row open the circuit: requests fail immediately with CircuitOpen until a
    probe succeeds.
    """

    def __init__(self, settings: LimiterSettings = LimiterSettings(), name: str = "backend") -> None:
        self.settings, self.name = settings, name
        self.limit = min(_FIRST_LIMIT, settings.in_flight)
        self.under_way = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._failures = self._failed_probes = 0
        self._last_failure = ""
        self._closed_until = self._open_until = 0.0
        self._now: Callable[[], float] = time.monotonic
        self._probing = False
        self._started = self._cut_at = 0
        self._tokens, self._filled_at = float(settings.tokens_per_minute or 0), 0.0
        self._mean_tokens = min(_GUESSED_TOKENS, self._tokens)

    @property
    def pause_s(self) -> float:
        """Remaining seconds for which the backend wants no request."""
        return max(0.0, self._closed_until - self._now())

    @property
    def is_open(self) -> bool:
        """Whether the circuit is open: no request is made but a probe."""
        return self._failures >= self.settings.failures_to_open

    @property
    def refuses(self) -> bool:
        """Whether a request would fail at once: the circuit is open, and it is not yet time for a probe."""
        return self.is_open and (self._probing or self._now() < self._open_until)

    @asynccontextmanager
    async def slot(self, meter: Meter) -> AsyncIterator[None]:
        """Wait for a slot and hold it as long as the context. The wait is added to `meter`.

        Raises CircuitOpen at once while the circuit is open, and BackendUnavailable for a speculative call if no slot
        is free or the backend's last call failed.
        """
        clock = asyncio.get_running_loop().time
        requested_at = clock()
        if meter.speculative and not self._free(requested_at):
            raise BackendUnavailable("no slot is free for a speculative call", where=self.name)
        await self._admit()
        meter.wait_s += clock() - requested_at
        self._started += 1
        place, probe = self._started, self._probing
        try:
            yield
        except RateLimited as failure:
            self._slow_down(place, failure.retry_after_s)
            raise
        except (BackendUnavailable, BackendTimeout) as failure:
            self._fail(failure, probe)
            raise
        except (BudgetExceeded, SpendingLimitReached):  # no request was sent
            raise
        except Exception:  # it answered, though not as expected
            self._failures = self._failed_probes = 0
            raise
        else:
            self._succeed()
        finally:
            if probe:
                self._probing = False
            self._settle(meter.total.read_tokens + meter.total.output_tokens)
            self.under_way -= 1
            self._wake()

    async def _admit(self) -> None:
        clock = asyncio.get_running_loop().time
        self._refuse_while_open(clock())
        if self.under_way >= int(self.limit) or self._waiting:
            slot = asyncio.get_running_loop().create_future()
            self._waiting.append(slot)
            try:
                await slot
            except asyncio.CancelledError:
                if slot.done() and not slot.cancelled():  # granted at the same moment: pass it on
                    self.under_way -= 1
                    self._wake()
                elif slot in self._waiting:
                    self._waiting.remove(slot)
                raise
        else:
            self.under_way += 1
        try:
            await self._wait_for_quota()
            self._refuse_while_open(clock())
            if self.settings.tokens_per_minute is not None:
                self._tokens -= self._mean_tokens
        except BaseException:
            self.under_way -= 1
            self._wake()
            raise
        self._probing = self._probing or self.is_open

    def _free(self, now: float) -> bool:
        crowded = self._waiting or self.under_way >= int(self.limit)
        return not (crowded or self._failures or max(self._closed_until - now, self._quota_wait(now)) > 0)

    def _refuse_while_open(self, now: float) -> None:
        if not self.is_open or (now >= self._open_until and not self._probing):
            return
        wait = max(self._open_until - now, 0.1)
        raise CircuitOpen(
            f"{self.name}: circuit open after {self._failures} failures in a row, of which the last was: "
            f"{self._last_failure}. The next try is let through in {wait:.1f} s",
            wait,
            self._failed_probes,
        )

    async def _wait_for_quota(self) -> None:
        """Wait until the Retry-After is over and a call of mean size fits into the tokens of this minute."""
        clock = asyncio.get_running_loop().time
        while (wait := max(self._closed_until - clock(), self._quota_wait(clock()))) > 0:  # noqa: ASYNC110
            await asyncio.sleep(max(wait, _LEAST_WAIT_S))  # a wait as short as a rounding error never ends

    def _quota_wait(self, now: float) -> float:
        if self.settings.tokens_per_minute is None:
            return 0.0
        tokens_per_second = self.settings.tokens_per_minute / 60
        if self._filled_at:
            self._tokens = min(
                self.settings.tokens_per_minute, self._tokens + (now - self._filled_at) * tokens_per_second
            )
        self._filled_at = now
        return max(0.0, (self._mean_tokens - self._tokens) / tokens_per_second)

    def _settle(self, used: int) -> None:
        if self.settings.tokens_per_minute is not None:
            self._tokens += self._mean_tokens - used
            self._mean_tokens += 0.1 * (min(used, self.settings.tokens_per_minute) - self._mean_tokens)

    def _slow_down(self, place: int, retry_after_s: float | None) -> None:
        self._failures = self._failed_probes = 0
        if place > self._cut_at:
            self.limit, self._cut_at = max(1.0, self.limit * _CUT), self._started
        if retry_after_s is not None:
            self._now = asyncio.get_running_loop().time  # other threads may read it, too
            self._closed_until = max(self._closed_until, self._now() + retry_after_s)

    def _fail(self, failure: Exception, probe: bool) -> None:
        self._failures, self._last_failure = self._failures + 1, str(failure).rstrip(".")
        self._failed_probes += probe
        if self.is_open:
            self._now = asyncio.get_running_loop().time
            self._open_until = self._now() + self.settings.cooldown_s

    def _succeed(self) -> None:
        self._failures = self._failed_probes = 0
        if self.under_way >= int(self.limit):
            self.limit = min(float(self.settings.in_flight), self.limit + 1 / self.limit)

    def _wake(self) -> None:
        while self._waiting and self.under_way < int(self.limit):
            slot = self._waiting.popleft()
            if not slot.done():
                self.under_way += 1
                slot.set_result(None)
