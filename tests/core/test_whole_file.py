from pathlib import Path

import pytest

from steproute.core.errors import StorageError
from steproute.core.whole_file import whole_files, write_whole


def test_files_are_replaced_together(tmp_path: Path) -> None:
    one, other = tmp_path / "new/one", tmp_path / "other"
    other.write_bytes(b"old")
    with whole_files(one, other) as files:
        for file in files:
            file.write(b"new")
        assert (one.exists(), other.read_bytes()) == (False, b"old")
    assert [one.read_bytes(), other.read_bytes()] == [b"new", b"new"]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["new", "one", "other"]


def test_files_that_cannot_be_written_are_named_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    paths = tmp_path / "one", tmp_path / "file/other"
    with pytest.raises(StorageError, match=r"one, .*other: Not a directory|one, .*other: File exists"):
        whole_files(*paths).__enter__()
    with pytest.raises(StorageError, match="other: "):
        write_whole(paths[1], b"")
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]
