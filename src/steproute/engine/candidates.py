"""Candidates for what comes next: equal ones are merged, and each is written and scored beside the others."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from steproute.core.solution import Draft, Prefix, Stop


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A draft from `prefix`, which stands for all drafts that make the same text: `draft.votes` of `draft.width`."""

    prefix: Prefix
    draft: Draft

    @property
    def votes(self) -> int:
        """How many drafts made this text."""
        return self.draft.votes or 1


def merged(prefixes: Iterable[Prefix], drafts: Iterable[list[Draft]]) -> list[Candidate]:
    """The distinct candidates in the order of their first drafts; drafts of any prefix that make one text are one.

    The first of equal drafts stands for them.
    """
    pairs = [(prefix, draft) for prefix, some in zip(prefixes, drafts, strict=True) for draft in some]
    groups: dict[tuple[str, Stop], list[tuple[Prefix, Draft]]] = {}
    for prefix, draft in pairs:
        whole = prefix.separator.join([*prefix.texts, draft.text])
        groups.setdefault((whole, draft.stop), []).append((prefix, draft))
    return [
        Candidate(prefix=prefix, draft=replace(draft, width=len(pairs), votes=len(group)))
        for group in groups.values()
        for prefix, draft in group[:1]
    ]


class Sessions:
    """The sessions of branches, so that backends keep a cache for each: branches in one session would evict each other.

    A branch continues the session of the one that it grew from, unless another branch of the same call does.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], int] = {}

    def apart(self, prefixes: Iterable[Prefix]) -> list[Prefix]:
        """The prefixes, each in a session of its own."""
        used: set[int] = set()
        placed = []
        for prefix in prefixes:
            own = self._number(prefix)
            if own in used:
                own = next(number for number in range(len(used) + 1) if number not in used)
            used.add(own)
            self._known[prefix.texts] = own
            placed.append(_in_session(prefix, own))
        return placed

    def of(self, prefix: Prefix) -> Prefix:
        """The prefix in the session that it is written in."""
        return _in_session(prefix, self._number(prefix))

    def _number(self, prefix: Prefix) -> int:
        return self._known.get(prefix.texts, self._known.get(prefix.texts[:-1], 0))


def _in_session(prefix: Prefix, number: int) -> Prefix:
    return replace(prefix, session=f"{prefix.session}/{number}") if number else prefix
