"""Rows of JSON-lines, CSV and Parquet files, and of Hugging Face data sets."""

import csv
import gzip
import json
import zlib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import IO, Any, Final

from steproute.core.errors import DatasetError

SUFFIXES: Final = (".jsonl", ".jsonl.gz", ".csv", ".csv.gz", ".parquet")
Row = dict[str, object]
_LONGEST_CELL: Final = 2**31 - 1
_DEEPEST: Final = 100
_HOW_TO_NAME: Final = "Write hf:org/name:split or hf:org/name/config:split, or a local folder of .jsonl files."


def suffix_of(path: str) -> str:
    """What a path ends in, `.gz` and what is before it together."""
    return "".join(Path(path).suffixes[-2:]) if path.endswith(".gz") else Path(path).suffix


def read_rows(path: Path) -> Iterator[tuple[int, Row]]:
    """(line number from 1, object) of a file; empty lines are skipped. A Parquet file's rows are numbered from 1.

    Raises DatasetError for a missing file, one that cannot be read, and a line that is not a row.
    """
    suffix = suffix_of(path.name)
    if not path.is_file():
        raise DatasetError(
            f"{path} does not exist.", where="data", remedy=f"Give the path of a file ending in {', '.join(SUFFIXES)}."
        )
    if suffix == ".parquet":
        yield from _parquet(path)
        return
    try:
        with _opened(path) as file:
            yield from (_csv if suffix.startswith(".csv") else _json_lines)(path, file)
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as failure:
        raise DatasetError(f"cannot be read ({failure}).", where=path, remedy="Is it whole, and UTF-8?") from None


def hugging_face_rows(name: str) -> Iterator[tuple[int, Row]]:
    """(row number from 1, row) of `org/name:split`, `org/name/config:split`, or a local folder; the split is `test`
    if none is named.

    Raises DatasetError if the library `datasets` is not installed, or cannot load it or read it to its end.
    """
    place, _, split = name.partition(":")
    if not place:
        raise DatasetError(f"'hf:{name}' names no data set. {_HOW_TO_NAME}", where="data")
    words = place.split("/")
    local = Path(place).is_dir()
    repository, config = (place, None) if local else ("/".join(words[:2]), "/".join(words[2:]) or None)
    try:
        from datasets import load_dataset
    except ImportError:
        raise DatasetError(
            f"hf:{name} needs datasets.", where="data", remedy="Run: pip install 'steproute[data]'."
        ) from None
    try:
        yield from enumerate(map(dict, load_dataset(repository, config, split=split or "test")), 1)
    except Exception as failure:  # the library lets errors of every package through that it reads with
        reason = failure.__cause__ or failure
        raise DatasetError(f"hf:{name} cannot be loaded ({reason}). {_HOW_TO_NAME}", where="data") from None


def _opened(path: Path) -> IO[str]:
    opener: Any = gzip.open if path.suffix == ".gz" else open
    file: IO[str] = opener(path, "rt", encoding="utf-8-sig", newline="" if ".csv" in path.suffixes else None)
    return file


def _json_lines(path: Path, file: IO[str]) -> Iterator[tuple[int, Row]]:
    for number, line in enumerate(file, 1):
        if line.strip():
            yield number, _object(path, number, line)


def _object(path: Path, number: int, line: str) -> Row:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as failure:
        raise DatasetError(
            f"not JSON ({failure}).", where=f"{path}, line {number}", remedy="Give one JSON object per line."
        ) from None
    if not isinstance(row, dict):
        raise DatasetError(
            f"{line.strip()[:60]!r} is not an object.",
            where=f"{path}, line {number}",
            remedy="Give one JSON object per line.",
        )
    if _is_deep(row):
        raise DatasetError(f"is nested more than {_DEEPEST} deep. Flatten it.", where=f"{path}, line {number}")
    return row


def _is_deep(row: Row) -> bool:
    """Whether lists and objects are nested more than `_DEEPEST` times."""
    level: list[Any] = [row]
    for _ in range(_DEEPEST):
        parts = chain.from_iterable(each.values() if isinstance(each, dict) else each for each in level)
        level = [part for part in parts if isinstance(part, dict | list)]
    return bool(level)


def _csv(path: Path, file: IO[str]) -> Iterator[tuple[int, Row]]:
    csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader(file, strict=True)
    try:
        header = next(reader, [])
        if len(set(header)) != len(header) or not header:
            raise DatasetError(f"{path}, line 1: {', '.join(header)!r} is no header.", remedy="Name each column once.")
        for cells in reader:
            if len(cells) not in (0, len(header)):
                raise DatasetError(
                    f"{len(cells)} cells below {len(header)} columns.",
                    where=f"{path}, line {reader.line_num}",
                    remedy="Put cells that hold a comma or a line break between double quotes.",
                )
            if cells:
                yield reader.line_num, dict(zip(header, cells, strict=True))
    except csv.Error as failure:
        raise DatasetError(f"no CSV ({failure}).", where=f"{path}, line {reader.line_num}") from None


def _parquet(path: Path) -> Iterator[tuple[int, Row]]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise DatasetError("Parquet needs pyarrow.", where=path, remedy="Run: pip install 'steproute[data]'.") from None
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            rows = (row for batch in file.iter_batches() for row in batch.to_pylist())
            yield from enumerate(rows, 1)
    except (pyarrow.ArrowException, OSError, ValueError, ArithmeticError) as failure:
        raise DatasetError(
            f"no Parquet file ({failure}).", where=path, remedy="Is it whole, and of texts and numbers?"
        ) from None
