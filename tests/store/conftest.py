from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from tests.store.postgres import PostgresServer

_numbers = count()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    server = PostgresServer()
    yield server
    server.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    return empty_postgres(request.getfixturevalue("postgres_server"))


def empty_postgres(server: PostgresServer) -> str:
    name = f"store{next(_numbers)}"
    server.sql(f"CREATE DATABASE {name}")
    return server.url(name)


class Clock:
    """Time that stands still until it is set."""

    def __init__(self) -> None:
        self.now_s = 1_795_651_200.0  # 2026-11-26 00:00 UTC

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()
