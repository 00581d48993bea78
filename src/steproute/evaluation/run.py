"""A run on disk as rows and data frames."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from steproute.core.trace import Trace
from steproute.engine.run_folder import run_document
from steproute.engine.trace_file import NewestTraces
from steproute.evaluation.tables import CALLS, PROBLEMS, STEPS, CallRow, ProblemRow, StepRow, Table, table_named

if TYPE_CHECKING:
    import pandas
    import pyarrow

_Row = TypeVar("_Row")


class Rows(Generic[_Row]):
    """The rows of a table, read from disk one trace at a time whenever they are iterated."""

    def __init__(self, traces: Iterable[Trace], rows: Callable[[Trace], Iterable[_Row]]) -> None:
        self._traces, self._rows = traces, rows

    def __iter__(self) -> Iterator[_Row]:
        for trace in self._traces:
            yield from self._rows(trace)


class Run:
    """A run of `eval`, `compare` or another command, as its folder is when it is loaded; the run may still grow.

    config: the content of its `run.toml`. traces: one of each problem, route and seed. docs/reference/export.md
    describes the columns of its three tables.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any], traces: NewestTraces) -> None:
        self.folder, self.config, self.traces = folder, config, traces

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Self:
        """The run in a folder. Raises ConfigError if it has no sound `run.toml`, DatasetError for damaged traces."""
        path = Path(folder)
        return cls(path, run_document(path), NewestTraces(path / "traces.jsonl.zst"))

    @property
    def name(self) -> str:
        """The name that it was begun under."""
        return str(self.config.get("name", self.folder.name))

    @property
    def problems(self) -> Rows[ProblemRow]:
        """One row per problem, route and seed."""
        return self._rows(PROBLEMS)

    @property
    def steps(self) -> Rows[StepRow]:
        """One row per step of each solution."""
        return self._rows(STEPS)

    @property
    def calls(self) -> Rows[CallRow]:
        """One row per call of a model or scorer."""
        return self._rows(CALLS)

    def arrow(self, table: str) -> "pyarrow.Table":
        """The table "problems", "steps" or "calls" for Polars, DuckDB and other readers of Arrow; dollars are decimals.

        Raises ConfigError for another name, or if pyarrow is not installed.
        """
        from steproute.evaluation.arrow import arrow_table

        chosen = table_named(table)
        return arrow_table(chosen.row, self._rows(chosen))

    def frame(self, table: str) -> "pandas.DataFrame":
        """The table "problems", "steps" or "calls" as a pandas data frame of Arrow types; dollars are decimals.

        Raises ConfigError for another name, or if pandas or pyarrow is not installed.
        """
        from steproute.evaluation.arrow import data_frame

        return data_frame(self.arrow(table))

    def _rows(self, table: "Table[Any]") -> Rows[Any]:
        return Rows(self.traces, table.rows)
