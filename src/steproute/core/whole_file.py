"""Files that are replaced as a whole: a reader finds the old content or the new, never half of it."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec

from steproute.core.errors import StorageError


def write_whole(path: Path, content: bytes) -> None:
    """Replace a file by `content`, also if the process is killed meanwhile; makes its folder.

    Raises StorageError that names the file, for example if the disk is full. The old file is then untouched.
    """
    with whole_files(path) as (file,):
        file.write(content)


def write_json(path: Path, document: object) -> None:
    """Replace a file by a document as indented JSON, in the same way."""
    write_whole(path, msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")


@contextmanager
def whole_files(*paths: Path) -> Iterator[Sequence[BinaryIO]]:
    """Files to write, which replace `paths` together when the block ends; makes their folders.

    If the block raises, or is interrupted, the old files are untouched and nothing of the new ones is left. Raises
    StorageError that names the files.
    """
    drafts = [path.with_name(f".{path.name}.tmp") for path in paths]
    try:
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as opened:
            files = [opened.enter_context(draft.open("wb")) for draft in drafts]
            yield files
            for file in files:
                file.flush()
                os.fsync(file.fileno())
        for draft, path in zip(drafts, paths, strict=True):
            draft.replace(path)
        for folder in {path.parent for path in paths}:
            _sync_folder(folder)
    except OSError as failure:
        _delete(drafts)
        raise StorageError.of(", ".join(map(str, paths)), failure) from None
    except BaseException:
        _delete(drafts)
        raise


def _delete(drafts: Sequence[Path]) -> None:
    for draft in drafts:
        if draft.exists():
            draft.unlink()


def _sync_folder(folder: Path) -> None:
    """Make a renaming last if the machine stops."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
