"""Actions as a model writes them, `Action: solve_eq("x + 1 = 3", "x")`, and the outputs of their tools."""

import ast
import asyncio
import atexit
import json
import re
from dataclasses import dataclass
from functools import cache
from types import TracebackType
from typing import Final

from steproute.grading.worker_process import Worker

EXAMPLES: Final = (
    r'calculate("\frac{1}{2} + 3")',
    'mod("17", "5")',
    'base_conversion("1011", "2", "10")',
    'solve_eq("x^2 = 4", "x")',
    'solve_multi_eq(["x + y = 3", "x - y = 1"], ["x", "y"])',
    'solve_ineq("2x > 6", "x")',
    'substitute("x^2 + y", ["x = 3"])',
    'expand("(x + 1)^2")',
    'factor("x^2 - 1")',
    'collect("ax + bx", "x")',
    'complete_the_square("x^2 + 4x", "x")',
    'think("which unknown to remove first")',
)
_ACTION: Final = re.compile(r"Action:\s*(?P<call>[^\n]+)")
_LONGEST: Final = 2_000
DEADLINE_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Action:
    """A call of a tool. arguments: texts and lists of texts."""

    name: str
    arguments: tuple[object, ...]


def action_in(text: str) -> str | None:
    """The call that a model wrote behind `Action:`, as text."""
    match = _ACTION.search(text)
    return match["call"].strip() if match is not None else None


def parsed(call: str) -> Action | None:
    """The call, whose arguments are literals; None for anything else. Nothing is executed."""
    try:
        literal = call.strip().replace("\\\\", "\\").replace("\\", "\\\\")  # LaTeX, in which \\f is no form feed
        node = ast.parse(literal, mode="eval").body if len(call) <= _LONGEST else None
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.keywords:
            return None
        return Action(node.func.id, tuple(ast.literal_eval(argument) for argument in node.args))
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return None


class Toolbox:
    """Runs actions in a worker process, each with a deadline. A context manager, which ends the worker."""

    def __init__(self) -> None:
        self._worker = Worker[str]("steproute.tools.actions.worker")

    async def run(self, call: str, cpu_s: float = DEADLINE_S) -> str | None:
        """The tool's output; None if there is no such tool, or if it fails or takes more CPU time.

        A worker whose tool takes too long is replaced.
        """
        action = parsed(call)
        try:
            arguments = "" if action is None else json.dumps(action.arguments)
        except (TypeError, ValueError):
            return None
        if action is None:
            return None
        return await asyncio.to_thread(self._worker.ask, action.name, arguments, cpu_s)

    def close(self) -> None:
        """End the worker."""
        self._worker.close()

    def __enter__(self) -> "Toolbox":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@cache
def shared_toolbox() -> Toolbox:
    """The toolbox of this process; its worker ends with the process."""
    toolbox = Toolbox()
    atexit.register(toolbox.close)
    return toolbox
