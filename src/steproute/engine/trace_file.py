"""`traces.jsonl.zst`: append-only, one zstd frame per trace, and beside it the bills of attempts under way."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from itertools import islice
from pathlib import Path
from sys import intern
from types import TracebackType
from typing import BinaryIO, Final, NamedTuple, TypeVar

import msgspec

from steproute.core.errors import DatasetError
from steproute.core.solution import Outcome
from steproute.core.trace import Trace
from steproute.core.writable import writable
from steproute.engine.bill_journal import Attempt, BillJournal
from steproute.engine.frame_file import FrameFile, Place, scan_frames, write_frames

_KIND: Final = "traces"
_T = TypeVar("_T", Trace, "_Ending")
_encoder: Final = msgspec.json.Encoder(decimal_format="string")
_decoder: Final = msgspec.json.Decoder(Trace)


class _Ending(msgspec.Struct):
    """The part of a trace that resuming reads."""

    problem_id: str
    route: str
    seed: int
    outcome: Outcome
    fallbacks: tuple[msgspec.Raw, ...] = ()

    @property
    def unsettled(self) -> bool:
        """As that of a finished trace."""
        return self.outcome is Outcome.FAILED or bool(self.fallbacks)

    @property
    def key(self) -> tuple[str, str, int]:
        return intern(self.route), self.problem_id, self.seed


class _Kept(NamedTuple):
    """A problem's traces by one route at one seed: the newest finished one, if any, and the number of attempts.

    unsettled: whether the newest one failed or fell back.
    """

    place: Place | None = None
    unsettled: bool = False
    attempts: int = 0

    @property
    def settled(self) -> bool:
        return self.place is not None and not self.unsettled


_NONE: Final = _Kept()
_ending_decoder: Final = msgspec.json.Decoder(_Ending)


class TraceFile:
    """The traces of one run and the bills of its attempts under way, held by one process at a time.

    A trace is identified by its route, problem and seed. A settled solution is never attempted again, so a second trace
    of it is the same attempt, graded again. So is a second trace of a solution that fell back, if only the verdict
    differs.

    Memory holds the place of each problem's newest finished trace, but no trace. Opening does not change the file; the
    first append replaces a torn last frame. Raises ConfigError if another process holds it, DatasetError if it is
    damaged or of another kind, StorageError if it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._count = path, 0
        self._kept: dict[tuple[str, str, int], _Kept] = {}
        self._abandoned_usd = Decimal(0)
        self._frames = FrameFile(path, _KIND)
        try:
            for place, frame in self._frames.scan():
                if self._count == 0:
                    _decode(_decoder, frame, path, 1)
                self._remember(place, frame)
            self._bills = BillJournal(path.with_name(f"{path.name}.bills"), self._left_a_trace)
        except BaseException:
            self._frames.close()
            raise

    def __len__(self) -> int:
        """The number of its traces, including those of abandoned attempts."""
        return self._count

    @property
    def abandoned_usd(self) -> Decimal:
        """Dollars of attempts without a result: cancelled, killed, or failed or fallen back and then repeated."""
        return self._abandoned_usd + self._bills.killed_usd

    @property
    def spent_usd(self) -> Decimal:
        """Dollars of all attempts so far, whatever their outcome. Reads every trace that is kept."""
        kept = (self._read(each.place).cost_usd for each in self._kept.values() if each.place is not None)
        return sum(kept, self.abandoned_usd)

    def finished(self, route: str, problem_id: str, seed: int, *, keep_failed: bool = True) -> bool:
        """Whether an attempt at a problem by a route has ended; one that failed or fell back with `keep_failed`."""
        kept = self._of(route, problem_id, seed)
        return kept.settled or (keep_failed and kept.unsettled)

    def get(self, route: str, problem_id: str, seed: int) -> Trace | None:
        """The newest finished attempt, read from disk; None if there is none. Raises DatasetError."""
        place = self._of(route, problem_id, seed).place
        return None if place is None else self._read(place)

    def attempt(self, route: str, problem_id: str, seed: int) -> Attempt:
        """The attempt that starts now."""
        return Attempt(route, writable(problem_id), seed, self._of(route, problem_id, seed).attempts)

    def bill(self, attempt: Attempt, usd: Decimal) -> None:
        """Add a finished call to the bills of an attempt under way. Raises StorageError."""
        self._bills.enter(attempt, usd)

    def append(self, trace: Trace) -> None:
        """Write one trace; it is kept if this process dies. Raises StorageError."""
        attempt = self.attempt(trace.route, trace.problem_id, trace.seed)
        frame = _encoder.encode(trace) + b"\n"
        self._remember(self._frames.append(frame), frame)
        self._bills.settle(attempt)

    def close(self) -> None:
        """Release the file for other processes."""
        try:
            self._bills.close()
        finally:
            self._frames.close()

    def __enter__(self) -> "TraceFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _of(self, route: str, problem_id: str, seed: int) -> _Kept:
        return self._kept.get((route, writable(problem_id), seed), _NONE)

    def _left_a_trace(self, attempt: Attempt) -> bool:
        return self._of(attempt.route, attempt.problem_id, attempt.seed).attempts > attempt.number

    def _remember(self, place: Place, frame: bytes) -> None:
        self._count += 1
        ending = _decode(_ending_decoder, frame, self._path, self._count)
        before = self._kept.get(ending.key, _NONE)
        cancelled = ending.outcome is Outcome.CANCELLED
        if not cancelled and self._is_same_attempt(before, frame):
            self._kept[ending.key] = before._replace(place=place)
            return
        abandoned = place if cancelled else before.place
        if abandoned is not None:
            self._abandoned_usd += self._read(abandoned).cost_usd
        if cancelled:
            self._kept[ending.key] = before._replace(attempts=before.attempts + 1)
        else:
            self._kept[ending.key] = _Kept(place, ending.unsettled, before.attempts + 1)

    def _is_same_attempt(self, before: _Kept, frame: bytes) -> bool:
        """Whether a finished trace is the kept one, graded again."""
        if before.place is None or before.settled:
            return before.settled
        kept = self._read(before.place)
        return not kept.failed and _ungraded(kept) == _ungraded(_decode(_decoder, frame, self._path))

    def _read(self, place: Place) -> Trace:
        return _decode(_decoder, self._frames.read(place), self._path)


def write_traces(file: BinaryIO) -> Callable[[bytes], None]:
    """Begins a file of traces that is written whole; the function that is returned adds a trace, encoded as JSON."""
    add = write_frames(file, _KIND)
    return lambda trace: add(trace + b"\n")


def _ungraded(trace: Trace) -> Trace:
    return replace(trace, verdict=None, gold=None, grader=None)


def read_traces(path: Path) -> list[Trace]:
    """All whole traces of a file, which may be in use; raises DatasetError if it is missing or malformed.

    One that was graded again comes once with each verdict, the newest last.
    """
    return [_decode(_decoder, frame, path, number) for number, frame in _frames(path)]


class NewestTraces:
    """The newest finished trace of each route, problem and seed in a file, which may be in use.

    A cancelled trace counts if there is no other. Traces that are appended later are left out. Iterating reads the file
    again, one trace at a time. Raises DatasetError as `read_traces`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        newest: dict[tuple[str, str, int], tuple[bool, int]] = {}
        for number, frame in _frames(path):
            ending = _decode(_ending_decoder, frame, path, number)
            rank = ending.outcome is not Outcome.CANCELLED, number
            newest[ending.key] = max(rank, newest.get(ending.key, rank))
        self._numbers = frozenset(number for _, number in newest.values())

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[Trace]:
        last = max(self._numbers, default=0)
        for number, frame in islice(_frames(self.path), last):
            if number in self._numbers:
                yield _decode(_decoder, frame, self.path, number)


def newest_traces(path: Path) -> list[Trace]:
    """As `NewestTraces`, all at once."""
    return list(NewestTraces(path))


def _frames(path: Path) -> Iterator[tuple[int, bytes]]:
    """The whole frames of a file, counted from 1."""
    if not path.exists():
        raise DatasetError(f"{path} does not exist.", where="traces", remedy="Give the folder of a run.")
    return enumerate(scan_frames(path, _KIND), start=1)


def _decode(decoder: "msgspec.json.Decoder[_T]", frame: bytes, path: Path, number: int | None = None) -> _T:
    where = path if number is None else f"{path}, trace {number}"
    try:
        return decoder.decode(frame)
    except msgspec.ValidationError as failure:
        raise DatasetError(
            f"{failure}. The file was not changed. It is from another version, or not ours: name another run.",
            where=where,
        ) from None
    except msgspec.DecodeError as failure:
        raise DatasetError(f"{failure}. The file was not changed.", where=where) from None
