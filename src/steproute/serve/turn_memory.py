"""An agent's conversation as a solution under way, and what this process remembers of its earlier turns.

A client sends the whole conversation with each request, and no request says who wrote its turns. So authors and scores
are kept by a digest of the conversation up to a turn. What is not kept is unknown, and unknown is no error: another
worker wrote the turn, the process was restarted, or the client has edited the conversation.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Generic, TypeVar

from steproute.core.answer_rule import NONE
from steproute.core.chat import ChatRequest
from steproute.core.problem import Problem
from steproute.core.recording import estimated_tokens
from steproute.core.solution import ENVIRONMENT, Step
from steproute.core.turns import begin_of_turns, turn_text

UNKNOWN: Final = "unknown"
"""The role of a turn whose author is not known."""
_KEPT: Final = 32_768
_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")


class _Newest(Generic[_Key, _Value]):
    """A table of the entries that were used last."""

    def __init__(self, most: int) -> None:
        self._most, self._entries = most, OrderedDict[_Key, _Value]()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: _Key) -> _Value | None:
        if key in self._entries:
            self._entries.move_to_end(key)
        return self._entries.get(key)

    def put(self, key: _Key, value: _Value) -> None:
        self._entries[key] = value
        self._entries.move_to_end(key)
        if len(self._entries) > self._most:
            self._entries.popitem(last=False)


class TurnMemory:
    """The accepted turns of all tenants, and scores of turns by the scorer's role; the `kept` newest of each."""

    def __init__(self, kept: int = _KEPT) -> None:
        self._turns = _Newest[bytes, Step](kept)
        self._scores = _Newest[tuple[bytes, str], float](kept)

    def turn(self, key: bytes) -> Step | None:
        """The turn as it was accepted, without its text."""
        return self._turns.get(key)

    def keep_turn(self, key: bytes, step: Step) -> None:
        """Remember who wrote a turn, its score and the decision about it."""
        self._turns.put(key, replace(step, text="", rejected=None))

    def score(self, key: bytes, scorer: str) -> float | None:
        """A scorer's score of a turn."""
        return self._scores.get((key, scorer))

    def keep_score(self, key: bytes, scorer: str, score: float) -> None:
        """Remember it."""
        self._scores.put((key, scorer), score)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """A conversation: the task, then a step for each assistant's turn and for each message that answers it.

    keys: of the assistant's turns in their order.
    """

    problem: Problem
    steps: tuple[Step, ...]
    keys: tuple[bytes, ...]
    _digest: "hashlib.blake2b" = field(repr=False)

    @classmethod
    def of(cls, request: ChatRequest, id: str, owner: Sequence[str], memory: TurnMemory) -> "Conversation":
        """The conversation of a request; owner: whose it is, such as the tenant, who never meets another's turns."""
        begin = begin_of_turns(request.messages)
        head, turns = request.messages[:begin], request.messages[begin:]
        problem = Problem(id=id, messages=head, tools=tuple(request.tools), rule=NONE)
        digest = hashlib.blake2b(repr((tuple(owner), problem.canonical)).encode(errors="replace"), digest_size=16)
        steps, keys = [], []
        for message in turns:
            text = turn_text(message)
            _add(digest, message["role"], text)
            if message["role"] == "assistant":
                keys.append(digest.digest())
                steps.append(_turn(text, memory.turn(keys[-1])))
            else:
                steps.append(Step(role=ENVIRONMENT, text=text, tokens=0))
        return cls(problem=problem, steps=tuple(steps), keys=tuple(keys), _digest=digest)

    def key_of_next(self, text: str) -> bytes:
        """The key of the assistant's next turn, if it is this text."""
        digest = self._digest.copy()
        _add(digest, "assistant", text)
        return digest.digest()


def _add(digest: "hashlib.blake2b", role: str, text: str) -> None:
    digest.update(repr((role, text)).encode())


def _turn(text: str, known: Step | None) -> Step:
    if known is None:
        return Step(role=UNKNOWN, text=text, tokens=estimated_tokens(text))
    return replace(known, text=text)
