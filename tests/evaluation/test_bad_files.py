"""Files that nothing can be read from: every reader says so, and lets no other error through."""

import gzip
import json
import zlib
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

from steproute.core.errors import DatasetError, DownloadError
from steproute.evaluation.datasets import load_problems
from steproute.evaluation.datasets.download import get_data
from steproute.evaluation.datasets.sources import SOURCES
from steproute.evaluation.labelled import read_labelled, read_labelled_steps

DIGITS = "7" * 401
DEEP = "[" * 200_000
HEADER, NO_BLOCK = 10, 0b111
NESTED = "[" * 900 + "]" * 900


def damaged() -> bytes:
    """A .gz between whose sound ends the compressed data begin with a block of no type, which is zlib's error."""
    noise = Random(0)
    rows = (json.dumps({"problem": f"{noise.random()}", "answer": 1}) + "\n" for _ in range(200))
    content = bytearray(gzip.compress("".join(rows).encode(), mtime=0))
    content[HEADER] = NO_BLOCK
    with pytest.raises(zlib.error):
        gzip.decompress(content)
    return bytes(content)


READERS: dict[str, Callable[[Path], object]] = {
    "problems": lambda path: load_problems(str(path)),
    "solutions": read_labelled,
    "steps": read_labelled_steps,
}
UNREADABLE: dict[str, tuple[str, bytes]] = {
    "damaged data": ("a.jsonl.gz", damaged()),
    "a damaged csv": ("a.csv.gz", damaged()),
    "no gzip": ("a.jsonl.gz", b"{}"),
    "cut off": ("a.jsonl.gz", gzip.compress(bytes(1000))[:-4]),
    "not UTF-8": ("a.jsonl", b"\xff\xfe\xfd\n"),
    "no end of lists": ("a.jsonl", DEEP.encode()),
    "deep in a further field": ("a.jsonl", f'{{"problem": "a", "answer": 1, "level": {NESTED}}}'.encode()),
    "a deep answer": ("a.jsonl", f'{{"problem": "a", "answer": {NESTED}}}'.encode()),
    "a deep id": ("a.jsonl", f'{{"problem": "a", "answer": 1, "id": {NESTED}}}'.encode()),
    "deep steps": ("a.jsonl", f'{{"problem": "a", "answer": {{}}, "steps": {NESTED}, "label": 0}}'.encode()),
    "half a character": ("a.jsonl", b'{"problem": "\\ud800", "steps": ["a"], "label": -1, "scores": [1]}'),
    "half a step": ("a.jsonl", b'{"problem": "a", "steps": ["\\ud800"], "label": -1, "scores": [1]}'),
    "half a group": ("a.jsonl", b'{"group": "\\ud800", "score": 1, "right": true}'),
    "no problem beside the steps": ("a.jsonl", b'{"steps": ["a"], "label": -1, "scores": [1]}'),
    "an endless number": ("a.jsonl", b'{"problem": "a", "answer": 1e999, "score": 1e999, "right": true}'),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", UNREADABLE)
def test_an_unreadable_file_is_named(tmp_path: Path, reader: str, name: str) -> None:
    file, content = UNREADABLE[name]
    (tmp_path / file).write_bytes(content)
    with pytest.raises(DatasetError, match=file):
        READERS[reader](tmp_path / file)


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_a_file_without_a_problem_is_an_error(tmp_path: Path, content: str) -> None:
    path = tmp_path / "empty.jsonl"
    path.write_text(content)
    with pytest.raises(DatasetError, match=r"empty.jsonl holds no problem. Give each line"):
        load_problems(str(path))


def test_a_whole_number_of_any_length_is_an_answer(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"problem": "a", "answer": {DIGITS}}}')
    assert load_problems(str(path))[0].answer == DIGITS


def test_decimals_of_a_parquet_file_keep_their_digits(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="Parquet needs the data extra")
    from pyarrow import parquet

    row = {"id": Decimal("12"), "problem": "a", "answer": Decimal("2.50"), "level": Decimal("0.00000001")}
    parquet.write_table(pyarrow.Table.from_pylist([row]), tmp_path / "a.parquet")
    (problem,) = load_problems(str(tmp_path / "a.parquet"))
    assert (problem.id, problem.answer) == ("12", "2.50")
    assert problem.tags == {"level": "0.00000001"}


def test_a_parquet_cell_that_is_no_text_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="Parquet needs the data extra")
    from pyarrow import parquet

    broken = pyarrow.array([b"\xff"]).view(pyarrow.string())
    parquet.write_table(pyarrow.table({"problem": broken, "answer": ["1"]}), tmp_path / "a.parquet")
    with pytest.raises(DatasetError, match=r"a.parquet"):
        load_problems(str(tmp_path / "a.parquet"))


@pytest.mark.parametrize(
    "line",
    [DEEP, f'{{"id": 0, "question": "a", "answer": {DIGITS}}}', f'{{"id": 0, "question": "a", "answer": "{DIGITS}"}}'],
)
def test_a_benchmark_of_another_form_is_rejected(tmp_path: Path, line: str) -> None:
    (tmp_path / "original.jsonl").write_text(line)
    with pytest.raises(DownloadError, match="amc23: the file is not in the form of the original"):
        get_data("amc23", replace(SOURCES["amc23"], rows=1), tmp_path / "a.gz", kept=tmp_path / "original.jsonl")
    assert not (tmp_path / "a.gz").exists()
