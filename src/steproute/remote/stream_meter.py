"""What a streamed request to an OpenAI-compatible server has used, and whether its answers ended as they should."""

from math import inf
from typing import Final

from steproute.core.errors import BackendError, BackendUnavailable
from steproute.core.solution import Meter
from steproute.core.usage import Usage
from steproute.remote.stream import ReportedUsage

FULL: Final = "model_length"
"""How an answer ends that fills the model's context, by some servers."""
LENGTH: Final = ("length", "max_tokens", FULL)
_REGULAR: Final = ("stop", "eos", "eos_token", "stop_sequence", "end_turn", "complete", *LENGTH)


class StreamMeter:
    """Keeps a meter up to date while answers arrive, estimated until the server reports counts that can be; it is final
    whenever the request ends.

    most_tokens: how many all answers together may have; more is no count.
    """

    def __init__(self, meter: Meter, prompt_tokens: int) -> None:
        self.most_tokens, self.reported = inf, False
        self._meter, self._prompt_tokens, self._tokens = meter, prompt_tokens, 0

    @property
    def usage(self) -> Usage:
        """What it has used so far."""
        return self._meter.usage

    def opened(self) -> None:
        """The server has taken the request: from now on it costs."""
        self._estimate()

    def refuse(self) -> None:
        """An error came instead of an answer, or in its middle."""
        if not self._tokens:
            self._meter.usage = Usage()

    def arrived(self, tokens: int) -> None:
        """So many tokens of all answers are here."""
        self._tokens = tokens
        if not self.reported:
            self._estimate()

    def report(self, reported: ReportedUsage) -> None:
        """What the server says that it used so far."""
        usage = reported.usage
        written = usage.output_tokens - usage.reasoning_tokens  # some servers limit only what is no thought
        if reported.sound and written <= self.most_tokens and (usage.output_tokens or not self._tokens):
            self.reported, self._meter.usage = True, usage

    def _estimate(self) -> None:
        self._meter.usage = Usage(input_tokens=self._prompt_tokens, output_tokens=self._tokens, estimated=True)


def check_finish(name: str, reason: str, hint: str = "") -> None:
    """Raises BackendUnavailable for an answer that ended early or for no regular reason, BackendError for a refusal.

    hint: what may help against a stream that breaks off.
    """
    if not reason:
        raise BackendUnavailable(f"{name}: the stream broke off before the answer was complete{hint}")
    if reason == "content_filter":
        raise BackendError(f"{name}: the server's content filter stopped the answer")
    if reason not in _REGULAR:
        raise BackendUnavailable(f"{name}: the answer ended by {reason!r}, which is no regular end")
