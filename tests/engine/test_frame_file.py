import contextlib
import os
import struct
import time
from pathlib import Path
from typing import Any

import pytest
from backports import zstd
from hypothesis import example, given, settings
from hypothesis import strategies as st

from steproute.core.errors import ConfigError, DatasetError, StorageError
from steproute.engine.append_file import AppendFile
from steproute.engine.frame_file import FrameFile, scan_frames
from steproute.engine.step_tree import StepTree
from steproute.engine.trace_file import TraceFile, read_traces

CONTENTS = [b"", b"a", b"one line\n" * 40, os.urandom(300), b"\x28\xb5\x2f\xfd" * 5, b"last\n"]
HEAD = struct.pack("<II", 0x184D2A5A, 19) + b"steproute traces 1\n"
TORN = zstd.compress(os.urandom(200))[:90]
FOREIGN = {
    "text": b"precious\n" * 2000,
    "one byte": b"x",
    "json": b'{"problem_id": "p"}\n',
    "zip": b"PK\x03\x04" + bytes(100),
    "gzip": b"\x1f\x8b\x08\x00" + bytes(60),
    "zeros": bytes(5000),
    "zstd of text": zstd.compress(b"precious\n" * 2000),
    "two zstd frames": zstd.compress(b"precious\n") + zstd.compress(b"more\n"),
    "a torn zstd frame": zstd.compress(os.urandom(3000))[:2000],
    "a skippable frame of others": struct.pack("<II", 0x184D2A5A, 4) + b"abcd",
    "a newer version": struct.pack("<II", 0x184D2A5A, 19) + b"steproute traces 9\n",
    "a head and text": HEAD + b"precious\n",
}


def written(path: Path, contents: list[bytes] = CONTENTS) -> bytes:
    frames = FrameFile(path, "traces")
    assert list(frames.scan()) == []
    for content in contents:
        frames.append(content)
    frames.close()
    return path.read_bytes()


def opened(path: Path) -> list[bytes]:
    frames = FrameFile(path, "traces")
    try:
        return [content for _, content in frames.scan()]
    finally:
        frames.close()


OPENINGS = {"traces": TraceFile, "tree": lambda path: StepTree(path, 2), "reading": read_traces}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("opening", OPENINGS.values(), ids=OPENINGS)
def test_a_file_that_is_not_ours_is_refused_and_untouched(tmp_path: Path, content: bytes, opening: object) -> None:
    path = tmp_path / "thesis.md"
    path.write_bytes(content)
    for _ in range(2):  # the first refusal leaves no lock
        with pytest.raises((DatasetError, ConfigError), match=r"thesis\.md.*was not changed"):
            opening(path)  # type: ignore[operator]
    assert path.read_bytes() == content


@pytest.mark.parametrize(("one", "other"), [(TraceFile, StepTree), (StepTree, TraceFile)])
def test_a_tree_and_a_trace_file_are_not_taken_for_each_other(tmp_path: Path, one: type, other: type) -> None:
    path = tmp_path / "file"
    for kind in (one, other):
        arguments = (path, 2) if kind is StepTree else (path,)
        if kind is one:
            with kind(*arguments):
                pass
            written = path.read_bytes()
            if not written:  # a trace file begins with its first trace
                path.write_bytes(HEAD)
                written = path.read_bytes()
        else:
            with pytest.raises(DatasetError, match="does not hold"):
                kind(*arguments)
    assert path.read_bytes() == written


@settings(max_examples=400, deadline=None)
@given(where=st.floats(0, 1, exclude_max=True), what=st.integers(1, 255), how=st.sampled_from(["flip", "drop", "add"]))
def test_damage_at_any_byte_is_an_error_or_a_torn_last_frame(
    tmp_path_factory: pytest.TempPathFactory, where: float, what: int, how: str
) -> None:
    """Either every frame before a torn last one is there, or opening fails; the file is as it was in both cases."""
    path = tmp_path_factory.mktemp("frames") / "t.zst"
    data = written(path)
    at = int(where * len(data))
    changed = {
        "flip": data[:at] + bytes([data[at] ^ what]) + data[at + 1 :],
        "drop": data[:at] + data[at + 1 :],
        "add": data[:at] + bytes([what]) + data[at:],
    }[how]
    path.write_bytes(changed)
    found: list[bytes] | None = None
    with contextlib.suppress(DatasetError):
        found = opened(path)
    assert found in (None, CONTENTS[:-1], CONTENTS)
    assert path.read_bytes() == changed


@pytest.mark.parametrize("number", range(len(CONTENTS) - 1))
def test_a_damaged_middle_names_the_frame_and_its_byte_and_how_to_keep_what_is_before(
    tmp_path: Path, number: int
) -> None:
    path = tmp_path / "t.zst"
    data = written(path)
    ends = [len(written(tmp_path / f"{count}", CONTENTS[:count])) for count in range(len(CONTENTS))]
    start = ends[number] if number else data.index(b"\x28\xb5\x2f\xfd")
    path.write_bytes(data[:start] + b"\0" + data[start + 1 :])
    with pytest.raises(DatasetError, match=rf"frame {number + 1}, from byte {start} on.*head -c {start} "):
        opened(path)
    path.write_bytes(data[:start])
    assert opened(path) == CONTENTS[:number]


@settings(max_examples=200, deadline=None)
@given(cut=st.floats(0, 1))
@example(cut=0.0)
@example(cut=1.0)
def test_a_file_cut_anywhere_keeps_its_whole_frames_and_grows_on(
    tmp_path_factory: pytest.TempPathFactory, cut: float
) -> None:
    path = tmp_path_factory.mktemp("frames") / "t.zst"
    data = written(path)
    cut_off = data[: int(cut * len(data))]
    path.write_bytes(cut_off)
    found = opened(path)
    assert found == CONTENTS[: len(found)]
    assert path.read_bytes() == cut_off, "opening changes nothing"
    frames = FrameFile(path, "traces")
    list(frames.scan())
    place = frames.append(b"more")
    assert frames.read(place) == b"more"
    frames.close()
    assert opened(path) == list(scan_frames(path, "traces")) == [*found, b"more"]


@settings(max_examples=100, deadline=None)
@given(cut=st.floats(0, 1), tail=st.binary(min_size=1, max_size=40))
def test_bytes_after_a_cut_that_are_no_torn_frame_are_never_cut_off(
    tmp_path_factory: pytest.TempPathFactory, cut: float, tail: bytes
) -> None:
    path = tmp_path_factory.mktemp("frames") / "t.zst"
    data = written(path)
    spoiled = data + tail if cut > 0.5 else data[: int(2 * cut * len(data))] + data[-30:] + tail
    path.write_bytes(spoiled)
    with contextlib.suppress(DatasetError):
        opened(path)
    assert path.read_bytes() == spoiled


def test_frames_of_every_size_across_chunks_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steproute.engine.frame_file._CHUNK", 64)
    contents = [os.urandom(size) for size in (0, 1, 40, 63, 64, 65, 200, 5000, 3)]
    written(tmp_path / "t.zst", contents)
    assert opened(tmp_path / "t.zst") == contents


def test_a_frame_of_many_chunks_is_read_in_pieces_that_double(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steproute.engine.frame_file._CHUNK", 64)
    written(tmp_path / "t.zst", [os.urandom(200_000)])
    reads = 0

    def read(self: AppendFile, size: int, start: int, read: Any = AppendFile.read) -> bytes:
        nonlocal reads
        reads += 1
        return read(self, size, start)  # type: ignore[no-any-return]

    monkeypatch.setattr(AppendFile, "read", read)
    assert [len(content) for content in opened(tmp_path / "t.zst")] == [200_000]
    assert reads < 20


@pytest.mark.parametrize("there", range(len(HEAD) + 1))
def test_a_reader_at_the_moment_when_the_head_is_written_finds_no_frame_or_all(
    there: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path / "t.zst")
    whole, reads = os.pread, 0

    def growing(descriptor: int, size: int, start: int) -> bytes:
        nonlocal reads
        reads += 1
        return whole(descriptor, min(size, there) if reads == 1 else size, start)

    monkeypatch.setattr(os, "pread", growing)
    found = list(scan_frames(tmp_path / "t.zst", "traces"))
    assert found == (CONTENTS if there == len(HEAD) else [])


def test_the_time_to_open_grows_with_the_file_alone(tmp_path: Path) -> None:
    """A copy of the rest of the file for each frame takes 20 times as long as all frames take to decompress."""
    count, frame = 20_000, zstd.compress(os.urandom(200))
    path = tmp_path / "t.zst"
    path.write_bytes(HEAD + count * frame)
    began = time.process_time()
    for _ in range(count):
        zstd.decompress(frame)
    decompressed = time.process_time()
    assert len(opened(path)) == count
    assert time.process_time() - decompressed < 8 * (decompressed - began)


def test_a_file_of_an_older_version_without_a_head_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "t.zst"
    path.write_bytes(b"".join(zstd.compress(content, 9) for content in CONTENTS) + TORN)
    frames = FrameFile(path, "traces")
    assert [content for _, content in frames.scan()] == CONTENTS
    frames.append(b"more")
    frames.close()
    assert opened(path) == [*CONTENTS, b"more"]


def test_an_append_that_does_not_fit_leaves_the_frames_before_it(tmp_path: Path) -> None:
    """Half a frame in the middle would make all that follows it unreadable."""
    path = tmp_path / "t.zst"
    child = os.fork()
    if child == 0:
        os._exit(_filled(path))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert opened(path) == [b"small"]


def _filled(path: Path) -> int:
    import resource
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
    frames = FrameFile(path, "traces")
    list(frames.scan())
    frames.append(b"small")
    size = path.stat().st_size
    for content in (os.urandom(500), b"small"):
        try:
            frames.append(content)
        except StorageError as failure:
            if "t.zst: File too large." not in str(failure):
                return 2
        else:
            return 3
    return 0 if path.stat().st_size == size else 4


@pytest.mark.parametrize("kept", [4, 10, 100, 2000])
@pytest.mark.parametrize("after", [1, 3])
def test_a_torn_frame_with_whole_ones_after_it_is_damage(tmp_path: Path, kept: int, after: int) -> None:
    """The torn one alone would read as the end of the file, and the others would be lost with it."""
    path = tmp_path / "t.zst"
    head = written(path, [b"first"])
    torn = zstd.compress(os.urandom(3000))[:kept]
    spoiled = head + torn + after * zstd.compress(b"paid for")
    path.write_bytes(spoiled)
    with pytest.raises(DatasetError, match=f"frame 2, from byte {len(head)} on"):
        opened(path)
    assert path.read_bytes() == spoiled
