"""Text that arrives in pieces, cut at the end of the step."""

from copy import copy

from steproute.backends.reasoning import SpokenText
from steproute.core.splitting import FirstStep


class StepCutter:
    """Collects the text of one step until `separator`, which may come in pieces and does not become part of it.

    Separators before the first text are skipped, since servers that trim a half-written answer have the model write
    its closing separator again. to_end: collects everything after them. hide_reasoning: leaves out reasoning, in
    which separators do not count. begins_in_reasoning: whether the text begins inside reasoning; None if it may, and
    then no step is complete before reasoning is. echo: the half-written answer, if a server may send that before it
    continues. The time is linear in the text.
    """

    def __init__(
        self,
        separator: str,
        *,
        to_end: bool = False,
        hide_reasoning: bool = False,
        begins_in_reasoning: bool | None = False,
        echo: str = "",
    ) -> None:
        self._spoken, self._hide = SpokenText(begins_in_reasoning), hide_reasoning
        self._separator, self._to_end, self._echo = separator, to_end, echo
        self._dropped = 0
        self.complete = False
        self._begin()

    @property
    def begins_in_reasoning(self) -> bool | None:
        """Whether the text begins inside reasoning; None if it may."""
        return self._spoken.begins

    @begins_in_reasoning.setter
    def begins_in_reasoning(self, begins: bool | None) -> None:
        self._spoken.begins = begins

    def feed(self, piece: str) -> bool:
        """Take the next piece; True once the step is complete, after which pieces are dropped."""
        if self.complete:
            self._dropped += len(piece)
            return True
        for part in self._spoken.feed(piece) if self._hide else (piece,):
            if part is None:
                self._begin()
            else:
                self._take(part)
            self.complete = self.complete or (self._step.complete and not self._may_reason)
        return self.complete

    @property
    def text(self) -> str:
        """The step so far, as if no more came."""
        return self._ended().text

    @property
    def closed(self) -> bool:
        """Whether a separator ends the step, if no more came."""
        return self._ended().complete

    @property
    def beyond(self) -> int:
        """How many characters came after the separator that ends the step."""
        return self._ended().beyond + self._dropped

    @property
    def left_out(self) -> bool:
        """Whether reasoning is hidden, and there was any."""
        return self._hide and self._spoken.cut

    @property
    def in_reasoning(self) -> bool:
        """Whether what came last of the step is hidden."""
        return self._hide and not self.complete and self._spoken.inside

    @property
    def _may_reason(self) -> bool:
        return self._hide and self.begins_in_reasoning is None and not self._spoken.closed

    def _begin(self) -> None:
        self._echoed: int | None = 0 if self._echo else None
        self._step = FirstStep(self._separator, to_end=self._to_end)

    def _take(self, part: str) -> None:
        """The next spoken part, which may belong to an echo of what is written already."""
        if self._echoed is not None:
            done = self._echoed
            self._echoed = None
            if len(part) < len(self._echo) - done and self._echo.startswith(part, done):
                self._echoed = done + len(part)
                return
            whole = self._echo[:done] + part
            part = whole.removeprefix(self._echo)
        self._step.feed(part)

    def _ended(self) -> FirstStep:
        """The step if no more came, with what could yet have become a tag or an echo."""
        step = copy(self._step)
        step.feed(self._echo[: self._echoed or 0] + self._spoken.rest)
        return step
