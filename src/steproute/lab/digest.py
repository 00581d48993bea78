"""What a run on the lab depends on besides its settings: the weights and policies that come with the package."""

import hashlib
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

_PARTS: Final = ("weights/*.onnx", "policies/*/*", "trim_world/*.json")


@cache
def lab_digest() -> str:
    """A digest of all shipped weights, policies and parameters, with their names; 16 hexadecimal digits."""
    folder, digest = Path(str(files("steproute.lab"))), hashlib.sha256()
    for path in sorted(path for part in _PARTS for path in folder.glob(part)):
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]
