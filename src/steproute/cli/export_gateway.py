"""The export of a gateway's store: traces as the folder of a run, their tables, and the ledger's lines."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import msgspec

from steproute.cli.gateway_store import with_store
from steproute.core.errors import StorageError
from steproute.core.trace import Trace
from steproute.core.whole_file import whole_files
from steproute.engine.run_folder import exported_document
from steproute.engine.trace_file import write_traces
from steproute.evaluation.export import Format, check_new, rows_into, table_paths, trace_tables

if TYPE_CHECKING:
    from steproute.store import Exported, LedgerRow, Selection, Store

_DECODER: Final = msgspec.json.Decoder(Trace)


def export_gateway(
    config: Path | None, database: str | None, selection: "Selection", kind: Format, folder: Path, *, force: bool
) -> tuple[list[Path], "Exported"]:
    """Write all files or none, and return them.

    Raises ConfigError for one that exists unless `force` is set, and StorageError if the lines do not add up to what
    was spent.
    """
    tables = folder / "tables"
    paths = [folder / "run.toml", folder / "traces.jsonl.zst", tables / f"ledger.{kind}"]
    paths += table_paths(tables, kind, force=True)
    if not force:
        check_new(paths)
    with whole_files(*paths) as (document, *files), _files(files, kind) as sink:

        async def work(store: "Store") -> "Exported":
            return await store.export(selection, sink)

        exported = with_store(config, database, work)
        _check(exported)
        document.write(exported_document(folder.name, "gateway", list(sink.routes), exported.traces))
    return paths, exported


def _check(exported: "Exported") -> None:
    found = exported.lines_usd + exported.folded_usd
    if found != exported.spent_usd:
        raise StorageError(
            f"the lines add up to {found:f} dollars, and {exported.spent_usd:f} were spent.",
            where="ledger",
            remedy="Nothing was written. Look at what has changed the database other than steproute.",
        )


class _Files:
    """Writes what it is given as it comes. It is a `Sink` of the store."""

    def __init__(
        self,
        traces: BinaryIO,
        write_lines: "Callable[[Sequence[LedgerRow]], object]",
        write_tables: Callable[[Sequence[Trace]], None],
    ) -> None:
        self._add, self._write_lines, self._write_tables = write_traces(traces), write_lines, write_tables
        self.routes: dict[str, None] = {}

    def lines(self, rows: "Sequence[LedgerRow]") -> None:
        """Add lines of the ledger."""
        self._write_lines(rows)

    def traces(self, encoded: Sequence[bytes]) -> None:
        """Add traces and their rows."""
        for trace in encoded:
            self._add(trace)
        decoded = [_DECODER.decode(trace) for trace in encoded]
        self.routes |= dict.fromkeys(trace.route for trace in decoded)
        self._write_tables(decoded)


@contextmanager
def _files(files: Sequence[BinaryIO], kind: Format) -> Iterator[_Files]:
    from steproute.store import LedgerRow

    traces, ledger, *tables = files
    with rows_into(ledger, LedgerRow, kind) as write_lines, trace_tables(tables, kind) as write_tables:
        yield _Files(traces, write_lines, write_tables)
