"""Somebody who has never seen steproute: a fresh environment, and the blocks of the gateway's page as they stand."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from tests.servers.processes import free_port

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_WORDS_PER_MINUTE = 200


@dataclass(frozen=True)
class FirstAnswer:
    """What the page says up to a client's first answer, its code included. program: the first one in Python."""

    words: int
    install: str
    start: str
    questions: list[str]
    program: str

    @classmethod
    def on(cls, page: str) -> "FirstAnswer":
        blocks = list(_BLOCK.finditer(page))
        last = next(number for number, block in enumerate(blocks) if block[1] == "python")
        install, start, *questions, program = (block[2] for block in blocks[: last + 1])
        return cls(len(page[: blocks[last].end()].split()), install, start, questions, program)


@pytest.mark.long
def test_a_new_user_gets_an_answer_within_five_minutes_of_reading(tmp_path: Path) -> None:
    """It needs the package index, from which a fresh environment is installed."""
    port = free_port()
    page = FirstAnswer.on((ROOT / "docs/how-to/run-the-gateway.md").read_text().replace("8700", str(port)))
    assert "pip install '.[serve]'" in page.install
    assert "steproute serve" in page.start
    assert "openai.OpenAI(" in page.program
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    user = User(tmp_path)

    began = time.monotonic()
    user.run(page.install, folder=ROOT)
    installed_s = time.monotonic() - began

    began = time.monotonic()
    with user.running(page.start, port):
        for question in page.questions:
            assert "steproute/default" in user.run(question)
        answer = user.run(f"python - <<'END'\n{page.program}\nEND\n")
    answered_s = time.monotonic() - began

    minutes = page.words / _WORDS_PER_MINUTE
    print(f"{page.words} words, {minutes:.1f} minutes; install {installed_s:.0f} s, first answer {answered_s:.1f} s")
    assert "answer is" in answer
    assert minutes < 5


@dataclass(frozen=True)
class User:
    """A shell in a folder of its own, with a fresh environment first on the path and nothing else of ours."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "STEPROUTE"))}
        return kept | {"PATH": f"{self.folder / 'venv/bin'}{os.pathsep}{os.environ['PATH']}"}

    def run(self, block: str, folder: Path | None = None) -> str:
        command = ["bash", "-e", "-c", block]
        done = subprocess.run(
            command, cwd=folder or self.folder, env=self.environment, stdout=subprocess.PIPE, text=True, check=True
        )
        return done.stdout

    @contextmanager
    def running(self, block: str, port: int) -> Iterator[None]:
        """What a block starts in the background, once it answers, until the context ends."""
        command = ["bash", "-c", f"{block}\nwait"]
        shell = subprocess.Popen(command, cwd=self.folder, env=self.environment, start_new_session=True)
        try:
            while not _answers(port):
                assert shell.poll() is None
                time.sleep(0.1)
            yield
        finally:
            os.killpg(shell.pid, signal.SIGTERM)
            shell.wait()


def _answers(port: int) -> bool:
    try:
        return bool(httpx2.get(f"http://127.0.0.1:{port}/healthz", timeout=5).status_code == 200)
    except httpx2.TransportError:
        return False
