"""The how-to for a plugin, copied as it is written into a package, gives a policy to the command line."""

import json
import re
from pathlib import Path

from tests.plugin_packages import publish_project, steproute

PAGE = (Path(__file__).parents[1] / "docs/how-to/add-a-policy.md").read_text()


def block(language: str) -> str:
    found = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert len(found) == 1
    return str(found[0])


def test_the_policy_of_the_how_to_is_found_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "my_package").mkdir()
    (tmp_path / "my_package/policies.py").write_text(block("python"))
    publish_project(tmp_path, block("toml"))
    (command,) = re.findall(r"^steproute (solve .*)$", block("text"), re.MULTILINE)
    result = steproute(tmp_path, *command.split(), "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["route"] == "stepwise/running-minimum=0.5"
