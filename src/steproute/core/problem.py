"""A conversation that wants an answer."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from steproute.core.answer_rule import BOXED, AnswerRule
from steproute.core.errors import DatasetError

Message = Mapping[str, Any]
"""One turn as the chat APIs write it: `role`, `content` (a text or a list of parts), and any further fields."""
SYSTEM_ROLES: Final = frozenset({"system", "developer"})
_PLAIN: Final = {"role", "content"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A conversation to answer; `Problem.ask("How many …?")` makes one of a single question.

    messages: the turns, oldest first, the last one not the system's. Backends get every field as it is here. tools: as
    the chat APIs describe them. answer: the gold answer if one is known. tags: facts of the data set, such as level or
    subject. rule: how its solutions state their final answers.

    Raises DatasetError for an empty id, no messages, or a message without a role or content.
    """

    id: str
    messages: tuple[Message, ...]
    tools: tuple[Mapping[str, Any], ...] = ()
    answer: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    rule: AnswerRule = BOXED

    def __post_init__(self) -> None:
        if not self.id.strip():
            raise DatasetError(
                "is empty.", where="problem.id", remedy="Give every problem an id that is unique in its data set."
            )
        for number, message in enumerate(self.messages):
            _check(f"problem.messages[{number}]", message)
        if all(message["role"] in SYSTEM_ROLES for message in self.messages):
            raise DatasetError(f"problem {self.id!r} asks nothing.", where="problem.messages", remedy="Add a question.")

    @classmethod
    def ask(
        cls,
        text: str,
        *,
        id: str = "",
        answer: str | None = None,
        tags: Mapping[str, str] | None = None,
        rule: AnswerRule = BOXED,
    ) -> "Problem":
        """A single question. The id is a digest of the text unless one is given. Raises DatasetError for no text."""
        if not text.strip():
            raise DatasetError(f"problem {id!r} is empty.", where="problem.text", remedy="Give it a question.")
        return cls(
            id=id or hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).hexdigest(),
            messages=({"role": "user", "content": text},),
            answer=answer,
            tags=dict(tags or {}),
            rule=rule,
        )

    @property
    def text(self) -> str:
        """The text of the last user turn; of the last turn if the user has none."""
        turns = [message for message in self.messages if message["role"] == "user"] or self.messages[-1:]
        return "\n\n".join(texts_of(turns[-1]))

    @property
    def is_plain(self) -> bool:
        """Whether it is only a single question in text."""
        first = self.messages[0]
        alone = len(self.messages) == 1 and not self.tools
        return alone and set(first) == _PLAIN and first["role"] == "user" and isinstance(first["content"], str)

    @property
    def has_system(self) -> bool:
        """Whether it brings instructions of its own."""
        return self.messages[0]["role"] in SYSTEM_ROLES

    @property
    def canonical(self) -> str:
        """What is asked, whole: the text of a plain question, else messages and tools as JSON."""
        if self.is_plain:
            return str(self.messages[0]["content"])
        return json.dumps([self.messages, self.tools], ensure_ascii=False, default=dict)


def texts_of(message: Message) -> Iterator[str]:
    """The texts of a message, part by part; images and other parts have none."""
    content = message.get("content")
    for part in [content] if isinstance(content, str) else content or ():
        if isinstance(part, str):
            yield part
        elif isinstance(part.get("text"), str):
            yield part["text"]


def attachments_of(message: Message) -> int:
    """How many parts of a message are not text, such as images."""
    content = message.get("content")
    return 0 if isinstance(content, str) or content is None else sum(part.get("type") != "text" for part in content)


def _check(where: str, message: object) -> None:
    if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
        raise DatasetError(f"{message!r:.80} has no role.", where=where, remedy="Give it a role such as 'user'.")
    content = message.get("content")
    if isinstance(content, str) and (content.strip() or message["role"] != "user"):
        return
    if isinstance(content, list | tuple) and content and all(isinstance(part, Mapping) for part in content):
        return
    if content is None and message["role"] == "assistant" and message.get("tool_calls"):
        return
    raise DatasetError(
        f"content is {content!r:.80}.", where=where, remedy="Give it a text, or a list of parts, each with a type."
    )
