"""Where data sets lie on this machine."""

import os
from pathlib import Path
from typing import Final

from steproute.core.errors import DatasetError

_VARIABLE: Final = "STEPROUTE_DATA"


def data_folder() -> Path:
    """The folder that STEPROUTE_DATA names, else steproute's own in the user's cache."""
    named = os.environ.get(_VARIABLE)
    return Path(named) if named else _cache()


def find_data(name: str) -> Path | None:
    """A file of the data folder or of the cache, None if neither has it."""
    return next((path for folder in (data_folder(), _cache()) if (path := folder / name).is_file()), None)


def data_file(name: str) -> Path:
    """A file of the data folder or of the cache; raises DatasetError if neither has it."""
    if (path := find_data(name)) is None:
        missing = data_folder() / name
        raise DatasetError(
            f"{missing} does not exist.", where="data", remedy=f"Set {_VARIABLE} to the folder that holds {name}."
        )
    return path


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "steproute" / "data"
