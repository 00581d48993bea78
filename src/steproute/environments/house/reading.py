"""The house's texts as its networks read them: one position per text, which holds the set of its words."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from steproute.core.solution import ENVIRONMENT, Prefix
from steproute.environments.house.game import PLACES, ROOMS, THINGS
from steproute.environments.replaying import action_of

ACTIONS: Final = (
    *(f"go({room})" for room in ROOMS),
    *(f"take({thing})" for thing in (*THINGS, "key")),
    *(f"put({place})" for place in PLACES),
    "unlock(box)",
    "drop()",
)
"""All actions, by a network's outputs."""

_WORD: Final = re.compile(r"[a-z]+|[.:]")


def texts_of(prefix: Prefix) -> list[str]:
    """The task and the first view, and then actions and views in turns, which may be joined in one step."""
    texts = prefix.problem.text.split("\n", 1)
    for step in prefix.steps:
        if step.role == ENVIRONMENT:
            texts.append(step.text)
            continue
        action, joined, view = step.text.partition(prefix.separator)
        texts += [action_of(action), *([view] if joined else [])]
    return texts


def words_of(texts: Sequence[str]) -> list[frozenset[str]]:
    """The words of each text of `texts_of`, marked by its kind and by how many full stops and colons stand before."""
    kinds = ["task", *("view" if number % 2 == 0 else "action" for number in range(len(texts) - 1))]
    return [_marked(kind, text) for kind, text in zip(kinds, texts, strict=True)]


@lru_cache(maxsize=4096)
def _marked(kind: str, text: str) -> frozenset[str]:
    segment, words = 0, set()
    for match in _WORD.finditer(text.lower()):
        if match[0] in ".:":
            segment += 1
        else:
            words.add(f"{kind} {segment} {match[0]}")
    return frozenset(words)
