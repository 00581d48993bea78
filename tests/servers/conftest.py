import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.servers.processes import Running, free_port, server

from steproute.lab.hugging_face import export_for_servers
from steproute.lab.tokenizer import vocabulary

_QUIET = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
}


@pytest.fixture(scope="session")
def vllm_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Running]]:
    """The lab's weak, strong and PRM, each on a vLLM server of its own."""
    pytest.importorskip("onnx")
    installer = Path(__file__).with_name("install_vllm.sh")
    home = subprocess.run([installer], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    folder = tmp_path_factory.mktemp("models")
    kept = Path(os.environ.get("STEPROUTE_SERVER_LOGS", folder))
    started = {}
    with ExitStack() as stack:
        pending = []
        for name in ("lab-weak", "lab-strong", "lab-prm"):
            export_for_servers(name, folder / name)
            port = free_port()
            judging = ["--pooler-config", f'{{"step_tag_id": {len(vocabulary())}}}'] if name == "lab-prm" else []
            command = [
                *(f"{home}/bin/vllm", "serve", str(folder / name), "--served-model-name", name),
                *("--max-model-len", "384", "--dtype", "float32", "--enforce-eager"),
                # Never a part of a prompt: with seeds, vLLM 0.32 dies of that on a CPU.
                *("--max-num-batched-tokens", "32768"),
                *("--host", "127.0.0.1", "--port", str(port), "--enable-log-requests", *judging),
            ]
            pending.append((name, command, port))
        for name, command, port in pending:
            started[name] = stack.enter_context(server(command, port, kept / f"{name}.log", environment=_QUIET))
        yield started
