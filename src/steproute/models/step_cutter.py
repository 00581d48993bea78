"""Text that arrives in pieces, cut where the step ends."""

from typing import Final

_THINK: Final = ("<think>", "</think>")


class StepCutter:
    """Collects the text of one step until `separator`, which may come in pieces and does not become part of it.

    Separators before the first text are skipped, since servers that trim a half-written answer have the model write
    its closing separator again. separator: None collects everything. hide_thinking: leaves out `<think>…</think>`, in
    which separators do not count. echo: the half-written answer, where a server may send that before it goes on.
    """

    def __init__(self, separator: str | None, *, hide_thinking: bool = False, echo: str = "") -> None:
        self._separator, self._hide, self._echo = separator, hide_thinking, echo
        self._raw = ""
        self.complete = False

    def feed(self, piece: str) -> bool:
        """Take the next piece; True once the step is complete, after which pieces are dropped."""
        if not self.complete:
            self._raw += piece
            self.complete = self._cut()[1]
        return self.complete

    @property
    def text(self) -> str:
        """The step so far."""
        return self._cut()[0]

    def _cut(self) -> tuple[str, bool]:
        seen = self._spoken() if self._hide else self._raw
        seen = "" if self._echo.startswith(seen) else seen.removeprefix(self._echo)
        if self._separator is None:
            return seen, False
        seen = seen.lstrip("\n") if self._separator.isspace() else seen.removeprefix(self._separator)
        text, found, _ = seen.partition(self._separator)
        return text, bool(found)

    def _spoken(self) -> str:
        before, opened, thought = self._raw.partition(_THINK[0])
        if not opened:
            return before
        return before + thought.partition(_THINK[1])[2]
