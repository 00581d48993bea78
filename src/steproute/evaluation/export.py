"""The tables of a run as files: Parquet, CSV or JSON lines, written as the traces are read."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal

import msgspec

from steproute.core.errors import ConfigError
from steproute.core.trace import Trace
from steproute.core.whole_file import whole_files
from steproute.evaluation.arrow import arrow_schema, optional_package, record_batch
from steproute.evaluation.tables import TABLES, Row

Format = Literal["parquet", "csv", "jsonl"]
_Write = Callable[[Sequence[Any]], object]
_TRACES_AT_ONCE: Final = 100
_ROW_GROUP: Final = 10_000
_encoder: Final = msgspec.json.Encoder(decimal_format="string")


def table_paths(folder: Path, kind: Format, *, force: bool = False) -> list[Path]:
    """The files of the tables in a folder; raises ConfigError if one exists and `force` is not set."""
    paths = [folder / f"{table.name}.{kind}" for table in TABLES]
    if not force:
        check_new(paths)
    return paths


def check_new(paths: Iterable[Path]) -> None:
    """Raises ConfigError for a file that exists."""
    for path in paths:
        if path.exists():
            raise ConfigError(
                f"{path} exists. Overwrite it with --force, or name another folder with --out.", where="out"
            )


def export_tables(traces: Iterable[Trace], paths: Sequence[Path], kind: Format) -> None:
    """Write the tables into their files, all of them or none; holds a few hundred traces at a time.

    Raises ConfigError if Parquet's package is not installed, or if dollars do not fit its decimals; StorageError if the
    files cannot be written.
    """
    with whole_files(*paths) as files, ExitStack() as opened:
        write = opened.enter_context(trace_tables(files, kind))
        for some in _some(traces):
            write(some)


@contextmanager
def trace_tables(files: Sequence[BinaryIO], kind: Format) -> Iterator[Callable[[Sequence[Trace]], None]]:
    """Writes the rows of traces into the files of the tables, in their order. Raises as `export_tables`."""
    with ExitStack() as opened:
        writers = [
            opened.enter_context(rows_into(file, table.row, kind)) for file, table in zip(files, TABLES, strict=True)
        ]

        def write(traces: Sequence[Trace]) -> None:
            for table, write_rows in zip(TABLES, writers, strict=True):
                write_rows([row for trace in traces for row in table.rows(trace)])

        yield write


def rows_into(file: BinaryIO, row: type[Row], kind: Format) -> AbstractContextManager[_Write]:
    """Writes rows of a class into a file. Raises ConfigError if Parquet's package is not installed."""
    return _WRITERS[kind](file, row)


def _some(traces: Iterable[Trace]) -> Iterator[Sequence[Trace]]:
    remaining = iter(traces)
    while some := tuple(islice(remaining, _TRACES_AT_ONCE)):
        yield some


@contextmanager
def _json_lines(file: BinaryIO, row: type[Row]) -> Iterator[_Write]:
    yield lambda rows: file.write(_encoder.encode_lines(rows))


@contextmanager
def _csv(file: BinaryIO, row: type[Row]) -> Iterator[_Write]:
    file.write(",".join(row.__struct_fields__).encode() + b"\n")
    yield lambda rows: file.writelines(_csv_line(each) for each in rows)


def _csv_line(row: Row) -> bytes:
    return ",".join(map(_cell, msgspec.structs.astuple(row))).encode() + b"\n"


def _cell(value: str | bool | float | Decimal | None) -> str:
    """Texts between quotes (RFC 4180), so that an empty one differs from none."""
    match value:
        case None:
            return ""
        case str():
            return '"' + value.replace('"', '""') + '"'
        case bool():
            return "true" if value else "false"
        case Decimal():
            return f"{value:f}"
        case _:
            return repr(value)


@contextmanager
def _parquet(file: BinaryIO, row: type[Row]) -> Iterator[_Write]:
    schema, waiting = arrow_schema(row), list[Row]()

    def write(rows: Sequence[Row]) -> None:
        waiting.extend(rows)
        if len(waiting) >= _ROW_GROUP:
            flush()

    def flush() -> None:
        parquet.write_batch(record_batch(waiting, schema))
        waiting.clear()

    with optional_package("pyarrow.parquet").ParquetWriter(file, schema, compression="zstd") as parquet:
        yield write
        if waiting:
            flush()


_WRITERS: Final[Mapping[Format, Callable[[BinaryIO, type[Any]], AbstractContextManager[_Write]]]] = {
    "parquet": _parquet,
    "csv": _csv,
    "jsonl": _json_lines,
}
