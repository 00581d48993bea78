import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.servers.lab_on_vllm import lab_on_vllm
from tests.servers.processes import Running


@pytest.fixture(scope="session")
def vllm_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Running]]:
    """The lab's weak, strong and PRM, each on a vLLM server of its own."""
    pytest.importorskip("onnx")
    folder = tmp_path_factory.mktemp("models")
    with lab_on_vllm(folder, Path(os.environ.get("STEPROUTE_SERVER_LOGS", folder))) as servers:
        yield servers
