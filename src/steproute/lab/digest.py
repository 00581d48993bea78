"""What a run on the lab depends on besides its settings: the weights and policies that come with the package."""

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

from steproute.core.file_digest import file_digest

_PARTS: Final = ("weights/*.onnx", "policies/*/*", "trim_world/*.json")


@cache
def lab_digest() -> str:
    """A digest of all shipped weights, policies and parameters; see `file_digest`."""
    folder = Path(str(files("steproute.lab")))
    return file_digest(path for part in _PARTS for path in folder.glob(part))
