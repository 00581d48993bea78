"""Workers as processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

WORKER = Path(__file__).with_name("worker.py")


class WorkerProcess:
    """Has opened the store once it is made, and begins at `begin`."""

    def __init__(self, task: str, url: str, name: str, count: int = 0) -> None:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(WORKER.parents[2]), *filter(None, sys.path)])}
        self.process = subprocess.Popen(
            [sys.executable, WORKER, task, url, name, str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def begin(self) -> None:
        assert self.process.stdin is not None
        assert self.line() == "ready"
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def result(self) -> int:
        result = int(self.line())
        self.end()
        return result

    def kill(self) -> list[str]:
        """As a power cut does it to the process; returns what it had said, a line cut off in the middle left out."""
        self.process.kill()
        assert self.process.stdout is not None
        said = self.process.stdout.read().split("\n")[:-1]
        self.end()
        return said

    def end(self) -> None:
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()
