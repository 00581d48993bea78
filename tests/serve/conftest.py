from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from tests.serve.paid_gateway import PaidGateway, paid_gateway
from tests.serve.running import RunningGateway, gateway
from tests.serve.turn_gateway import TurnGateway, turn_gateway
from tests.store.postgres import PostgresServer

_numbers = count()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'gateway.db'}"
    server: PostgresServer = request.getfixturevalue("postgres_server")
    name = f"gateway{next(_numbers)}"
    server.sql(f"CREATE DATABASE {name}")
    return server.url(name)


@pytest.fixture(scope="session")
def lab_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """The bundled lab, without keys."""
    with gateway(tmp_path_factory.mktemp("lab-gateway")) as started:
        yield started


@pytest.fixture(scope="session")
def paid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PaidGateway]:
    """Keys, budgets, tools, and models that fail or take their time."""
    with paid_gateway(tmp_path_factory.mktemp("paid-gateway")) as started:
        yield started


@pytest.fixture(scope="session")
def turns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TurnGateway]:
    """Keys, budgets, and models that say what a test wants on routes that route tools."""
    with turn_gateway(tmp_path_factory.mktemp("turn-gateway")) as started:
        yield started
