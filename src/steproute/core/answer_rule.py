"""How a solution states its final answer: how it is found, hence when the solution ends, and how it is asked for."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from steproute.core.boxed import closed_boxed
from steproute.core.choice import choice
from steproute.core.errors import ConfigError
from steproute.core.final_line import final_line

_STEPS: Final = "Solve the problem in short steps. Put a blank line after each step and nowhere else."


_BOX: Final = re.compile(r"(\b[Tt]he answer is )?\\boxed\{([^{}]*)\}")


def _nothing(text: str) -> None:
    return None


@dataclass(frozen=True, slots=True)
class AnswerRule:
    """A way to state answers.

    find: the answer that a text gives, None if it gives none; linear time. instructions: what a model is told unless
    its settings say otherwise. form: how the last step puts the answer, after "the final answer"; empty for no answer.
    """

    name: str
    find: Callable[[str], str | None]
    instructions: str
    form: str = ""

    @property
    def extracts(self) -> bool:
        """Whether solutions have answers; otherwise they end where the model ends and are graded whole."""
        return self.find is not _nothing

    def reworded(self, text: str) -> str:
        """A text written for boxes, under this rule: "the answer is 7" for a box around 7."""
        return text if self.find is closed_boxed else _BOX.sub(lambda box: (box[1] or "the answer is ") + box[2], text)

    @classmethod
    def of_whole_text(cls, name: str, instructions: str) -> "AnswerRule":
        """A rule that extracts no answer."""
        return cls(name, _nothing, instructions)


BOXED: Final = AnswerRule(
    "boxed",
    closed_boxed,
    f"{_STEPS} Write the final answer as \\boxed{{answer}} in the last step.",
    "as \\boxed{answer}",
)
FINAL_LINE: Final = AnswerRule(
    "final_line",
    final_line,
    f'{_STEPS} End the last step with a line that says "Final answer:" and then the answer.',
    'on a line that begins with "Final answer:"',
)
CHOICE: Final = AnswerRule(
    "choice",
    choice,
    f'{_STEPS} End the last step with a line that says "Final answer:" and then the letter of the option you choose.',
    'as a letter on a line that begins with "Final answer:"',
)
NONE: Final = AnswerRule.of_whole_text("none", _STEPS)
ACTIONS: Final = AnswerRule.of_whole_text(
    "actions",
    "Act step by step. In each step say in a few words what you do and why, and end it with a line that says "
    '"Action:" and then one action. Put a blank line after each step and nowhere else. What you see then follows.',
)
RULES: Final[Mapping[str, AnswerRule]] = {rule.name: rule for rule in (BOXED, FINAL_LINE, CHOICE, NONE, ACTIONS)}


def rule_named(name: str) -> AnswerRule:
    """The rule of that name; raises ConfigError that lists the names."""
    if name not in RULES:
        raise ConfigError(f"{name!r} is unknown.", where="answer.rule", remedy=f"Use one of {', '.join(RULES)}.")
    return RULES[name]
