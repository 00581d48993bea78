"""`traces.jsonl.zst`: append-only, one zstd frame a trace; a crash can tear only the last one, which is cut off."""

import fcntl
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import msgspec
from backports import zstd

from steproute.core.errors import ConfigError, DatasetError
from steproute.core.trace import Trace

_encoder = msgspec.json.Encoder(decimal_format="string")
_decoder = msgspec.json.Decoder(Trace)


class TraceFile:
    """The traces of one run, open for appending by one process at a time.

    Opening reads what is there into `found` and cuts off a torn last frame. Raises ConfigError where another process
    holds the file, DatasetError where a whole frame is not a trace.
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
        self.found: list[Trace] = []
        whole = 0
        for frame, end in _frames(data):
            self.found.append(_decode(frame, path, len(self.found) + 1))
            whole = end
        self._file.truncate(whole)

    def append(self, trace: Trace) -> None:
        """Write one trace and hand it to the operating system, which keeps it if this process dies."""
        self._file.write(zstd.compress(_encoder.encode(trace) + b"\n", 9))
        self._file.flush()

    def __enter__(self) -> "TraceFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def read_traces(path: Path) -> list[Trace]:
    """All whole traces of a file, which may be in use; raises DatasetError where it is missing or malformed."""
    if not path.exists():
        raise DatasetError(f"traces: {path} does not exist. Give the folder of a run.")
    return [_decode(frame, path, i + 1) for i, (frame, _) in enumerate(_frames(path.read_bytes()))]


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


def _decode(frame: bytes, path: Path, number: int) -> Trace:
    try:
        return _decoder.decode(frame)
    except msgspec.ValidationError as failure:
        raise DatasetError(
            f"{path}, trace {number}: {failure}. The file is from another version, or not ours."
        ) from None
    except msgspec.DecodeError as failure:
        raise DatasetError(f"{path}, trace {number}: {failure}.") from None
