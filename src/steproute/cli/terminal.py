"""A console that removes control characters from everything it prints."""

from collections.abc import Iterable
from typing import Any

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from steproute.core.printable import escaped, printable


class Terminal(Console):
    """A rich console that prints no control characters from models, servers, problems or files."""

    def print(self, *objects: Any, **settings: Any) -> None:
        """Like rich's, but removes whole control sequences from texts first."""
        super().print(*(printable(each) if isinstance(each, str) else each for each in objects), **settings)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Like rich's, but without control characters, also in tables, rules and progress bars."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text))


def print_json(document: str) -> None:
    """Print a JSON document as it is, but with control characters escaped."""
    typer.echo(escaped(document).encode(), nl=not document.endswith("\n"))
