"""The terminal: whatever is printed there is made safe first."""

from collections.abc import Iterable
from typing import Any

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from steproute.core.printable import escaped, printable


class Terminal(Console):
    """A rich console that prints no control character of a text: those of models, servers, problems and files."""

    def print(self, *objects: Any, **settings: Any) -> None:
        """As rich's, after whole control sequences are gone from texts."""
        super().print(*(printable(each) if isinstance(each, str) else each for each in objects), **settings)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As rich's, without control characters, wherever in a table, a rule or a progress bar they are."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text))


def print_json(document: str) -> None:
    """Print a JSON document as it is, but with control characters escaped."""
    typer.echo(escaped(document).encode(), nl=not document.endswith("\n"))
