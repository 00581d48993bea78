"""Writes docs/reference/cli.md from the commands themselves: python docs/cli_reference.py.

Texts and defaults come from Typer's command tree, types from the annotations of the functions behind it.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

from typer import Context
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from steproute.cli.main import app, main

PAGE: Final = Path(__file__).parent / "reference/cli.md"
_WORDS: Final = {str: "text", int: "whole number", float: "number", bool: "flag", Path: "path"}
_SPECIAL: Final = str.maketrans({"|": "\\|", "<": "&lt;", "*": "\\*", "\n": " "})
_HEAD: Final = """\
# Commands

Every command and option. `python docs/cli_reference.py` writes this page from the code; `steproute COMMAND --help`
prints the same."""


def page() -> str:
    """The whole page."""
    return "\n".join(_lines()) + "\n"


def commands(group: TyperGroup, words: tuple[str, ...] = ("steproute",)) -> Iterator[tuple[str, TyperCommand]]:
    """Every command below a group, under the words that call it."""
    context = Context(group)
    for name in group.commands:
        _, command, _ = group.resolve_command(context, [name])
        if isinstance(command, TyperGroup):
            yield from commands(command, (*words, name))
        elif isinstance(command, TyperCommand):
            yield " ".join((*words, name)), command


def _lines() -> Iterator[str]:
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    every = dict(commands(group))
    yield from (_HEAD, "", "| command | what it does |", "|---|---|")
    for words, command in every.items():
        summary, _ = _help(command)
        yield f"| [`{words}`](#{words.replace(' ', '-')}) | {summary[0].translate(_SPECIAL)} |"
    assert app.registered_callback is not None
    yield from ("", _exit_codes(), "", *_options(group, get_type_hints(app.registered_callback.callback)))
    for words, command in every.items():
        yield from _section(words, command)


def _exit_codes() -> str:
    """What the docstring of the program says about them."""
    return " ".join((main.__doc__ or "").split("\n\n", 1)[1].split())


def _section(words: str, command: TyperCommand) -> Iterator[str]:
    paragraphs, example = _help(command)
    yield from (f"## `{words}`", "")
    for paragraph in paragraphs:
        yield from (paragraph.translate(_SPECIAL), "")
    if example:
        yield from ("```text", example, "```", "")
    yield from _options(command, get_type_hints(command.callback))


def _options(command: Any, hints: dict[str, Any]) -> Iterator[str]:
    yield from ("| option | takes | default | meaning |", "|---|---|---|---|")
    for option in command.params:
        if option.name in hints and not getattr(option, "hidden", False):
            yield _row(option, hints[option.name])
    yield ""


def _help(command: TyperCommand) -> tuple[list[str], str]:
    """The paragraphs of a command's help, and its example."""
    paragraphs = [" ".join(each.split()) for each in _plain(command.help).split("\n\n")]
    examples = [each.removeprefix("Example: ") for each in paragraphs if each.startswith("Example: ")]
    return [each for each in paragraphs if not each.startswith("Example: ")], "\n".join(examples)


def _row(option: Any, hint: Any) -> str:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    if option.param_type_name == "argument":
        names = f"`{option.name.upper()}`"
    cells = (names, _type(hint), _default(option), _plain(option.help).translate(_SPECIAL))
    return f"| {' | '.join(cells)} |"


def _type(hint: Any) -> str:
    """What an option takes, in words."""
    origin, inside = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return " or ".join(_type(each) for each in inside if each is not NoneType)
    if origin in (list, tuple):
        return f"{_type(inside[0])}, several"
    if str in getattr(hint, "__mro__", ())[1:]:
        return ", ".join(f"`{member.value}`" for member in hint)
    return _WORDS.get(hint, "text")


def _default(option: Any) -> str:
    if option.required:
        return "required"
    if option.default is None or option.default is False or option.default in ("", ()):
        return "–"
    return f"`{option.default}`"


def _plain(text: str | None) -> str:
    """A help text without the backslashes that keep brackets from being markup."""
    return re.sub(r"\\(?=\[)", "", text or "")


if __name__ == "__main__":
    PAGE.write_text(page())
