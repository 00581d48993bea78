"""The spending limit of a command, which includes what earlier processes of the same run have spent."""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

from steproute.engine.grade_book import GRADES, GradeBook
from steproute.engine.paid_journal import PaidJournal
from steproute.engine.roles import Roles
from steproute.engine.spending import SpendingLimit, check_priced, limited
from steproute.engine.step_tree import StepTree
from steproute.engine.trace_file import TraceFile


def checked_limit(max_usd: float | None, roles: Roles) -> Decimal | None:
    """The limit as an exact amount; raises ConfigError for a limit not above 0, and for roles without a price."""
    if max_usd is None:
        return None
    check_priced(roles)
    return SpendingLimit(Decimal(str(max_usd))).max_usd


def within_limit(roles: Roles, max_usd: float | None, folder: Path) -> Roles:
    """The roles within a limit for a run's folder; its traces and bills hold what was spent before.

    Raises ConfigError as `checked_limit`.
    """
    limit = checked_limit(max_usd, roles)
    return roles if limit is None else limited(roles, SpendingLimit(limit, spent_usd=_spent(folder, roles)))


@contextmanager
def tree_limit(tree: StepTree, limit: Decimal | None, folder: Path | None = None) -> Iterator[SpendingLimit]:
    """A limit for what the backends compute for a step tree; None for no limit.

    The journal next to the tree holds what was paid before. Without a journal, the bill of the run in `folder` is used,
    which is about as much or more.
    """
    with PaidJournal(journal_of(tree.path)) as journal:
        if journal.is_new and folder is not None and (billed := _spent(folder)):
            journal.enter(billed)
        yield SpendingLimit(limit, spent_usd=journal.paid_usd, on_paid=journal.enter)


def journal_of(tree: Path) -> Path:
    """The journal next to a step tree's file."""
    return tree.with_name(f"{tree.name}.paid")


def _spent(folder: Path, roles: Roles | None = None) -> Decimal:
    """What a run's solutions cost, and if `roles` are given, what its grader was paid."""
    spent, traces, grades = Decimal(0), folder / "traces.jsonl.zst", folder / GRADES
    if traces.exists():
        with TraceFile(traces) as file:
            spent += file.spent_usd
    if roles is not None and grades.exists():
        with GradeBook(roles.grading, grades) as book:
            spent += book.spent_usd
    return spent
