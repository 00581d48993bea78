"""A plan of sub-tasks: how the planner is asked for it, and how its reply is read."""

import re
from dataclasses import replace
from typing import Final

from steproute.core.answer_rule import AnswerRule
from steproute.core.problem import Problem

_TASK: Final = (
    "Break the question below into sub-tasks that lead to its answer. Make them few: each is one step that can be "
    "checked and that builds on the ones before it. The last one gives the answer. Do not solve them. Write one line "
    "for each, numbered 1., 2., …, and nothing else."
)
_RULE: Final = AnswerRule.of_whole_text("plan", "")
_LINE: Final = re.compile(
    r"^\s*(?:\*\*)?(?:(?:sub-?task|step)\s+)?\d+\s*[.):]\**\s+(\S.*?)\s*$", re.IGNORECASE | re.MULTILINE
)


def plan_question(problem: Problem) -> Problem:
    """Asks for the sub-tasks of a problem, whose text stands at the end."""
    return replace(
        problem,
        messages=({"role": "user", "content": f"{_TASK}\n\nQuestion:\n{problem.text}"},),
        tools=(),
        rule=_RULE,
    )


def subtasks_in(text: str) -> tuple[str, ...]:
    """The numbered lines of a reply without their numbers; none if it is no plan."""
    return tuple(_LINE.findall(text))
