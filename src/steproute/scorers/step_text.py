"""What a process reward model reads: a problem and its steps as one text, in which each step is closed by a marker."""

from dataclasses import dataclass
from typing import Final

from steproute.core.answer_rule import BOXED, AnswerRule
from steproute.core.errors import ConfigError, ScorerError
from steproute.core.solution import Prefix
from steproute.core.usage import Usage
from steproute.core.usage_bounds import TEMPLATE_TOKENS, byte_count

_FORM: Final = "{answer_form}"
QWEN_MARKER: Final = "<extra_0>"
QWEN_PRM: Final = (
    "<|im_start|>system\nPlease reason step by step{answer_form}.<|im_end|>\n"
    "<|im_start|>user\n{problem}<|im_end|>\n<|im_start|>assistant\n{steps}<|im_end|><|endoftext|>"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepText:
    """text: what the model reads, with {problem} and {steps}, and {answer_form} if it says how to put the answer.
    Each step is closed by `marker`, where it is judged. between: the text between steps so closed.

    Raises ConfigError for a text that lacks one of the two, and for an empty marker.
    """

    text: str
    marker: str
    between: str = ""

    def __post_init__(self) -> None:
        for part in ("{problem}", "{steps}"):
            if part not in self.text:
                raise ConfigError(
                    f"{self.text[:60]!r} lacks {part}.", where="text", remedy="Put it where the model shall read it."
                )
        if not self.marker:
            raise ConfigError("is empty.", where="marker", remedy="Give the token after which the model judges a step.")

    def written(self, prefix: Prefix) -> str:
        """The whole text. A marker that the problem or a step quotes is written apart, so that nothing is judged there.

        Else a web page that an agent reads could shift the scores of all later steps, or leave none.
        """
        before, after = map(self._quoted, self.around(prefix))
        return before + self.between.join(self._quoted(step.text) + self.marker for step in prefix.steps) + after

    def _quoted(self, text: str) -> str:
        """The text without the marker: a space stands before the marker's last character, or instead of its only one."""
        apart = f"{self.marker[:-1]} {self.marker[-1]}" if len(self.marker) > 1 else " "
        return text.replace(self.marker, apart) if self.marker in text else text

    def most_usage(self, prefix: Prefix) -> Usage:
        """A token per byte of the whole text; see `core.usage_bounds`."""
        return Usage(input_tokens=byte_count([self.written(prefix)]) + TEMPLATE_TOKENS)

    def around(self, prefix: Prefix) -> tuple[str, str]:
        """The text before the steps, and the text after them."""
        problem = prefix.problem
        before, _, after = self.text.replace(_FORM, _answer_form(problem.rule)).partition("{steps}")
        return before.replace("{problem}", problem.text), after.replace("{problem}", problem.text)


def _answer_form(rule: AnswerRule) -> str:
    """How the instructions continue; for boxes in the words of the models' authors."""
    if rule is BOXED:
        return ", and put your final answer within \\boxed{}"
    return f", and put your final answer {rule.form}" if rule.form else ""
