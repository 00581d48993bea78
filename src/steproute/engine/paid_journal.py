"""The payments to backends, on disk. With a step tree, each route is billed for a call that is paid only once."""

from decimal import Decimal, InvalidOperation
from pathlib import Path
from types import TracebackType

from steproute.core.errors import DatasetError
from steproute.core.whole_file import write_whole
from steproute.engine.append_file import AppendFile


class PaidJournal:
    """One line per payment; opening replaces them by their sum. is_new: whether there was no file.

    A payment is on disk as soon as its call has ended, so a kill loses only the payments of calls under way. Raises
    DatasetError for a damaged file, StorageError if it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: AppendFile | None = None
        self.is_new = not path.exists()
        self.paid_usd = paid_so_far(path)
        if not self.is_new:
            self._write()

    def enter(self, usd: Decimal) -> None:
        """Add a payment. Raises StorageError."""
        self._file = self._file or AppendFile(self._path)
        self.paid_usd += usd
        self._file.append(f"{usd}\n".encode())

    def __enter__(self) -> "PaidJournal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._write()

    def _write(self) -> None:
        write_whole(self._path, f"{self.paid_usd}\n".encode())


def paid_so_far(path: Path) -> Decimal:
    """The sum of a journal's whole lines, 0 if there is none; a kill can tear only the last line.

    Raises DatasetError for a damaged file.
    """
    if not path.exists():
        return Decimal(0)
    *lines, _ = path.read_bytes().split(b"\n")
    try:
        return sum((Decimal(line.decode()) for line in lines), Decimal(0))
    except (InvalidOperation, UnicodeDecodeError):
        raise DatasetError(
            "damaged. It was not changed.",
            where=path,
            remedy="Delete it to count what the tree's runs were billed instead.",
        ) from None
