import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("steproute", deadline=None)  # a busy machine is slow, and no fault
settings.load_profile("steproute")


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The shared data, or a skip that says how to get it."""
    folder = Path(os.environ.get("STEPROUTE_DATA", Path(__file__).parents[1] / "../shared/data")).resolve()
    if not folder.is_dir():
        pytest.skip(f"no data folder at {folder}; set STEPROUTE_DATA")
    return folder
