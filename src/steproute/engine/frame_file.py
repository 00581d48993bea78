"""An append-only file of zstd frames; a crash can tear only the last one, which is cut off when the file is opened."""

import fcntl
from collections.abc import Iterator
from pathlib import Path

from backports import zstd

from steproute.core.errors import ConfigError


class FrameFile:
    """Open for appending by one process at a time; `found` is the content of the whole frames that were there.

    Raises ConfigError where another process holds the file.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise ConfigError(f"run: {path} is in use by another process. Wait for it, or name another run.") from None
        self._file.seek(0)
        data = self._file.read()
        self.found: list[bytes] = []
        whole = 0
        for frame, end in _frames(data):
            self.found.append(frame)
            whole = end
        self._file.truncate(whole)

    def append(self, content: bytes) -> None:
        """Write one frame and hand it to the operating system, which keeps it if this process dies."""
        self._file.write(zstd.compress(content, 9))
        self._file.flush()

    def close(self) -> None:
        """Let other processes have the file."""
        self._file.close()


def read_frames(path: Path) -> list[bytes]:
    """The content of all whole frames of a file, which may be in use."""
    return [frame for frame, _ in _frames(path.read_bytes())]


def _frames(data: bytes) -> Iterator[tuple[bytes, int]]:
    """Each whole frame's content and where the frame ends."""
    position = 0
    while position < len(data):
        decompressor = zstd.ZstdDecompressor()
        try:
            content = decompressor.decompress(memoryview(data)[position:])
        except zstd.ZstdError:
            return
        if not decompressor.eof:
            return
        position = len(data) - len(decompressor.unused_data)
        yield content, position
