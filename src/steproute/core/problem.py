"""A question to solve."""

from dataclasses import dataclass, field

from steproute.core.answer_rule import BOXED, AnswerRule
from steproute.core.errors import DatasetError


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One question. `answer` is the gold answer where one is known; `tags` are data-set facts such as level or subject.
    rule: how its solutions state their final answers.

    Raises DatasetError for an empty id or text.
    """

    id: str
    text: str
    answer: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    rule: AnswerRule = BOXED

    def __post_init__(self) -> None:
        if not self.id.strip():
            raise DatasetError(
                "is empty.", where="problem.id", remedy="Give every problem an id that is unique in its data set."
            )
        if not self.text.strip():
            raise DatasetError(f"problem {self.id!r} is empty.", where="problem.text", remedy="Give it a question.")
