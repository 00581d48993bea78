"""Whether a piece of a streamed answer came twice."""


class Repeats:
    """Compares the pieces that came with what the server counted at the end, since counts may lag or be of one piece.

    A piece is counted at its arrival by servers that count tokens in every piece, of which each has at least one.
    """

    def __init__(self) -> None:
        self.pieces = 0
        self._repeated = 0
        self._last: tuple[str, int | None] = "", None
        self._before: set[tuple[str, int | None]] = set()
        self._in_step, self._most = True, 0

    def take(self, piece: str, count: int | None) -> None:
        """The next piece, and how many tokens the server has counted with it."""
        event = piece, count
        self.pieces += 1
        self._repeated += event in self._before if count else event == self._last
        self._last = event
        self._before.add(event)
        self._in_step &= count == self.pieces - self._repeated
        self._most = max(self._most, count or 0)

    def found(self, counted: int | None) -> bool:
        """Whether one came twice: more pieces than the `counted` tokens, and no more without those that are the same.

        So it is, too, if all counts but those of repeated pieces kept step with the pieces; the end count may hold
        tokens that came with no piece.
        """
        different = self.pieces - self._repeated
        if not self._repeated:
            return False
        return (counted is not None and different <= counted < self.pieces) or (self._in_step and self._most > 1)
