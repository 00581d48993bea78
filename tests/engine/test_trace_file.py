import contextlib
import os
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from backports import zstd

from steproute import AccountLine, Outcome, Purpose, Step, Usage
from steproute.core.errors import DatasetError
from steproute.core.grade import Verdict
from steproute.core.trace import Fallback, Trace
from steproute.engine import frame_file, trace_file
from steproute.engine.trace_file import TraceFile, read_traces


def trace(problem_id: str, outcome: Outcome = Outcome.ANSWERED, usd: str = "0.25", route: str = "r") -> Trace:
    line = AccountLine(
        role="weak",
        model="m",
        purpose=Purpose.ACCEPTED,
        usage=Usage(input_tokens=3, output_tokens=2),
        cost_usd=Decimal(usd),
        price_table="t",
        latency_s=0.5,
    )
    return Trace(
        problem_id=problem_id,
        route=route,
        steps=(Step(role="weak", text="x ≤ 1 and much more to say", tokens=2, score=0.25),),
        answer=None,
        outcome=outcome,
        account=(line,),
        latency_s=1.5,
        seed=0,
    )


def test_opening_reads_every_byte_once_and_decodes_no_trace_but_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.zst"
    with TraceFile(path) as traces:
        for number in range(500):
            traces.append(trace(f"p{number}"))
    counts = {"read": 0, "decoded": 0, "at once": 0}

    def read(self: object, size: int, start: int, read: object = frame_file.AppendFile.read) -> bytes:
        data: bytes = read(self, size, start)  # type: ignore[operator]
        counts["read"] += len(data)
        counts["at once"] = max(counts["at once"], size)
        return data

    def decode(decoder: object, *rest: object, decode: object = trace_file._decode) -> object:
        counts["decoded"] += decoder is trace_file._decoder
        return decode(decoder, *rest)  # type: ignore[operator]

    monkeypatch.setattr(frame_file, "_CHUNK", 1000)
    monkeypatch.setattr(frame_file.AppendFile, "read", read)
    monkeypatch.setattr(trace_file, "_decode", decode)
    with TraceFile(path) as traces:
        assert len(traces) == 500
        assert counts["decoded"] == 1
        assert counts["read"] < path.stat().st_size + 2000
        assert counts["at once"] == 1000
        assert traces.get("r", "p77", 0) == trace("p77")
        assert counts["decoded"] == 2


def test_the_newest_finished_attempt_counts_and_the_dollars_of_the_others_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "t.zst"
    attempts = [
        trace("a", Outcome.CANCELLED, "1"),
        trace("a", Outcome.FAILED, "10"),
        trace("a", Outcome.CANCELLED, "100"),
        trace("a", Outcome.ANSWERED, "1000"),
        trace("b", Outcome.FAILED, "10000"),
        trace("b", Outcome.ANSWERED, "100000", route="other"),
    ]
    for attempt in attempts:
        with TraceFile(path) as traces:
            traces.append(attempt)
            in_place = traces.abandoned_usd
        with TraceFile(path) as traces:
            assert traces.abandoned_usd == in_place
    with TraceFile(path) as traces:
        assert traces.abandoned_usd == 111
        assert traces.get("r", "a", 0) == attempts[3]
        assert traces.get("r", "b", 0) == attempts[4]
        assert traces.get("r", "c", 0) is None
        finished = [traces.finished("r", name, 0, keep_failed=keep) for name in "abc" for keep in (True, False)]
        assert finished == [True, True, True, False, False, False]
        assert len(traces) == 6


def fell_back(problem_id: str, usd: str) -> Trace:
    fallback = Fallback(role="strong", reason="BackendUnavailable: down")
    return replace(trace(problem_id, usd=usd), fallbacks=(fallback,))


def test_a_solution_that_fell_back_is_tried_again_and_abandoned_only_then(tmp_path: Path) -> None:
    path = tmp_path / "t.zst"
    judged = replace(fell_back("a", "1"), verdict=Verdict.INCORRECT, gold="2", grader="g")
    for each, abandoned in (
        (fell_back("a", "1"), 0),
        (judged, 0),  # graded again
        (trace("a", Outcome.CANCELLED, "10"), 10),
        (fell_back("a", "100"), 11),
        (trace("a", usd="1000"), 111),
        (replace(trace("a", usd="1000"), verdict=Verdict.CORRECT), 111),
    ):
        with TraceFile(path) as traces:
            traces.append(each)
            assert traces.abandoned_usd == abandoned
        with TraceFile(path) as traces:
            assert traces.abandoned_usd == abandoned
            kept = traces.get("r", "a", 0)
            assert kept is not None
            assert traces.finished("r", "a", 0, keep_failed=True)
            assert traces.finished("r", "a", 0, keep_failed=False) == (not kept.fallbacks)
    assert [each.fallbacks for each in read_traces(path)][-1] == ()


def test_an_old_trace_without_fallbacks_reads_as_one_that_fell_back_on_nothing(tmp_path: Path) -> None:
    path = tmp_path / "t.zst"
    with TraceFile(path) as traces:
        traces.append(trace("a"))
    (frame,) = frame_file.scan_frames(path, "traces")
    old = {name: value for name, value in msgspec.json.decode(frame).items() if name != "fallbacks"}
    path.write_bytes(zstd.compress(msgspec.json.encode(old), 9))
    with TraceFile(path) as traces:
        assert traces.finished("r", "a", 0, keep_failed=False)
        assert traces.get("r", "a", 0) == trace("a")


def test_a_file_of_an_older_version_opens_if_its_first_frame_is_a_trace(tmp_path: Path) -> None:
    path = tmp_path / "t.zst"
    with TraceFile(tmp_path / "new") as traces:
        for name in "abc":
            traces.append(trace(name))
    old = b"".join(zstd.compress(frame, 9) for frame in frame_file.scan_frames(tmp_path / "new", "traces"))
    path.write_bytes(old)
    with TraceFile(path) as traces:
        assert traces.get("r", "b", 0) == trace("b")
    assert path.read_bytes() == old
    assert [each.problem_id for each in read_traces(path)] == ["a", "b", "c"]


def test_traces_from_before_there_were_verdicts_are_read_as_not_graded(tmp_path: Path) -> None:
    written = replace(trace("a"), verdict=Verdict.CORRECT, gold="1", grader="g", at_fault="weak")
    fields = msgspec.to_builtins(written, builtin_types=(Decimal,))
    for name in ("verdict", "gold", "grader", "at_fault"):
        del fields[name]
    (tmp_path / "t.zst").write_bytes(zstd.compress(msgspec.json.encode(fields)))
    assert read_traces(tmp_path / "t.zst") == [trace("a")]
    with TraceFile(tmp_path / "t.zst") as traces:
        traces.append(written)
        assert traces.get("r", "a", 0) == written
        assert traces.abandoned_usd == 0


@pytest.mark.parametrize("seed", [0, 1])
def test_one_problem_at_several_seeds_is_several_attempts(tmp_path: Path, seed: int) -> None:
    killed = TraceFile(tmp_path / "t.zst")
    killed.bill(killed.attempt("r", "a", 1 - seed), Decimal(5))
    killed.append(replace(trace("a", usd="3"), seed=seed))
    assert killed.finished("r", "a", seed)
    assert not killed.finished("r", "a", 1 - seed)
    assert killed.get("r", "a", 1 - seed) is None
    killed._frames.close()  # as a kill would, without a word
    with TraceFile(tmp_path / "t.zst") as traces:
        assert traces.abandoned_usd == 5


@pytest.mark.parametrize("content", [b"not json", b'{"problem_id": 3}\n', b'{"steps": []}', b"[]", b"\xff\xfe", b""])
@pytest.mark.parametrize("first", [True, False])
def test_a_whole_frame_that_is_no_trace_is_an_error_with_its_number(
    tmp_path: Path, content: bytes, first: bool
) -> None:
    path = tmp_path / "t.zst"
    if not first:
        with TraceFile(path) as traces:
            traces.append(trace("a"))
    path.write_bytes((path.read_bytes() if path.exists() else b"") + zstd.compress(content))
    before = path.read_bytes()
    with pytest.raises(DatasetError, match=f"trace {1 if first else 2}.*was not changed"):
        TraceFile(path)
    assert path.read_bytes() == before


def bills(path: Path) -> Path:
    return path.with_name("t.zst.bills")


def test_what_a_killed_attempt_had_spent_is_counted_once_however_often_the_run_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "t.zst"
    killed = TraceFile(path)
    for name, usd in (("a", "1"), ("b", "10"), ("a", "100")):
        killed.bill(killed.attempt("r", name, 0), Decimal(usd))
    killed.append(trace("b", usd="10"))
    killed.bill(killed.attempt("r", "c", 0), Decimal(1000))
    killed._frames.close()  # as a kill would, without a word
    for _ in range(3):
        with TraceFile(path) as traces:
            assert traces.abandoned_usd == 1101
    with TraceFile(path) as traces:
        attempt = traces.attempt("r", "a", 0)
        traces.bill(attempt, Decimal(7))
        traces.append(trace("a", usd="7"))
        assert traces.abandoned_usd == 1101
    with TraceFile(path) as traces:
        assert traces.abandoned_usd == 1101


def test_a_second_kill_of_the_same_problem_adds_up(tmp_path: Path) -> None:
    path = tmp_path / "t.zst"
    for number in range(1, 4):
        killed = TraceFile(path)
        killed.bill(killed.attempt("r", "a", 0), Decimal(1))
        killed._frames.close()
        assert len(bills(path).read_bytes().splitlines()) == (1 if number == 1 else 2)
    with TraceFile(path) as traces:
        assert traces.abandoned_usd == 3
        traces.bill(traces.attempt("r", "a", 0), Decimal(1))
        traces.append(trace("a", Outcome.FAILED, "1"))
    killed = TraceFile(path)
    killed.bill(killed.attempt("r", "a", 0), Decimal(1))
    killed._frames.close()
    with TraceFile(path) as traces:
        assert traces.abandoned_usd == 4


@pytest.mark.parametrize("cut", range(1, 60, 3))
def test_a_torn_last_bill_is_left_out(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "t.zst"
    killed = TraceFile(path)
    for _ in range(3):
        killed.bill(killed.attempt("r", "a", 0), Decimal(1))
    killed._frames.close()
    data = bills(path).read_bytes()
    lines = data[:-cut].count(b"\n")
    bills(path).write_bytes(data[:-cut])
    with TraceFile(path) as traces:
        assert traces.abandoned_usd == lines


def test_a_damaged_bill_is_an_error_that_keeps_the_file_and_frees_the_run(tmp_path: Path) -> None:
    path = tmp_path / "t.zst"
    bills(path).write_bytes(b'{"type":"killed","usd":"1"}\nprecious\n')
    for _ in range(2):
        with pytest.raises(DatasetError, match=r"t\.zst\.bills: damaged .*Delete it"):
            TraceFile(path)
    assert bills(path).read_bytes().endswith(b"precious\n")


def test_bills_of_finished_attempts_do_not_pile_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steproute.engine.bill_journal._LARGE", 500)
    path = tmp_path / "t.zst"
    traces = TraceFile(path)
    slow = traces.attempt("r", "slow", 0)
    for number in range(100):
        traces.bill(traces.attempt("r", f"p{number}", 0), Decimal(1))
        traces.bill(slow, Decimal(5))
        traces.append(trace(f"p{number}", usd="1"))
        assert bills(path).stat().st_size < 700
    traces._frames.close()
    with TraceFile(path) as traces:
        assert traces.abandoned_usd == 500


def test_a_run_that_nothing_has_interrupted_leaves_no_bills(tmp_path: Path) -> None:
    path = tmp_path / "t.zst"
    with TraceFile(path) as traces:
        traces.bill(traces.attempt("r", "a", 0), Decimal(1))
        assert bills(path).exists()
        traces.append(trace("a", usd="1"))
    assert not bills(path).exists()


class _Killed(BaseException):
    """Nothing of a killed process runs any more."""


@pytest.mark.parametrize("large", [150, 1 << 20])
@pytest.mark.parametrize("step", range(0, 45))
def test_a_kill_at_any_write_neither_loses_nor_doubles_a_finished_bill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, large: int
) -> None:
    monkeypatch.setattr("steproute.engine.bill_journal._LARGE", large)
    path, made = tmp_path / "t.zst", 0
    entered = begun = 0

    def dying(real: object) -> object:
        def call(*arguments: object, **named: object) -> object:
            nonlocal made
            made += 1
            if made > step:
                raise _Killed
            return real(*arguments, **named)  # type: ignore[operator]

        return call

    def work() -> None:
        nonlocal entered, begun
        for outcome in (Outcome.FAILED, Outcome.ANSWERED):
            traces = TraceFile(path)
            files.append(traces)
            for name in "abc":
                attempt = traces.attempt("r", name, 0)
                for usd in (1, 10):
                    begun = entered + usd
                    traces.bill(attempt, Decimal(usd))
                    entered += usd
                traces.append(trace(name, Outcome.CANCELLED if name == "b" else outcome, "11"))
            traces.close()

    files: list[TraceFile] = []
    with monkeypatch.context() as patch:
        for name in ("write", "replace", "unlink", "ftruncate"):
            patch.setattr(os, name, dying(getattr(os, name)))
        with contextlib.suppress(_Killed):
            work()
    for traces in files:
        with contextlib.suppress(OSError):
            traces._frames.close()
    for _ in range(2):
        with TraceFile(path) as traces:
            kept = [traces.get("r", name, 0) for name in "abc"]
            on_the_books = traces.abandoned_usd + sum(each.cost_usd for each in kept if each is not None)
            assert on_the_books in (entered, begun)
