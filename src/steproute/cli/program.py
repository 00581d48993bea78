"""This program's name as the user has to type it."""

import os
import shutil
import sys
from pathlib import Path


def program() -> str:
    """`steproute` if that name leads to this program, else the path by which it was called, such as
    `.venv/bin/steproute`."""
    called = Path(sys.argv[0])
    found = shutil.which(called.name)
    if found is not None and (not called.exists() or Path(found).samefile(called)):
        return called.name
    return os.path.relpath(called)
