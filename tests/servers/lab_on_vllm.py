"""The lab's weak, strong and reward model, each on a vLLM server of its own on loopback."""

import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from tests.servers.processes import Running, free_port, server

from steproute.lab.hugging_face import export_for_servers
from steproute.lab.tokenizer import vocabulary

NAMES: Final = ("lab-weak", "lab-strong", "lab-prm-place")
CONFIG: Final = """
[models.weak]
backend = "openai"
base_url = "{lab-weak}"
model = "lab-weak"
template = "none"
sampling = {{ temperature = 0.7, top_p = 1.0, top_k = 0 }}
price = {{ input = "0.05", output = "0.20" }}
[models.strong]
backend = "openai"
base_url = "{lab-strong}"
model = "lab-strong"
template = "none"
sampling = {{ temperature = 0.7, top_p = 1.0, top_k = 0 }}
price = {{ input = "1.00", output = "4.00" }}
[scorers.prm]
backend = "vllm-pooling"
base_url = "{lab-prm-place}"
model = "lab-prm-place"
text = "{{problem}}\\n\\n{{steps}}"
price = {{ input = "0.05", output = 0 }}
"""
_CONTEXT: Final = 1024
_QUIET: Final = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_ALLOW_LONG_MAX_MODEL_LEN": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
}


@contextmanager
def lab_on_vllm(models: Path, logs: Path, *more: str) -> Iterator[dict[str, Running]]:
    """Export the models to a folder, start the servers, wait for all, and stop them at the end.

    more: arguments of the two that write. The servers take more tokens than the 384 that the models know, so that long
    prompts are answered, too, if only with nonsense.
    """
    installer = Path(__file__).with_name("install_vllm.sh")
    home = subprocess.run([installer], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    with ExitStack() as stack:
        started = {}
        for name in NAMES:
            export_for_servers(name, models / name)
            port = free_port()
            judging = ["--pooler-config", f'{{"step_tag_id": {len(vocabulary())}}}']
            command = [
                *(f"{home}/bin/vllm", "serve", str(models / name), "--served-model-name", name),
                *("--max-model-len", str(_CONTEXT), "--dtype", "float32", "--enforce-eager"),
                # Never a part of a prompt: with seeds, vLLM 0.32 dies of that on a CPU.
                *("--max-num-batched-tokens", str(64 * _CONTEXT)),
                *(
                    "--host",
                    "127.0.0.1",
                    "--port",
                    str(port),
                    "--enable-log-requests",
                    *(judging if name == "lab-prm-place" else more),
                ),
            ]
            started[name] = stack.enter_context(server(command, port, logs / f"{name}.log", environment=_QUIET))
        yield started


def written_config(path: Path, servers: Mapping[str, Running], text: str = CONFIG) -> Path:
    """A steproute.toml for these servers."""
    path.write_text(text.format(**{name: running.url for name, running in servers.items()}))
    return path


def generated(running: Running) -> int:
    """The server's own count of generated tokens."""
    with urllib.request.urlopen(running.url.removesuffix("/v1") + "/metrics") as response:
        text = response.read().decode()
    counts = (line.rsplit(" ", 1)[1] for line in text.splitlines() if line.startswith("vllm:generation_tokens_total"))
    return int(sum(map(float, counts)))
