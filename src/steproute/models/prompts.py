"""How a half-written answer is put to a backend, by continuation mode."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from steproute.core.solution import Prefix

Message = Mapping[str, str]

COMPLETE: Final = "[complete]"
NOTHING_YET: Final = "(nothing yet)"
_ONE_STEP: Final = (
    "You are given a problem and the beginning of its solution. Write the one step that comes next and nothing else: "
    "no earlier step, no heading, no blank line."
)
_THE_ANSWER: Final = " If the solution is complete but for its answer, the step is the final answer {form}."
_NO_MORE: Final = f" If the solution is complete, write {COMPLETE} instead."
_THE_REST: Final = (
    "You are given a problem and the beginning of its solution. Write what is missing to its end and nothing else: no "
    "earlier step, no heading."
)


class Continuation(StrEnum):
    """How a backend goes on with a half-written answer."""

    COMPLETIONS = "completions"
    CONTINUE_FINAL_MESSAGE = "continue_final_message"
    PREFILL = "prefill"
    INSTRUCT = "instruct"


def written(prefix: Prefix) -> str:
    """The steps so far, each closed by the separator."""
    return "".join(step.text + prefix.separator for step in prefix.steps)


def instructed_by(prefix: Prefix, instructions: str | None) -> str:
    """The given instructions, or those of the problem's answer rule where none are given."""
    return prefix.problem.rule.instructions if instructions is None else instructions


def question(prefix: Prefix, instructions: str | None) -> list[Message]:
    """The conversation before the answer begins; instructions: see `instructed_by`."""
    asked: Message = {"role": "user", "content": prefix.problem.text}
    system = instructed_by(prefix, instructions)
    return [{"role": "system", "content": system}, asked] if system else [asked]


def half_answered(prefix: Prefix, instructions: str | None) -> list[Message]:
    """The conversation that ends in the half-written answer, if it has begun."""
    partial = written(prefix)
    return question(prefix, instructions) + ([{"role": "assistant", "content": partial}] if partial else [])


def one_step_asked(prefix: Prefix, instructions: str | None) -> list[Message]:
    """A conversation that asks for the next step alone.

    What grows stands at the end, so that from step to step all that came before is the same and can be cached.
    """
    form = prefix.problem.rule.form
    return _quoted(prefix, instructions, _ONE_STEP + (_THE_ANSWER.format(form=form) if form else _NO_MORE))


def rest_asked(prefix: Prefix, instructions: str | None) -> list[Message]:
    """A conversation that asks for all that is missing of the solution."""
    return _quoted(prefix, instructions, _THE_REST) if prefix.steps else question(prefix, instructions)


def _quoted(prefix: Prefix, instructions: str | None, wanted: str) -> list[Message]:
    asked = f"Problem:\n{prefix.problem.text}\n\nSolution so far:\n{written(prefix) or NOTHING_YET}"
    return [
        {"role": "system", "content": f"{instructed_by(prefix, instructions)}\n\n{wanted}".strip()},
        {"role": "user", "content": asked},
    ]
