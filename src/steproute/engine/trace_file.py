"""`traces.jsonl.zst`: append-only, one zstd frame a trace."""

from pathlib import Path
from types import TracebackType

import msgspec

from steproute.core.errors import DatasetError
from steproute.core.trace import Trace
from steproute.engine.frame_file import FrameFile, read_frames

_encoder = msgspec.json.Encoder(decimal_format="string")
_decoder = msgspec.json.Decoder(Trace)


class TraceFile:
    """The traces of one run, open for appending by one process at a time.

    Opening reads what is there into `found` and cuts off a torn last frame. Raises ConfigError where another process
    holds the file, DatasetError where a whole frame is not a trace.
    """

    def __init__(self, path: Path) -> None:
        self._frames = FrameFile(path)
        try:
            self.found = [_decode(frame, path, i + 1) for i, frame in enumerate(self._frames.found)]
        except DatasetError:
            self._frames.close()
            raise

    def append(self, trace: Trace) -> None:
        """Write one trace; it is kept if this process dies."""
        self._frames.append(_encoder.encode(trace) + b"\n")

    def __enter__(self) -> "TraceFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._frames.close()


def read_traces(path: Path) -> list[Trace]:
    """All whole traces of a file, which may be in use; raises DatasetError where it is missing or malformed."""
    if not path.exists():
        raise DatasetError(f"traces: {path} does not exist. Give the folder of a run.")
    return [_decode(frame, path, i + 1) for i, frame in enumerate(read_frames(path))]


def _decode(frame: bytes, path: Path, number: int) -> Trace:
    try:
        return _decoder.decode(frame)
    except msgspec.ValidationError as failure:
        raise DatasetError(
            f"{path}, trace {number}: {failure}. The file is from another version, or not ours."
        ) from None
    except msgspec.DecodeError as failure:
        raise DatasetError(f"{path}, trace {number}: {failure}.") from None
