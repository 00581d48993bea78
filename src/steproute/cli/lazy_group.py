"""Commands that are imported when they are run; help lists them by the docstrings in their sources."""

import ast
from collections.abc import Mapping
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from typing import Any, ClassVar

import typer
from rich.markup import escape
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from steproute.cli.plain_help import PlainCommand


class LazyGroup(TyperGroup):
    """A group of commands, each of which is imported when it is called.

    places: for each name, the `module:name` of the command's function or the subgroup's Typer.
    """

    places: ClassVar[Mapping[str, str]] = {}

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for name, place in self.places.items():
            self.add_command(_Listed(name, place))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command as listed in help, without its options."""
        command = super().get_command(ctx, cmd_name)
        if isinstance(command, _Listed):
            command.help = command.summary
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Like Typer's, but imports the command."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command.imported() if isinstance(command, _Listed) else command, rest


class _Listed(TyperCommand):
    """A placeholder for a command that is not imported yet."""

    def __init__(self, name: str, place: str) -> None:
        super().__init__(name)
        self._module, _, self._name = place.partition(":")

    @cached_property
    def summary(self) -> str:
        """The function's docstring, or its module's for a subgroup."""
        spec = find_spec(self._module)
        source: str = spec.loader.get_source(self._module)  # type: ignore[union-attr]
        module = ast.parse(source)
        functions = {node.name: node for node in module.body if isinstance(node, ast.FunctionDef)}
        return escape(ast.get_docstring(functions.get(self._name, module)) or "")

    def imported(self) -> Any:
        """The command itself."""
        part = getattr(import_module(self._module), self._name)
        if not isinstance(part, typer.Typer):
            app = typer.Typer(add_completion=False, rich_markup_mode="rich")
            app.command(self.name, cls=PlainCommand)(part)
            part = app
        command = get_command(part)
        command.name = self.name
        return command
