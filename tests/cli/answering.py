"""A server on loopback whose weak and strong models solve given problems in given words, and whose judge judges."""

import asyncio
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Any

from tests.remote.hostile import Asked, HostileServer

CONFIG = """
[models.weak]
backend = "openai"
base_url = "{url}"
model = "weak"
continuation = "continue_final_message"
price = {{ input = 1, output = 2 }}
[models.strong]
backend = "openai"
base_url = "{url}"
model = "strong"
continuation = "continue_final_message"
price = {{ input = 3, output = 4 }}
[models.judge]
backend = "openai"
base_url = "{url}"
model = "judge"
continuation = "continue_final_message"
price = {{ input = 10, output = 20 }}
[route]
policy = "random"
"""


class AnsweringServer(HostileServer):
    """solutions: by the model's name and the problem's text, the steps that it writes."""

    def __init__(self, solutions: Mapping[tuple[str, str], Sequence[str]]) -> None:
        super().__init__(lambda request: None)
        self.solutions = solutions

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.CancelledError):  # its clients keep their connections
            await super()._serve(reader, writer)

    def asked_of(self, model: str) -> list[Asked]:
        return [each for each in self.asked if each.body.get("model") == model]

    def _said(self, body: dict[str, Any]) -> str:
        return f"{body['model']}\n{super()._said(body)}"

    def _pieces(self, said: str, stops: bool, one_step: bool) -> list[str | None]:
        model = said.partition("\n")[0]
        if model == "judge":
            return [_verdict(said)]
        steps, done = next(
            (steps, said.partition(problem)[2].count("\n\n"))
            for (name, problem), steps in self.solutions.items()
            if name == model and problem in said
        )
        if not stops:
            return ["\n\n".join(steps[done:])]
        return [steps[done], *([None] if done + 1 < len(steps) else [])]


def _verdict(said: str) -> str:
    """Whether the answer is the number of the reference answer."""
    gold = re.search(r"Reference answer:\n(.*)\n", said)
    answer = re.search(r"Answer to grade:\n(.*)\n", said)
    assert gold
    assert answer
    numbers = [float(each[1].strip("$").replace(",", "")) for each in (gold, answer)]
    return "CORRECT" if numbers[0] == numbers[1] else "INCORRECT"


@contextmanager
def served(server: AnsweringServer) -> Iterator[str]:
    """Its address, while it serves from a thread of its own."""
    started: Future[Callable[[], None]] = Future()

    async def serve() -> None:
        ended, loop = asyncio.Event(), asyncio.get_running_loop()
        async with server.running():
            started.set_result(lambda: loop.call_soon_threadsafe(ended.set) and None)
            await ended.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    end = started.result()
    try:
        yield server.url
    finally:
        end()
        thread.join()
