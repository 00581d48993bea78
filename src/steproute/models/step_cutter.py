"""Text that arrives in pieces, cut where the step ends."""

from steproute.models.thoughts import CLOSE, ends_in_thought, without_thoughts


class StepCutter:
    """Collects the text of one step until `separator`, which may come in pieces and does not become part of it.

    Separators before the first text are skipped, since servers that trim a half-written answer have the model write
    its closing separator again. to_end: collects everything after them. hide_thinking: leaves out thoughts, in which
    separators do not count. thinks: whether the text begins inside a thought; None where it may, and then no step is
    complete before a thought is. echo: the half-written answer, where a server may send that before it goes on.
    """

    def __init__(
        self,
        separator: str,
        *,
        to_end: bool = False,
        hide_thinking: bool = False,
        thinks: bool | None = False,
        echo: str = "",
    ) -> None:
        self.thinks = thinks
        self._separator, self._to_end, self._hide, self._echo = separator, to_end, hide_thinking, echo
        self._raw, self._dropped = "", 0
        self.complete = False

    def feed(self, piece: str) -> bool:
        """Take the next piece; True once the step is complete, after which pieces are dropped."""
        if self.complete:
            self._dropped += len(piece)
        else:
            self._raw += piece
            closed = bool(self._cut()[1])
            self.complete = closed and not (self._hide and self.thinks is None and CLOSE not in self._raw)
        return self.complete

    @property
    def text(self) -> str:
        """The step so far, as if no more came."""
        return self._cut(ended=True)[0]

    @property
    def closed(self) -> bool:
        """Whether a separator ends the step, if no more came."""
        return bool(self._cut(ended=True)[1])

    @property
    def beyond(self) -> int:
        """How many characters came after the separator that ends the step."""
        return len(self._cut(ended=True)[2]) + self._dropped

    @property
    def left_out(self) -> bool:
        """Whether thoughts are hidden, and there were any."""
        return self._hide and self._spoken() != self._raw

    @property
    def in_thought(self) -> bool:
        """Whether what came last is hidden."""
        inside = bool(self.thinks) and CLOSE not in self._raw
        return self._hide and (inside or ends_in_thought(self._raw))

    def _cut(self, ended: bool = False) -> tuple[str, str, str]:
        """The step, the separator that ends it (empty where there is none yet), and what came after that."""
        seen = self._spoken() if self._hide else self._raw
        if not ended and self._echo.startswith(seen):
            seen = ""
        seen = seen.removeprefix(self._echo)
        seen = seen.lstrip("\n") if self._separator.isspace() else seen.removeprefix(self._separator)
        if self._to_end:
            return seen, "", ""
        return seen.partition(self._separator)

    def _spoken(self) -> str:
        return without_thoughts(self._raw, begins_in_thought=bool(self.thinks))
