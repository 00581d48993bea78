"""Grading by a function of the user's own."""

import asyncio
import importlib
import inspect
import os
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from steproute.core.concurrency import KeyedLock
from steproute.core.errors import ConfigError
from steproute.core.grade import Grade
from steproute.core.problem import Problem
from steproute.core.settings import settings_of
from steproute.core.solution import Meter

_LONGEST_NOTE: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonSettings:
    """function: `module:function`, from the current folder or an installed package. timeout_s: seconds for one call."""

    function: str
    timeout_s: float = 60.0

    def __post_init__(self) -> None:
        if not 0 < self.timeout_s < float("inf"):
            raise ConfigError(f"{self.timeout_s} is no time.", where="timeout_s", remedy="Give seconds, above 0.")


class PythonGrader:
    """Calls `function(problem, answer, solution)`, which returns True or False; it may be a coroutine function.

    answer: None for a solution that states none. Calls are made one after the other per event loop, those of plain
    functions in threads. A call that took too long is not waited for, so it may still run during the next one. Raises
    ConfigError for a function that cannot be imported.
    """

    def __init__(self, settings: PythonSettings) -> None:
        self.settings = settings
        self._function = _imported(settings.function)
        self._under_way = KeyedLock()

    @classmethod
    def from_settings(cls, name: str, table: Mapping[str, Any]) -> "PythonGrader":
        """From the table `[answer]`: the fields of PythonSettings. Raises ConfigError."""
        return cls(settings_of(table, PythonSettings))

    async def grade(self, problem: Problem, answer: str | None, solution: str, meter: Meter) -> Grade:
        """What the function says; UNDECIDED if it raises, takes too long or returns anything else.

        Only the call itself counts towards the timeout, not the wait for earlier calls.
        """
        name = self.settings.function
        try:
            async with self._under_way.hold(asyncio.get_running_loop()), asyncio.timeout(self.settings.timeout_s):
                result = await self._call(problem, answer, solution)
        except TimeoutError:
            return Grade.undecided(f"{name} took more than {self.settings.timeout_s:g} s")
        if isinstance(result, BaseException):
            return Grade.undecided(f"{name} raised {type(result).__name__}: {result}"[:_LONGEST_NOTE])
        if not isinstance(result, bool):
            return Grade.undecided(f"{name} returned {result!r:.80}, neither True nor False")
        return Grade.of(result)

    async def _call(self, *arguments: Any) -> object:
        """What the function returns, or what it raises."""
        if inspect.iscoroutinefunction(self._function):
            try:
                return await self._function(*arguments)
            except Exception as failure:
                return failure
        return await _in_a_thread(self._function, *arguments)


async def _in_a_thread(function: Callable[..., object], *arguments: Any) -> object:
    """In a thread that never keeps the process alive, unlike those of a pool."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[object] = loop.create_future()

    def deliver(result: object) -> None:
        if not ended.done():
            ended.set_result(result)

    def run() -> None:
        try:
            result = function(*arguments)
        except BaseException as failure:  # whatever the user's code raises is its result
            result = failure
        with suppress(RuntimeError):  # nobody waits any more, and the loop has ended
            loop.call_soon_threadsafe(deliver, result)

    threading.Thread(target=run, daemon=True).start()
    return await ended


def _imported(name: str) -> Callable[..., object]:
    module, colon, function = name.partition(":")
    if not colon or not module or not function:
        raise ConfigError(
            f"{name!r} is no function.", where="function", remedy="Write MODULE:FUNCTION, such as my_grader:is_right."
        )
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        member = getattr(importlib.import_module(module), function)
    except Exception as failure:
        raise ConfigError(
            f"{name!r} cannot be imported ({type(failure).__name__}: {failure}).",
            where="function",
            remedy=f"Put {module}.py into the current folder, or install its package.",
        ) from None
    if not callable(member):
        raise ConfigError(
            f"{name!r} is {member!r:.80}, which cannot be called.", where="function", remedy="Name a function."
        )
    return member  # type: ignore[no-any-return]
