"""The answers of an OpenAI-compatible server to one request, while they arrive."""

import time
from collections.abc import Mapping
from dataclasses import replace
from math import exp
from typing import Final

from steproute.core.errors import BackendError, BackendUnavailable
from steproute.core.solution import Draft, Meter, Prefix, Sampling, Stop
from steproute.core.usage import Usage
from steproute.models.openai_settings import TELLS_STOP, OpenAiSettings
from steproute.models.prompts import Continuation, written
from steproute.models.step_cutter import StepCutter
from steproute.remote.stream import Choice, Kind, ReportedUsage

_BROKEN_OFF: Final[Mapping[Kind, str]] = {
    "llama-cpp-python": ". Set --interrupt_requests false where the server starts, or each request ends the one before."
}


class Reply:
    """The answers to one request while they arrive; the meter is final whenever the request ends."""

    def __init__(
        self,
        name: str,
        settings: OpenAiSettings,
        prefix: Prefix,
        n: int,
        sampling: Sampling,
        meter: Meter,
        prompt_tokens: int,
    ) -> None:
        self.n, self.sampling, self._meter = n, sampling, meter
        self._name, self._kind = name, settings.kind
        self.most_tokens: float = sampling.max_tokens
        self._client_stops = sampling.stop is not None and settings.stop == "client"
        self._tells_stop = settings.kind in TELLS_STOP
        self._one_step = settings.continuation is Continuation.INSTRUCT
        self._begun = bool(prefix.steps)
        echo = written(prefix) if settings.continuation is Continuation.PREFILL else ""
        self._answers = [_Answer(sampling.stop, settings.thinking, echo) for _ in range(n)]
        self._prompt_tokens, self._reported, self._request_id = prompt_tokens, False, ""
        self._began = time.monotonic()

    @property
    def cut(self) -> bool:
        """Whether nothing of what is still to come is wanted."""
        return self._client_stops and all(answer.cutter.complete or answer.finish for answer in self._answers)

    @property
    def unanswered(self) -> bool:
        """Whether nothing of an answer has come."""
        return not any(answer.pieces or answer.finish for answer in self._answers)

    def opened(self, request_id: str) -> None:
        """The server has taken the request: from now on it costs."""
        self._request_id = request_id
        self._estimate()

    def refuse(self) -> None:
        """An error came instead of an answer, or in its middle."""
        if not any(answer.pieces for answer in self._answers):
            self._meter.usage = Usage()

    def report(self, reported: ReportedUsage) -> None:
        """What the server says that it used so far."""
        most = self.n * (self.most_tokens + 1)
        pieces = sum(answer.pieces for answer in self._answers)
        if reported.sound and reported.usage.output_tokens <= most and (reported.usage.output_tokens or not pieces):
            self._reported, self._meter.usage = True, reported.usage

    def take(self, choice: Choice) -> None:
        """The next piece of an answer."""
        if not 0 <= choice.index < self.n:
            raise BackendUnavailable(f"{self._name}: answer {choice.index} of {self.n} was not asked for")
        answer = self._answers[choice.index]
        answer.take(choice)
        if not self._reported:
            self._estimate()
        elif self._tells_stop and self.n == 1 and answer.pieces > self._meter.usage.output_tokens:
            raise BackendUnavailable(f"{self._name}: a piece came twice")

    def check(self) -> None:
        """Raises BackendUnavailable where the stream ended before all answers had, BackendError for a refusal."""
        if not all(answer.finish for answer in self._answers):
            hint = _BROKEN_OFF.get(self._kind, "")
            raise BackendUnavailable(f"{self._name}: the stream broke off before the answer was complete{hint}")
        if any(answer.finish == "content_filter" for answer in self._answers):
            raise BackendError(f"{self._name}: the server's content filter stopped the answer")

    def drafts(self, context_known: bool) -> list[Draft]:
        """One draft an answer; the first is billed for the prompt."""
        usage, latency_s = self._meter.usage, time.monotonic() - self._began
        shares = _shares(usage.output_tokens, [answer.tokens for answer in self._answers])
        first = True
        drafts = []
        for answer, share in zip(self._answers, shares, strict=True):
            own = (
                replace(usage, output_tokens=share) if first else Usage(output_tokens=share, estimated=usage.estimated)
            )
            drafts.append(
                Draft(
                    model=self._name,
                    text=answer.cutter.text,
                    stop=self._stop(answer, context_known),
                    usage=own,
                    logprobs=tuple(answer.logprobs) or None,
                    first_token_entropy=answer.entropy,
                    latency_s=latency_s,
                    request_id=self._request_id,
                )
            )
            first = False
        return drafts

    def _stop(self, answer: "_Answer", context_known: bool) -> Stop:
        if answer.cutter.complete:
            return Stop.SEPARATOR
        if answer.finish == "length":
            return Stop.CONTEXT if context_known else Stop.LENGTH
        if self.sampling.stop is None or (self._client_stops and not self._one_step):
            return Stop.END
        if self._tells_stop and not self._one_step:
            return Stop.SEPARATOR if answer.stopped_at == self.sampling.stop else Stop.END
        # Other servers do not say which it was, and a step that was asked for ends by itself; after the solution's end
        # the next step comes back empty.
        return Stop.SEPARATOR if answer.cutter.text or not self._begun else Stop.END

    def _estimate(self) -> None:
        tokens = sum(answer.tokens for answer in self._answers)
        self._meter.usage = Usage(input_tokens=self._prompt_tokens, output_tokens=tokens, estimated=True)


class _Answer:
    """One of the answers while it arrives."""

    def __init__(self, separator: str | None, thinking: str, echo: str) -> None:
        self.cutter = StepCutter(separator, hide_thinking=thinking == "hide", echo=echo)
        self.finish, self.stopped_at = "", ""
        self.pieces = 0
        self.logprobs: list[float] = []
        self.entropy: float | None = None
        self._keeps_thoughts = thinking == "keep"
        self._thinking = False

    @property
    def tokens(self) -> int:
        """How many have arrived: one a log-probability, or a piece where there are none."""
        return len(self.logprobs) or self.pieces

    def take(self, choice: Choice) -> None:
        """The next piece."""
        self.pieces += bool(choice.piece or choice.thought)
        if choice.logprobs is not None:
            values, alternatives = choice.logprobs.values, choice.logprobs.first_alternatives
            if not self.logprobs and len(alternatives) > 1:
                self.entropy = -sum(exp(value) * value for value in alternatives)
            self.logprobs += values
        if self._keeps_thoughts and choice.thought:
            self.cutter.feed(choice.thought if self._thinking else f"<think>{choice.thought}")
            self._thinking = True
        if choice.piece:
            self.cutter.feed(f"</think>{choice.piece}" if self._thinking else choice.piece)
            self._thinking = False
        if choice.finish_reason:
            self.finish = choice.finish_reason
            reason = choice.stop_reason if choice.stop_reason is not None else choice.matched_stop
            self.stopped_at = reason if isinstance(reason, str) else ""


def _shares(total: int, parts: list[int]) -> list[int]:
    """`total` in proportion to the parts, exactly."""
    weight, done, shares = sum(parts) or len(parts), 0, []
    ran = 0
    for part in parts:
        ran += part if sum(parts) else 1
        share = total * ran // weight - done
        done += share
        shares.append(share)
    return shares
