"""A digest of files that come with the package."""

import hashlib
from collections.abc import Iterable
from pathlib import Path


def file_digest(paths: Iterable[Path]) -> str:
    """A digest of the files' names and contents, whatever their order; 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]
