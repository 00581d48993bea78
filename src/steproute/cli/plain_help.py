"""Commands whose help texts are shown as they are written: rich would take [brackets] for its own tags."""

from typing import Any

from rich.markup import escape
from typer.core import TyperCommand


class PlainCommand(TyperCommand):
    """A command whose help and options' help show brackets as they are."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        for part in (self, *self.params):
            if text := getattr(part, "help", None):
                setattr(part, "help", escape(text))  # noqa: B010 - arguments of the library's own have none
