"""Rows as Arrow tables and pandas frames, through packages that only `steproute[data]` installs."""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from importlib import import_module
from itertools import islice
from types import NoneType
from typing import TYPE_CHECKING, Any, Final, get_args

import msgspec

from steproute.core.errors import ConfigError
from steproute.evaluation.tables import Row

if TYPE_CHECKING:
    import pandas
    import pyarrow

DECIMALS: Final = 18
"""Of a dollar, in every decimal column. A price in dollars per million tokens can have twelve."""
_DIGITS: Final = 38
_BATCH: Final = 10_000


def optional_package(name: str) -> Any:
    """A package of `steproute[data]`; raises ConfigError, which says how to install it."""
    try:
        return import_module(name)
    except ImportError:
        package = name.partition(".")[0]
        raise ConfigError("is not installed.", where=package, remedy="Run: pip install 'steproute[data]'.") from None


def arrow_schema(row: type[Row]) -> "pyarrow.Schema":
    """The columns of a row's class with their types, and which of them can be null."""
    arrow = optional_package("pyarrow")
    types = {
        str: arrow.string(),
        int: arrow.int64(),
        float: arrow.float64(),
        bool: arrow.bool_(),
        Decimal: arrow.decimal128(_DIGITS, DECIMALS),
    }
    fields = []
    for field in msgspec.structs.fields(row):
        kinds = get_args(field.type) or (field.type,)
        fields.append(arrow.field(field.name, types[kinds[0]], nullable=NoneType in kinds))
    return arrow.schema(fields)


def record_batch(rows: Sequence[Row], schema: "pyarrow.Schema") -> "pyarrow.RecordBatch":
    """Rows side by side; raises ConfigError for dollars of more decimals than the columns have."""
    arrow = optional_package("pyarrow")
    columns = zip(*map(msgspec.structs.astuple, rows), strict=True) if rows else [()] * len(schema)
    arrays = [_array(list(column), field) for column, field in zip(columns, schema, strict=True)]
    return arrow.RecordBatch.from_arrays(arrays, schema=schema)


def arrow_table(row: type[Row], rows: Iterable[Row]) -> "pyarrow.Table":
    """All rows as an Arrow table; raises ConfigError as `record_batch`, and if pyarrow is not installed."""
    schema = arrow_schema(row)
    return optional_package("pyarrow").Table.from_batches(
        [record_batch(batch, schema) for batch in _batches(rows)], schema
    )


def data_frame(table: "pyarrow.Table") -> "pandas.DataFrame":
    """A pandas frame with Arrow's own types: missing values stay missing, and dollars decimal."""
    return table.to_pandas(types_mapper=optional_package("pandas").ArrowDtype)


def _array(values: Sequence[Any], field: "pyarrow.Field") -> "pyarrow.Array":
    arrow = optional_package("pyarrow")
    try:
        return arrow.array(values, field.type)
    except arrow.ArrowInvalid as failure:
        raise ConfigError(
            f"a value does not fit {field.type} ({failure}).",
            where=field.name,
            remedy="Export csv or jsonl, which hold any.",
        ) from None


def _batches(rows: Iterable[Row]) -> Iterator[Sequence[Row]]:
    remaining = iter(rows)
    while batch := tuple(islice(remaining, _BATCH)):
        yield batch
