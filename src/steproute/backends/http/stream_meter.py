"""What a streamed request to a model server has used so far."""

from math import inf
from typing import Final

from steproute.backends.http.token_counts import TokenCounts
from steproute.core.recording import estimated_tokens
from steproute.core.solution import Meter
from steproute.core.usage import Usage

_LONGEST_TOKEN: Final = 16


class StreamMeter:
    """Keeps a meter up to date while answers arrive: what the server reports, and an estimate of what it does not.

    most_tokens: the maximum of all answers together; more is no count. reported: whether the server counts the output.
    """

    def __init__(self, meter: Meter, prompt_tokens: int) -> None:
        self.most_tokens, self.reported = inf, False
        self._meter, self._ended = meter, False
        self._pieces = self._tokens = self._reasoning = 0
        self._estimated_input = Usage(input_tokens=prompt_tokens, estimated=True)
        self._counts = TokenCounts()
        self._growth = _Growth()

    @property
    def usage(self) -> Usage:
        """What it has used so far."""
        return self._meter.usage

    def sent(self) -> None:
        """The request goes out: from now on it costs, since a server reads it before it answers."""
        self._update()

    def discard(self) -> None:
        """An error came instead of an answer, or in its middle, or the request never arrived."""
        if not self._tokens:
            self._meter.usage = Usage()

    def arrived(self, pieces: int, tokens: int, reasoning: int = 0) -> None:
        """So many pieces of all answers are here, with about so many tokens, of which `reasoning` are of that."""
        self._pieces, self._tokens, self._reasoning = pieces, tokens, reasoning
        self._update()

    def report(self, counts: TokenCounts) -> None:
        """What the server says that it used so far."""
        if counts.possible:
            self._counts = self._counts.updated(counts)
            self._growth.take(self._pieces, counts.completion or 0)
            self._update()

    def ended(self) -> None:
        """The answers are complete, so the last counts are those of the whole."""
        self._ended = True
        self._update()

    def _update(self) -> None:
        wrote = self._counts.output
        self.reported = wrote is not None and self._credible(wrote)
        if wrote is None or not self.reported:
            wrote = Usage(output_tokens=self._tokens, reasoning_tokens=self._reasoning, estimated=True)
        self._meter.usage = (self._counts.input or self._estimated_input) + wrote

    def _credible(self, wrote: Usage) -> bool:
        """Whether this can be the count of what has come. While an answer arrives, counts may lag behind."""
        least = min(1, self._pieces) if self._ended and not self._growth.missing else self._pieces
        limited = wrote.output_tokens - wrote.reasoning_tokens  # some servers limit only what is no reasoning
        return least <= wrote.output_tokens and limited <= self.most_tokens


class _Growth:
    """Whether counts that come with the pieces stay where they are: such servers count each piece alone."""

    def __init__(self) -> None:
        self._reports, self._at, self._last, self._grew = 0, -1, 0, False

    def take(self, pieces: int, count: int) -> None:
        if pieces > self._at and count:
            self._grew |= 0 < self._last < count
            self._reports, self._at, self._last = self._reports + 1, pieces, count
        elif count > self._last:
            self._grew = True

    @property
    def missing(self) -> bool:
        return self._reports > 1 and not self._grew


def tokens_in(piece: str) -> int:
    """How many tokens a piece of a stream holds at least, by its length: servers send one or several at once."""
    return 1 if 0 < len(piece) <= _LONGEST_TOKEN else estimated_tokens(piece)
