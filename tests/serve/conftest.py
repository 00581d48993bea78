from collections.abc import Iterator

import pytest
from tests.serve.paid_gateway import PaidGateway, paid_gateway
from tests.serve.running import RunningGateway, gateway


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
