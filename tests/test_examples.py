"""Every example runs as it is written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


def test_an_agent_with_tools_plays_a_task(tmp_path: Path) -> None:
    """By each of its three models, behind a gateway that the example starts itself."""
    play = EXAMPLES[0].parent / "tool_agent/play.py"
    played = subprocess.run([sys.executable, str(play), "--tasks", "1"], cwd=tmp_path, check=True, capture_output=True)
    assert played.stdout.decode().count("1/1 succeeded") == 3


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_runs_from_top_to_bottom(example: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    subprocess.run([sys.executable, str(example)], cwd=tmp_path, check=True, env=environment)
