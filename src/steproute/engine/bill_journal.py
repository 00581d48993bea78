"""The bills of attempts under way, on disk, so that the costs of a killed attempt are not lost."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec

from steproute.core.errors import DatasetError
from steproute.core.whole_file import write_whole
from steproute.engine.append_file import AppendFile

_LARGE: Final = 1 << 20


class Attempt(msgspec.Struct, frozen=True, array_like=True):
    """One try to solve a problem by a route; `number` counts the earlier ones that have a trace."""

    route: str
    problem_id: str
    seed: int
    number: int


class _Bill(msgspec.Struct, frozen=True, tag="bill"):
    attempt: Attempt
    usd: Decimal


class _Killed(msgspec.Struct, frozen=True, tag="killed"):
    usd: Decimal


_decoder: Final = msgspec.json.Decoder(_Bill | _Killed)
_encoder: Final = msgspec.json.Encoder(decimal_format="string")


class BillJournal:
    """JSON lines, one per finished call of an attempt that has no trace yet.

    Opening adds the bills of killed attempts to `killed_usd` and replaces the file by that sum in one step, so nothing
    is counted twice. has_trace: whether an attempt's trace, with its account, is on disk. Raises DatasetError for a
    damaged file, StorageError if it cannot be written.
    """

    def __init__(self, path: Path, has_trace: Callable[[Attempt], bool]) -> None:
        self._path = path
        self._file: AppendFile | None = None
        self._open: dict[Attempt, Decimal] = {}
        self.killed_usd = Decimal(0)
        for entry in _entries(path):
            if isinstance(entry, _Killed) or not has_trace(entry.attempt):
                self.killed_usd += entry.usd
        self._rewrite()

    def enter(self, attempt: Attempt, usd: Decimal) -> None:
        """Add a finished call; it is kept if this process dies. Raises StorageError."""
        if usd == 0:
            return
        self._open[attempt] = self._open.get(attempt, Decimal(0)) + usd
        self._file = self._file or AppendFile(self._path)
        self._file.append(_encoder.encode(_Bill(attempt, usd)) + b"\n")
        if self._file.end > _LARGE:
            self._rewrite()

    def settle(self, attempt: Attempt) -> None:
        """Forget an attempt, whose trace is on disk."""
        self._open.pop(attempt, None)

    def close(self) -> None:
        """Keep the sum of the attempts without a trace, or no file if it is 0."""
        self.killed_usd += sum(self._open.values(), Decimal(0))
        self._open.clear()
        self._rewrite()

    def _rewrite(self) -> None:
        """One line per attempt under way."""
        if self._file is not None:
            self._file.close()
            self._file = None
        killed = [_Killed(self.killed_usd)] if self.killed_usd else []
        bills = [_Bill(attempt, usd) for attempt, usd in self._open.items()]
        if killed or bills:
            write_whole(self._path, _encoder.encode_lines([*killed, *bills]))
        else:
            self._path.unlink(missing_ok=True)


def _entries(path: Path) -> list[_Bill | _Killed]:
    """All whole lines; a kill can tear only the last one."""
    if not path.exists():
        return []
    *lines, _ = path.read_bytes().split(b"\n")
    try:
        return [_decoder.decode(line) for line in lines]
    except msgspec.DecodeError as failure:
        raise DatasetError(
            f"damaged ({failure}). It was not changed.",
            where=path,
            remedy="Delete it to continue without the dollars that killed attempts had spent.",
        ) from None
