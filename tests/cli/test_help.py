"""Help texts are shown as they are written."""

import re
from collections.abc import Iterator

import pytest
import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

from steproute.cli.main import app
from steproute.cli.plain_help import PlainCommand


def commands() -> Iterator[tuple[tuple[str, ...], TyperCommand]]:
    """Every command under the words that call it."""
    groups: list[tuple[tuple[str, ...], TyperGroup]] = [((), get_command(app))]  # type: ignore[list-item]
    while groups:
        words, group = groups.pop()
        for name in group.commands:
            _, found, _ = group.resolve_command(typer.Context(group), [name])  # type: ignore[arg-type]
            if isinstance(found, TyperGroup):
                groups.append(((*words, name), found))
            else:
                yield (*words, name), found  # type: ignore[misc]


@pytest.mark.parametrize("words", [words for words, _ in commands()], ids=" ".join)
def test_every_command_has_an_example_and_keeps_its_brackets(words: tuple[str, ...]) -> None:
    found = dict(commands())[words]
    assert isinstance(found, PlainCommand)
    shown = " ".join(CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "4000"}).stdout.split())
    assert "Example: steproute" in shown
    for text in (found.help, *(getattr(each, "help", None) for each in found.params)):
        for bracketed in re.findall(r"\\(\[[^]]*])", text or ""):
            assert bracketed in shown


def test_the_list_of_commands_says_what_their_own_helps_say() -> None:
    group: TyperGroup = get_command(app)  # type: ignore[assignment]
    for name in group.commands:
        listed = group.get_command(typer.Context(group), name)
        _, own, _ = group.resolve_command(typer.Context(group), [name])  # type: ignore[arg-type]
        assert listed is not own
        assert listed is not None
        assert own is not None
        assert listed.help == own.help


def test_a_misspelt_command_is_suggested() -> None:
    assert "Did you mean 'solve'?" in " ".join(CliRunner().invoke(app, ["solv"]).output.split())


def test_a_bracket_in_a_help_text_is_no_tag() -> None:
    own = typer.Typer(rich_markup_mode="rich")

    @own.command(cls=PlainCommand)
    def command(extra: str = typer.Option("x", help="Needs [red] or [limits].")) -> None:
        """Run pip install 'steproute[learn]' first."""

    shown = " ".join(CliRunner().invoke(own, ["--help"]).stdout.split())
    assert "steproute[learn]" in shown
    assert "Needs [red] or [limits]." in shown
