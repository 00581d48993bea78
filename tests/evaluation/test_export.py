import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engine.test_trace_file import trace
from tests.evaluation.exported import read_table
from tests.evaluation.made_up_traces import traces as made_up

from steproute.core.errors import ConfigError, StorageError
from steproute.core.trace import Trace
from steproute.evaluation.export import Format, export_tables, table_paths
from steproute.evaluation.tables import TABLES


@settings(max_examples=60)
@given(st.lists(made_up, max_size=3))
def test_all_formats_hold_the_same_rows(traces: list[Trace]) -> None:
    with TemporaryDirectory() as folder:
        for kind in get_args(Format):
            paths = table_paths(Path(folder), kind)
            export_tables(traces, paths, kind)
            for table, path in zip(TABLES, paths, strict=True):
                assert read_table(table, path) == [row for trace in traces for row in table.rows(trace)]


@pytest.mark.parametrize("kind", get_args(Format))
def test_rows_are_written_while_traces_are_read(tmp_path: Path, kind: Format) -> None:
    paths = table_paths(tmp_path, kind)

    def many() -> Iterator[Trace]:
        for number in range(25_000):
            yield trace(f"problem {number}")
        for path in paths:
            assert path.with_name(f".{path.name}.tmp").stat().st_size > 10_000

    export_tables(many(), paths, kind)
    assert len(read_table(TABLES[0], paths[0])) == 25_000


@pytest.mark.parametrize("kind", get_args(Format))
@pytest.mark.parametrize("failure", [KeyboardInterrupt(), ConfigError("broken"), OSError()], ids=repr)
def test_an_interrupted_export_leaves_the_files_as_they_were(
    tmp_path: Path, kind: Format, failure: BaseException
) -> None:
    def interrupted() -> Iterator[Trace]:
        yield from (trace(str(number)) for number in range(1000))
        raise failure

    paths = table_paths(tmp_path, kind)
    raised = StorageError if isinstance(failure, OSError) else type(failure)
    with pytest.raises(raised):
        export_tables(interrupted(), paths, kind)
    assert list(tmp_path.iterdir()) == []
    export_tables([trace("a")], paths, kind)
    before = {path: path.read_bytes() for path in paths}
    with pytest.raises(raised):
        export_tables(interrupted(), paths, kind)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_files_that_exist_are_kept_without_force(tmp_path: Path) -> None:
    (tmp_path / "calls.csv").write_text("mine")
    with pytest.raises(ConfigError, match=r"calls\.csv exists\. Overwrite it with --force, or name another folder"):
        table_paths(tmp_path, "csv")
    assert table_paths(tmp_path, "jsonl")
    export_tables([trace("a")], table_paths(tmp_path, "csv", force=True), "csv")
    assert (tmp_path / "calls.csv").read_text() != "mine"


def test_only_parquet_rejects_dollars_that_it_cannot_hold(tmp_path: Path) -> None:
    tiny = trace("a", usd="1E-19")
    with pytest.raises(ConfigError, match=r"cost_usd: a value does not fit decimal128.*Export csv or jsonl"):
        export_tables([tiny], table_paths(tmp_path, "parquet"), "parquet")
    assert list(tmp_path.iterdir()) == []
    for kind in ("csv", "jsonl"):
        export_tables([tiny], table_paths(tmp_path, kind), kind)
    assert f",{Decimal('1E-19'):f}," in (tmp_path / "calls.csv").read_text()
    assert '"1E-19"' in (tmp_path / "calls.jsonl").read_text()


def test_parquet_without_pyarrow_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r"pyarrow: is not installed\. Run: pip install 'steproute\[data\]'"):
        export_tables([trace("a")], table_paths(tmp_path, "parquet"), "parquet")
    for kind in ("csv", "jsonl"):
        export_tables([trace("a")], table_paths(tmp_path, kind), kind)
