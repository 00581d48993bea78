"""The how-to for a plugin, copied as it is written into a package, gives a policy to the command line."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

PAGE = (Path(__file__).parents[1] / "docs/how-to/add-a-policy.md").read_text()
STEPROUTE = str(Path(sys.executable).with_name("steproute"))


def block(language: str) -> str:
    found = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert len(found) == 1
    return str(found[0])


def installed(folder: Path) -> dict[str, str]:
    """The package as pip leaves it, without pip: its modules, and the entry points of its pyproject.toml."""
    (folder / "my_package").mkdir()
    (folder / "my_package/policies.py").write_text(block("python"))
    project = tomllib.loads(block("toml"))["project"]
    metadata = folder / f"my_package-{project['version']}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    lines = [
        f"[{group}]\n{name} = {value}\n"
        for group, named in project["entry-points"].items()
        for name, value in named.items()
    ]
    (metadata / "entry_points.txt").write_text("\n".join(lines))
    path = os.pathsep.join((str(folder), os.environ.get("PYTHONPATH", "")))
    return {**os.environ, "PYTHONPATH": path}


def test_the_policy_of_the_how_to_is_found_by_its_name(tmp_path: Path) -> None:
    environment = installed(tmp_path)
    (command,) = re.findall(r"^steproute (solve .*)$", block("text"), re.MULTILINE)
    words = [STEPROUTE, *command.split(), "--json"]
    result = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["route"] == "stepwise/running-minimum=0.5"
