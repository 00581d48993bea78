"""How a half-written answer is put to a backend, by continuation mode."""

from collections.abc import Sequence
from typing import Any, Final

from steproute.core.errors import BackendError
from steproute.core.problem import SYSTEM_ROLES, Message
from steproute.core.solution import Advice, Prefix

COMPLETE: Final = "[complete]"
NOTHING_YET: Final = "(nothing yet)"
_ONE_STEP: Final = (
    "You are given a problem and the beginning of its solution. Write the one step that comes next and nothing else: "
    "no earlier step, no heading, no blank line."
)
_THE_ANSWER: Final = " If the solution is complete but for its answer, the step is the final answer {form}."
_NO_MORE: Final = f" If the solution is complete, write {COMPLETE} instead."
_EXAMPLE: Final = (
    "An example from another problem, with the step that matters last. See how that step is derived; its numbers are "
    "of the other problem.\n"
)
_PLANS: Final = "Others would go on as follows. Each may be wrong.\n"
_SUBTASKS: Final = "Plan of the solution, a step for each line:\n"
_ASSIGNED: Final = "Now carry out line {lines} of the plan and nothing of the others."
_THE_REST: Final = (
    "You are given a problem and the beginning of its solution. Write what is missing to its end and nothing else: no "
    "earlier step, no heading."
)


def written(prefix: Prefix) -> str:
    """The steps so far, each closed by the separator."""
    return "".join(step.text + prefix.separator for step in prefix.steps)


def instructed_by(prefix: Prefix, instructions: str | None) -> str:
    """The given instructions. If none are given: those of the problem's answer rule, but none for a conversation that
    brings its own and whose answer nothing has to find."""
    if instructions is not None:
        return instructions
    problem = prefix.problem
    return "" if problem.has_system and not problem.rule.extracts else problem.rule.instructions


def advice_text(advice: Advice) -> str:
    """The advice in words, closed by a blank line; empty for none."""
    example = f"{_EXAMPLE}{advice.example}\n\n" if advice.example else ""
    plans = "".join(f"{number}. {plan}\n" for number, plan in enumerate(advice.plans, start=1))
    return example + (f"{_PLANS}{plans}\n" if plans else "")


def plan_text(advice: Advice) -> str:
    """The sub-tasks in words, closed by a blank line; empty for none. It is the same at each of them."""
    lines = "".join(f"{number}. {subtask}\n" for number, subtask in enumerate(advice.subtasks, start=1))
    return f"{_SUBTASKS}{lines}\n" if lines else ""


def question(prefix: Prefix, instructions: str | None) -> list[Message]:
    """The conversation before the answer begins, with any advice in front of its last message; instructions: see
    `instructed_by`."""
    return _with_system(_with_advice(prefix), instructed_by(prefix, instructions))


def plain_question(prefix: Prefix, name: str) -> str:
    """The problem for a model without a chat template; raises BackendError if it is more than a text."""
    if not prefix.problem.is_plain:
        raise BackendError(
            f"problem {prefix.problem.id!r} is a conversation, and without a chat template only a question fits.",
            where=f"{name}: template",
            remedy="Set template to that of a chat model.",
        )
    return advice_text(prefix.advice) + plan_text(prefix.advice) + prefix.problem.text


def tools_of(prefix: Prefix) -> dict[str, Any]:
    """The field of a chat request that offers the problem's tools, if it has any."""
    return {"tools": list(prefix.problem.tools)} if prefix.problem.tools else {}


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


def _quoted(prefix: Prefix, instructions: str | None, task: str) -> list[Message]:
    system = f"{instructed_by(prefix, instructions)}\n\n{task}".strip()
    advice = (advice_text(prefix.advice) + _assigned(prefix.advice)).rstrip()
    so_far = f"{plan_text(prefix.advice)}Solution so far:\n{written(prefix) or NOTHING_YET}"
    so_far += f"\n\n{advice}" if advice else ""
    if prefix.problem.is_plain:
        text = f"Problem:\n{prefix.problem.text}\n\n{so_far}"
        return [{"role": "system", "content": system}, {"role": "user", "content": text}]
    return [*_with_system(prefix.problem.messages, system), {"role": "user", "content": so_far}]


def _assigned(advice: Advice) -> str:
    """Which sub-tasks are to be carried out, in words; empty for none."""
    if not advice.subtasks:
        return ""
    first, last = advice.assigned
    return _ASSIGNED.format(lines=first if first == last else f"{first} to {last}")


def _with_advice(prefix: Prefix) -> list[Message]:
    *earlier, last = prefix.problem.messages
    text = advice_text(prefix.advice) + plan_text(prefix.advice)
    if not text:
        return [*earlier, last]
    content = last["content"]
    advised = text + content if isinstance(content, str) else [{"type": "text", "text": text}, *content]
    return [*earlier, {**last, "content": advised}]


def _with_system(messages: Sequence[Message], system: str) -> list[Message]:
    """The conversation with instructions in front, within its own system message if it has one with a text."""
    first, *others = messages
    if not system:
        return list(messages)
    if first["role"] in SYSTEM_ROLES and isinstance(first["content"], str):
        return [{**first, "content": f"{first['content']}\n\n{system}"}, *others]
    return [{"role": "system", "content": system}, *messages]
