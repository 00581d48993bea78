"""A server on loopback whose weak and strong models solve given problems in given words, and whose judge judges."""

import asyncio
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.backends.http.hostile import Asked, HostileServer

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
JUDGED = """
[answer]
rule = "final_line"
grader = "judge"
model = "judge"
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
        if "Answer to grade:" in said:
            return [_verdict(said)]
        steps, done = next(
            (steps, said.partition(problem)[2].count("\n\n"))
            for (name, problem), steps in self.solutions.items()
            if name == model and problem in said
        )
        if not stops:
            return ["\n\n".join(steps[done:])]
        return [steps[done], *([None] if done + 1 < len(steps) else [])]


class JudgingServer(AnsweringServer):
    """Sums "What is n + n?", of which the weak model errs in every second, in answers that a judge has to read.

    judge_hangs: whether the judge's answers do not come, for as long as it is set. judge_status: what the judge
    answers instead, such as 401. unclear: problems on which the judge's reply is no verdict.
    """

    judge_hangs = False
    judge_status = 200
    unclear: Sequence[str] = ()

    def __init__(self, count: int) -> None:
        self.problems = [f"What is {number} + {number}?" for number in range(count)]
        super().__init__(
            {
                (model, problem): ["First we add.", f"Final answer: {2 * number + (model == 'weak' and number % 2)}"]
                for number, problem in enumerate(self.problems)
                for model in ("weak", "strong", "judge")
            }
        )

    @property
    def judged(self) -> list[Asked]:
        """The requests for a verdict."""
        return [each for each in self.asked if _grades(each.body)]

    def write_setup(self, folder: Path, url: str, more: str = "") -> None:
        """`steproute.toml` with a judge, `more` after it, and `own.jsonl`."""
        folder.mkdir(exist_ok=True)
        (folder / "steproute.toml").write_text((CONFIG + JUDGED + more).format(url=url))
        rows = ({"problem": text, "answer": str(2 * number)} for number, text in enumerate(self.problems))
        (folder / "own.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))

    async def _stream(self, request: Asked, writer: asyncio.StreamWriter, reader: asyncio.StreamReader) -> bool:
        if _grades(request.body):
            while self.judge_hangs:
                await asyncio.sleep(0.01)
            if self.judge_status != 200:
                return await self._send(writer, self.judge_status, {"error": {"message": "the judge is out"}})
        return await super()._stream(request, writer, reader)

    def _pieces(self, said: str, stops: bool, one_step: bool) -> list[str | None]:
        if "Answer to grade:" in said and any(problem in said for problem in self.unclear):
            return ["Who [knows]?"]
        return super()._pieces(said, stops, one_step)


def _grades(body: Mapping[str, Any]) -> bool:
    """Whether a request is for a verdict; a judge may solve problems, too."""
    return "Answer to grade:" in str(body.get("messages"))


def _verdict(said: str) -> str:
    """Whether the answer is the number of the reference answer."""
    gold = re.search(r"Reference answer:\n(.*)\n", said)
    answer = re.search(r"Answer to grade:\n(.*)\n", said)
    assert gold
    assert answer
    numbers = [float(each[1].strip("$").replace(",", "")) for each in (gold, answer)]
    return "CORRECT" if numbers[0] == numbers[1] else "INCORRECT"


@contextmanager
def served(server: HostileServer) -> Iterator[str]:
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
