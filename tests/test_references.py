"""The references say what the code says."""

import importlib
import re
from dataclasses import fields
from pathlib import Path

import pytest
from docs import cli_reference
from typer.main import get_command

import steproute
from steproute.cli.main import app
from steproute.core.ports import READS, TAKES_OVER, Needs
from steproute.core.registry import Registry, choosers, policies, strategies
from steproute.policies.stored import _KINDS
from steproute.policies.trim.threshold import Threshold

DOCS = Path(__file__).parents[1] / "docs"
STRATEGIES = (DOCS / "reference/strategies.md").read_text()
API = sorted((DOCS / "reference/python-api").glob("*.md"))
HEADINGS = ["Idea", "Algorithm", "Settings", "Measured", "Command"]


def rows(title: str) -> dict[str, dict[str, str]]:
    """The table whose first column has that title, by its names."""
    lines = STRATEGIES[STRATEGIES.index(f"| {title} |") :].split("\n\n")[0].splitlines()
    head, _, *body = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return {cells[0].strip("`"): dict(zip(head, cells, strict=True)) for cells in body}


def built_in(registry: Registry) -> set[str]:
    return {name for name in registry.names() if registry.get(name).__module__.startswith("steproute.")}


def test_the_commands_page_is_that_of_the_code() -> None:
    """Run `make reference` after a change of commands or options."""
    assert cli_reference.PAGE.read_text() == cli_reference.page()


def test_every_option_of_every_command_is_on_its_page() -> None:
    text = cli_reference.PAGE.read_text()
    for words, command in cli_reference.commands(get_command(app)):  # type: ignore[arg-type]
        section = text.split(f"## `{words}`\n")[1].split("\n## ")[0]
        for option in (name for each in command.params for name in each.opts if name.startswith("--")):
            assert option == "--help" or f"`{option}`" in section, (words, option)


def test_every_strategy_has_a_row_with_its_settings() -> None:
    table = rows("strategy")
    assert table.keys() == built_in(strategies)
    for name, row in table.items():
        settings = [
            each.name for each in fields(strategies.get(name)) if each.init and each.name not in ("policy", "chooser")
        ]
        assert re.findall(r"`(\w+)`", row["own settings"]) == settings, name


@pytest.mark.parametrize(("name", "scorers"), [("stepwise", "prm"), ("automix-prm", "prm"), ("specreason", "strong")])
def test_the_scorers_that_a_strategy_asks_are_in_its_row(name: str, scorers: str) -> None:
    needs: Needs = strategies.get(name)(policy=Threshold(0.5)).needs
    assert needs.scorers == (scorers,)
    assert ("strong" if scorers == "strong" else "policy" if name == "stepwise" else "yes") in rows("strategy")[name][
        "PRM"
    ]


def test_every_policy_has_a_row_with_what_it_declares() -> None:
    table = rows("policy")
    assert table.keys() == built_in(policies)
    for name, row in table.items():
        policy = policies.get(name)
        assert row["PRM"] == ("yes" if "scores" in READS.of(policy) else "no"), name
        assert row["log-probabilities"].startswith("yes") == ("confidence" in READS.of(policy)), name
        assert row["takes over"] == ("yes" if TAKES_OVER.of(policy) else "no"), name


def test_every_chooser_has_a_row() -> None:
    table = rows("chooser")
    assert table.keys() == built_in(choosers)
    for name, row in table.items():
        assert row["PRM"] == ("yes" if "scores" in READS.of(choosers.get(name)) else "no"), name


def test_every_kind_of_trained_policy_has_a_row() -> None:
    assert rows("kind").keys() == _KINDS.keys()


def test_every_strategy_and_policy_that_a_row_names_exists() -> None:
    for row in (*rows("policy").values(), *rows("kind").values()):
        assert set(re.findall(r"`([\w-]+)`", row["strategies"])) <= built_in(strategies)


@pytest.mark.parametrize("page", sorted((DOCS / "methods").glob("*.md")), ids=lambda page: page.stem)
def test_methods_have_the_same_headings(page: Path) -> None:
    found = re.findall(r"^## (.*)$", page.read_text(), re.MULTILINE)
    assert found == ([] if page.stem == "index" else HEADINGS)


def test_every_module_of_the_python_pages_exists() -> None:
    for name in re.findall(r"^::: (.*)$", "\n".join(page.read_text() for page in API), re.MULTILINE):
        importlib.import_module(name)


def test_every_name_of_the_package_is_on_a_python_page() -> None:
    documented = set(re.findall(r"^::: (.*)$", "\n".join(page.read_text() for page in API), re.MULTILINE))
    for name in steproute.__all__:
        assert steproute._PLACES[name] in documented, name


def test_every_page_is_in_the_navigation() -> None:
    navigation = re.findall(r"^ +- (?:[\w -]+: )?(\S+\.md)$", (DOCS.parent / "mkdocs.yml").read_text(), re.MULTILINE)
    assert sorted(navigation) == sorted(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md"))
