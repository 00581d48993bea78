"""Whether a piece of a streamed answer came twice."""


class Repeats:
    """Compares the pieces of an answer with the tokens that the server counts, of which each piece has at least one.

    Counts may lag behind the pieces or be of one piece each, so a count alone is no sign; nor is a piece that equals
    another alone, since a model may repeat itself.
    """

    def __init__(self) -> None:
        self.pieces = 0
        self._repeated = self._most = 0
        self._last: tuple[str, int | None] = "", None
        self._before: set[tuple[str, int | None]] = set()
        self._in_step = True

    def take(self, piece: str, count: int | None) -> bool:
        """The next piece and how many tokens the server has counted with it, if it says so.

        Returns whether it surely came before: it is the last one, with its count, and all counts so far kept step with
        the pieces.
        """
        event = piece, count
        follows_itself = event == self._last
        self.pieces += 1
        self._repeated += event in self._before if count else follows_itself
        self._in_step &= count == self.pieces - self._repeated
        self._most = max(self._most, count or 0)
        self._last = event
        self._before.add(event)
        return follows_itself and self._in_step and self._most > 1

    def confirmed_by(self, counted: int | None) -> bool:
        """Whether the count at the end tells that one came twice: it is less than the pieces, and what came more than
        once makes up for it."""
        return counted is not None and self.pieces - self._repeated <= counted < self.pieces
