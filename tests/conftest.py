import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.store.postgres import PostgresServer

settings.register_profile("steproute", deadline=None)  # a busy machine is slow, and no fault
settings.load_profile("steproute")

# Tests start a thousand processes, and where no bytecode may be written each of them would compile the sources again.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# One worker of pytest-xdist runs per core; with further threads, PyTorch and BLAS mostly wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_xdist_auto_num_workers() -> int:
    """One more than cores, since many tests wait: for a lease, a process, a fault that passes."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The shared data, or a skip that says how to get it."""
    folder = Path(os.environ.get("STEPROUTE_DATA", Path(__file__).parents[1] / "../shared/data")).resolve()
    if not folder.is_dir():
        pytest.skip(f"no data folder at {folder}; set STEPROUTE_DATA")
    os.environ["STEPROUTE_DATA"] = str(folder)  # commands that a test starts read it too
    return folder


@pytest.fixture(scope="session")
def postgres_server() -> Iterator["PostgresServer"]:
    """One real server for all tests of a process; those that kill it start their own."""
    from tests.store.postgres import PostgresServer

    server = PostgresServer()
    yield server
    server.stop()
