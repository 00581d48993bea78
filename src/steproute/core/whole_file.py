"""Files that are replaced as a whole: whoever reads one finds the old content or the new, never half of it."""

import os
from pathlib import Path

from steproute.core.errors import StorageError


def write_whole(path: Path, content: bytes) -> None:
    """Replace a file by `content`, also if the process is killed meanwhile; makes its folder.

    Raises StorageError that names the file, for example if the disk is full. The old file is then untouched.
    """
    draft = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        _sync_folder(path.parent)
    except OSError as failure:
        raise StorageError.of(path, failure) from None


def _sync_folder(folder: Path) -> None:
    """Make a renaming last if the machine stops."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
