"""Packages as pip leaves them, without pip: their modules, and the entry points of their pyproject.toml."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

STEPROUTE = str(Path(sys.executable).with_name("steproute"))


def publish(folder: Path, name: str, groups: Mapping[str, Mapping[str, str]]) -> None:
    """Write the metadata of a package whose modules lie in `folder`."""
    metadata = folder / f"{name.replace('-', '_')}-0.1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1.0\n")
    lines = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in named.items()) for group, named in groups.items()]
    (metadata / "entry_points.txt").write_text("\n".join(lines))


def publish_project(folder: Path, text: str) -> None:
    """As `publish`, from the text of a pyproject.toml."""
    project = tomllib.loads(text)["project"]
    publish(folder, project["name"], project["entry-points"])


def steproute(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run steproute where the packages of `folder` are installed."""
    path = os.pathsep.join((str(folder), os.environ.get("PYTHONPATH", "")))
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run([STEPROUTE, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False)
