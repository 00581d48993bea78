"""A file that only grows: an append is written whole, or the file stays as it was."""

import fcntl
import os
from pathlib import Path

from steproute.core.errors import ConfigError, StorageError


class AppendFile:
    """Open for reading and appending. end: length of its sound part in bytes; the next append removes what follows.

    Opening creates a missing file and changes nothing else on disk. Raises StorageError if it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._failure: StorageError | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        except OSError as failure:
            raise StorageError.of(path, failure) from None
        self.end = self._size = os.fstat(self._file).st_size

    def lock(self) -> None:
        """Lock out other processes until it is closed. If one holds it already, closes it and raises ConfigError."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise ConfigError(
                f"{self.path} is in use by another process.", where="run", remedy="Wait for it, or name another run."
            ) from None

    def read(self, size: int, start: int) -> bytes:
        """Up to `size` bytes from `start` on."""
        return os.pread(self._file, size, start)

    def append(self, data: bytes) -> None:
        """Hand data to the operating system, which keeps it if this process dies.

        Raises StorageError if it does not fit, and again at every later append.
        """
        if self._failure is not None:
            raise self._failure
        try:
            if self._size > self.end:
                os.ftruncate(self._file, self.end)
            view = memoryview(data)
            while view:
                view = view[os.write(self._file, view) :]
        except OSError as failure:
            self._failure = StorageError.of(self.path, failure)
            os.ftruncate(self._file, self.end)
            raise self._failure from None
        self.end = self._size = self.end + len(data)

    def close(self) -> None:
        """Release the file."""
        os.close(self._file)
