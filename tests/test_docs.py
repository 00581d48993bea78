"""Every code block of the README, the docs and the other pages runs."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.servers.processes import free_port, server

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    {*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")} - {ROOT / "CHANGELOG.md"}
)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PORT = re.compile(r"(?<=--port )87\d\d")
PROBLEMS = re.compile(r"(?<=--problems )\d+")
KNOBS = re.compile(r"(?<=--knobs )[\d.]+(?:,[\d.]+){3,}")
FEWEST = {"calibrate": 72}  # with fewer it refuses, since it measures on one half and needs 30 there
LINK = re.compile(r"\]\((?!https?:)([^)#]+)\)")


def blocks(page: Path, language: str) -> list[str]:
    return [body for kind, body in BLOCK.findall(page.read_text()) if kind == language]


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "bash") or blocks(p, "python")], ids=lambda p: p.name)
def test_the_code_blocks_of_a_page_run_in_order(page: Path, tmp_path: Path) -> None:
    """Each line by itself. One that ends in `&` starts a gateway, which is stopped at the end of the page.

    Its port, which the page names, is replaced by a free one. Its commands are made `smaller`.
    """
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    text = page.read_text()
    for port in set(PORT.findall(text)):
        text = text.replace(port, str(free_port()))
    with ExitStack() as started:
        for kind, body in BLOCK.findall(text):
            if kind == "python":
                subprocess.run([sys.executable, "-c", body], cwd=tmp_path, check=True, env=environment)
            elif kind == "bash":
                for command in commands(body):
                    run(smaller(command), tmp_path, environment, started)


def commands(body: str) -> Iterator[str]:
    """The commands of a block; one goes on after a backslash, and while a quote is open."""
    pending = ""
    for line in body.strip().splitlines():
        pending += line
        try:
            complete = bool(shlex.split(pending)) and not pending.endswith("\\")
        except ValueError:
            complete = False
        if complete:
            yield pending
        pending = "" if complete else pending + "\n"


def smaller(line: str) -> str:
    """The same command with a sixth of its problems, so that what grows on a page still grows, and at most 3 knobs."""
    fewest = max(FEWEST.get(word, 2) for word in shlex.split(line))

    def fewer_problems(written: re.Match[str]) -> str:
        count = int(written[0])
        return str(min(count, max(count // 6, fewest)))

    def fewer_knobs(written: re.Match[str]) -> str:
        knobs = written[0].split(",")
        return f"{knobs[0]},{knobs[len(knobs) // 2]},{knobs[-1]}"

    return KNOBS.sub(fewer_knobs, PROBLEMS.sub(fewer_problems, line))


def run(line: str, folder: Path, environment: Mapping[str, str], started: ExitStack) -> None:
    words = shlex.split(line)
    if words[0] == "make":
        words[1:1] = ["-n", "-C", str(ROOT)]
        line = shlex.join(words)
    if words[-1] == "&":
        port = int(words[words.index("--port") + 1])
        command = ["bash", "-c", f"cd {shlex.quote(str(folder))}; exec {line.removesuffix('&')}"]
        started.enter_context(server(command, port, folder / f"{port}.log", ready="/healthz", environment=environment))
        return
    subprocess.run(["bash", "-c", line], cwd=folder, check=True, env=environment, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_links_of_a_page_work(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        assert (page.parent / target).exists(), target
