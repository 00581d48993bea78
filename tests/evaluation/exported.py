"""Reads exported tables back as rows, each format with a reader that is not ours."""

from pathlib import Path
from typing import Any

import msgspec
import pyarrow
from pyarrow import csv, parquet

from steproute.evaluation.arrow import arrow_schema
from steproute.evaluation.tables import Table


def read_table(table: Table[Any], path: Path) -> list[Any]:
    if path.suffix == ".jsonl":
        return msgspec.json.Decoder(table.row).decode_lines(path.read_bytes())
    found = parquet.read_table(path) if path.suffix == ".parquet" else _read_csv(path, arrow_schema(table.row))
    assert found.schema.names == list(table.row.__struct_fields__)
    return [table.row(**row) for row in found.to_pylist()]


def _read_csv(path: Path, schema: pyarrow.Schema) -> pyarrow.Table:
    return csv.read_csv(
        path,
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            column_types=schema, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
        ),
    )
