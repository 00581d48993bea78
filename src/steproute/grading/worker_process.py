"""A worker process for questions that may take too long: it is started on demand, and replaced when one ended it."""

import contextlib
import json
import os
import selectors
import subprocess
import sys
import threading
from typing import Final, Generic, TypeVar

from steproute.core.errors import ConfigError

Answer = TypeVar("Answer")

_STARTUP_S: Final = 900.0
_WALL_PER_CPU: Final = 120.0


class Worker(Generic[Answer]):
    """One process at a time of `module`, which serves as `steproute.grading.worker` does. Threads take turns.

    Answer: what the module's function returns, as JSON has it.
    """

    def __init__(self, module: str) -> None:
        self._module = module
        self._turn = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._ready = self._gone = False

    def start(self) -> None:
        """Start a process if none is there, without waiting until it is ready."""
        with self._turn:
            self._start()

    def ask(self, one: str, other: str, cpu_s: float) -> Answer | None:
        """The process's answer about two texts; None if it used up its time or died.

        Raises ConfigError if it never was ready.
        """
        with self._turn:
            self._start()
            process = self._process
            assert process is not None
            assert process.stdin is not None
            if not self._ready and self._read(process, _STARTUP_S) is not True:
                raise ConfigError(
                    f"the worker {self._module} did not start. Reinstall steproute with math-verify, and "
                    "see its error above.",
                    where="answers",
                )
            self._ready = True
            try:
                process.stdin.write(json.dumps([one, other, cpu_s]) + "\n")
                process.stdin.flush()
            except BrokenPipeError:
                self._gone = True
                return None
            return self._read(process, cpu_s * _WALL_PER_CPU)

    def close(self) -> None:
        """End the process at once."""
        with self._turn:
            self._end()

    def _start(self) -> None:
        if self._process is None or self._gone or self._process.poll() is not None:
            self._end()
            command = [sys.executable, "-m", self._module, str(os.getpid())]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            self._ready = self._gone = False

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def _read(self, process: "subprocess.Popen[str]", wall_s: float) -> Answer | None:
        assert process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            line = process.stdout.readline() if selector.select(wall_s) else ""
        self._gone = not line
        answer: Answer | None = json.loads(line) if line else None
        return answer
