"""Real servers as processes of a test: started on a free loopback port, waited for, stopped by their process group."""

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_STARTUP_S = 300


@dataclass(frozen=True)
class Running:
    """`url` ends in /v1; `log` is what the server prints."""

    url: str
    log: Path


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@contextmanager
def server(
    command: Sequence[str], port: int, log: Path, *, ready: str = "/health", environment: Mapping[str, str] = {}
) -> Iterator[Running]:
    """Run `command` until `ready` answers, and stop it at the end; fails with the log's tail where it dies."""
    root = f"http://127.0.0.1:{port}"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            start_new_session=True,
        )
    try:
        until = time.monotonic() + _STARTUP_S
        while not _answers(root + ready):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{command[0]} did not start:\n{log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.5)
        yield Running(f"{root}/v1", log)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False
