"""An append-only file of zstd frames after a head that names their kind.

A crash can tear only the last frame, which the next append replaces. Any other damage is an error, and the file is not
changed.
"""

import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from backports import zstd

from steproute.core.errors import DatasetError
from steproute.engine.append_file import AppendFile

_FRAME: Final = b"\x28\xb5\x2f\xfd"
_SKIPPABLE: Final = 0x184D2A5A
_CHUNK: Final = 1 << 20
_LONGEST: Final = 1 << 30
_OPTIONS: Final[dict[int, int]] = {
    zstd.CompressionParameter.compression_level: 9,
    zstd.CompressionParameter.checksum_flag: 1,
}

_Read = Callable[[int, int], bytes]
"""Up to a number of bytes of a file, from a position on."""


class Place(NamedTuple):
    """Where a frame is in its file, in bytes."""

    start: int
    size: int


class FrameFile:
    """Open for appending by one process at a time. `scan` it before the first `append`.

    kind: of the frames' contents, such as "traces". Opening and scanning change nothing on disk. Raises ConfigError if
    another process holds the file, StorageError if it cannot be opened.
    """

    def __init__(self, path: Path, kind: str) -> None:
        self._head = _head(kind)
        self._kind = kind
        self._file = AppendFile(path)
        self._file.lock()

    def scan(self) -> Iterator[tuple[Place, bytes]]:
        """Each whole frame's place and content, in one pass; raises DatasetError as `scan_frames`."""
        end = len(self._head) if self._file.read(len(self._head), 0) == self._head else 0
        for place, content in _frames(self._file.read, self._file.path, self._kind):
            end = place.start + place.size
            yield place, content
        self._file.end = end

    def read(self, place: Place) -> bytes:
        """The content of one frame."""
        return zstd.decompress(self._file.read(place.size, place.start))

    def append(self, content: bytes) -> Place:
        """Write one frame, which is kept if this process dies; raises StorageError if it does not fit."""
        if self._file.end == 0:
            self._file.append(self._head)
        frame = zstd.compress(content, options=_OPTIONS)
        start = self._file.end
        self._file.append(frame)
        return Place(start, len(frame))

    def close(self) -> None:
        """Release the file for other processes."""
        self._file.close()


def write_frames(file: BinaryIO, kind: str) -> Callable[[bytes], None]:
    """Begins a file that is written whole, as an export is; the function that is returned adds one frame."""
    file.write(_head(kind))

    def add(content: bytes) -> None:
        file.write(zstd.compress(content, options=_OPTIONS))

    return add


def scan_frames(path: Path, kind: str) -> Iterator[bytes]:
    """The content of all whole frames of a file, which may be in use.

    A torn last frame is left out. Raises DatasetError for a file of another kind, or one that is damaged elsewhere.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        for _, content in _frames(lambda size, start: os.pread(descriptor, size, start), path, kind):
            yield content
    finally:
        os.close(descriptor)


def _head(kind: str) -> bytes:
    """A frame that decompressors skip, so that `zstd -dc` prints only the contents."""
    text = f"steproute {kind} 1\n".encode()
    return struct.pack("<II", _SKIPPABLE, len(text)) + text


def _frames(read: _Read, path: Path, kind: str) -> Iterator[tuple[Place, bytes]]:
    """Streams through the file once; holds about one chunk of it."""
    first = _first_chunk(read, path, kind)
    if first is None:
        return
    buffer, start = first
    position = number = 0
    while True:
        view = memoryview(buffer)[position:]
        size = _frame_size(view)
        if size is None and len(view) < _LONGEST:
            more = read(max(_CHUNK, len(view)), start + len(buffer))
            if more:
                buffer, start, position = bytes(view) + more, start + position, 0
                continue
        content = None if size is None else _content(view[:size])
        if size is None or content is None:
            break
        number += 1
        yield Place(start + position, size), content
        position += size
    rest = buffer[position:]
    if rest and start + position == 0:
        raise _foreign(path, kind)
    if rest and not _is_torn(rest):
        raise _damaged(path, kind, number + 1, start + position)


def _first_chunk(read: _Read, path: Path, kind: str) -> tuple[bytes, int] | None:
    """The first bytes after the head, and where they begin; None if the head is not whole, as while it is written.

    A file of an older version has no head.
    """
    head = _head(kind)
    chunk = read(_CHUNK, 0)
    if chunk.startswith(head):
        return chunk[len(head) :], len(head)
    if head.startswith(chunk):
        return None
    if not chunk.startswith(_FRAME):
        raise _foreign(path, kind)
    return chunk, 0


def _frame_size(view: memoryview) -> int | None:
    """Length of the frame at the start of `view`; None if it is not whole or no frame."""
    try:
        return zstd.get_frame_size(view)
    except zstd.ZstdError:
        return None


def _content(frame: memoryview) -> bytes | None:
    try:
        return zstd.decompress(frame)
    except zstd.ZstdError:
        return None


def _is_torn(rest: bytes) -> bool:
    """Whether the end of a file is the beginning of one frame and nothing else."""
    if not rest.startswith(_FRAME):
        return _FRAME.startswith(rest)
    if len(rest) >= _LONGEST:
        return False
    at = rest.find(_FRAME, 1)
    while at >= 0:
        view = memoryview(rest)[at:]
        size = _frame_size(view)
        if size is not None and _content(view[:size]) is not None:
            return False
        at = rest.find(_FRAME, at + 1)
    decompressor = zstd.ZstdDecompressor()
    try:
        decompressor.decompress(rest)
    except zstd.ZstdError:
        return False
    return not decompressor.eof


def _damaged(path: Path, kind: str, number: int, start: int) -> DatasetError:
    return DatasetError(
        f"frame {number}, from byte {start} on, is damaged. The file was not changed.",
        where=path,
        remedy=f"Restore a copy of it; to keep only the {kind} before the damage, run: head -c "
        f"{start} {path} > sound.zst, and put that in its place.",
    )


def _foreign(path: Path, kind: str) -> DatasetError:
    return DatasetError(
        f"does not hold {kind} of steproute. The file was not changed.",
        where=path,
        remedy="Name another file, or move it away.",
    )
