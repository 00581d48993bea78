from pathlib import Path

import pytest


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    server = request.getfixturevalue("postgres_server")
    server.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")  # much faster than another database
    return str(server.url())


class Clock:
    """Time that stands still until it is set."""

    def __init__(self) -> None:
        self.now_s = 1_795_651_200.0  # 2026-11-26 00:00 UTC

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()
