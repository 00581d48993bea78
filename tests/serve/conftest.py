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
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'gateway.db'}"
    server: PostgresServer = request.getfixturevalue("postgres_server")
    name = f"gateway{next(_numbers)}"
    server.sql(f"CREATE DATABASE {name}")
    return server.url(name)
