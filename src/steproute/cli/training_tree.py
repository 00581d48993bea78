"""The step tree that training grows: its file, its models, and what growing it may cost."""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Final

from steproute.cli.spending import tree_limit
from steproute.config import Setup
from steproute.core.errors import ConfigError
from steproute.core.whole_file import write_whole
from steproute.engine.roles import Roles
from steproute.engine.spending import limited
from steproute.engine.step_tree import StepTree

TREE_WIDTH: Final = 2
WIDE: Final = 2**32
"""The width for completions of one prefix that must differ: seeds are taken modulo the width."""


def tree_path(tree: Path | None, setup: Setup, width: int = TREE_WIDTH) -> Path:
    """The file of these models' step tree: the given one, or one that other models do not grow. Writes nothing.

    width: of the tree; each width has a file of its own.

    Raises ConfigError for a tree that other models grew.
    """
    parts = ["tree", *_width_name(width), *([setup.digest[:8]] if setup.digest else [])]
    path = tree or Path("runs") / f"{'-'.join(parts)}.jsonl.zst"
    if not setup.digest:
        return path
    note = _note(path)
    grown_by = note.read_text().strip() if note.is_file() else ""
    if path.exists() and grown_by != setup.digest:
        raise ConfigError(
            f"{path} grew by other models or scorers than those of this steproute.toml.",
            where="tree",
            remedy="Name another file, or leave --tree out.",
        )
    return path


@contextmanager
def training_tree(
    path: Path, setup: Setup, limit: Decimal | None, width: int = TREE_WIDTH
) -> Iterator[tuple[StepTree, Roles]]:
    """A step tree to grow, with the setup's roles behind it and the limit, which includes what was paid before.

    width: samples of a model at each prefix. A tree knows models by role only, so a note next to it keeps the digest of
    the steproute.toml that grows it.
    """
    if setup.digest:
        write_whole(_note(path), f"{setup.digest}\n".encode())
    with StepTree(path, width) as tree, tree_limit(tree, limit) as bound:
        yield tree, tree.roles(limited(setup.roles, bound))


def _width_name(width: int) -> list[str]:
    if width == TREE_WIDTH:
        return []
    return ["wide" if width == WIDE else str(width)]


def _note(path: Path) -> Path:
    return path.with_name(f"{path.name}.models")
