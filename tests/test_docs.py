"""Every code block of the README, the docs and the other pages runs."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    {*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")} - {ROOT / "CHANGELOG.md"}
)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)\)")


def blocks(page: Path, language: str) -> list[str]:
    return [body for kind, body in BLOCK.findall(page.read_text()) if kind == language]


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "bash") or blocks(p, "python")], ids=lambda p: p.name)
def test_the_code_blocks_of_a_page_run_in_order(page: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for kind, body in BLOCK.findall(page.read_text()):
        if kind == "python":
            subprocess.run([sys.executable, "-c", body], cwd=tmp_path, check=True, env=environment)
        elif kind == "bash":
            for line in body.strip().splitlines():
                words = shlex.split(line)
                if words[0] == "make":
                    words[1:1] = ["-n", "-C", str(ROOT)]
                subprocess.run(words, cwd=tmp_path, check=True, env=environment, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_links_of_a_page_work(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        assert (page.parent / target).exists(), target
