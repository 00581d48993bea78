"""A server on loopback of two models and a reward model for sums, run in a thread so that commands can call it.

The strong model never errs. The weak model's step `n % 6 + 1` of four is wrong for the problem "What is n plus 1?", so
it solves one problem in three; a step that follows a wrong one is fine in itself, but the answer is wrong.
"""

import asyncio
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from tests.backends.http.hostile import LAST, Asked
from tests.patients import Patient

CONFIG = """
[models.weak]
backend = "openai"
base_url = "{url}"
model = "weak"
template = "none"
logprobs = 2
price = {{ input = 1, output = 2 }}
[models.strong]
backend = "openai"
base_url = "{url}"
model = "strong"
template = "none"
price = {{ input = 10, output = 20 }}
"""
PRM = """
[scorers.prm]
backend = "vllm-pooling"
base_url = "{url}"
model = "prm"
price = {{ input = 1, output = 0 }}
"""


class Arithmetic(Patient):
    """See the module; `breaks_after` is the number of calls after which it refuses all others."""

    breaks_after: int | None = None

    @property
    def calls(self) -> list[Asked]:
        """The calls of models and of the scorer that were answered."""
        return [each for each in self.asked if not each.path.endswith("/models")]

    async def _stream(self, request: Asked, writer: asyncio.StreamWriter, reader: asyncio.StreamReader) -> bool:
        if self._broken(request):
            return await self._send(writer, 401, {"error": {"message": "invalid key"}})
        return await super()._stream(request, writer, reader)

    def _broken(self, request: Asked) -> bool:
        if self.breaks_after is not None and len(self.calls) > self.breaks_after:
            self.asked.remove(request)
            return True
        return False

    def _said(self, body: dict[str, Any]) -> str:
        return f"<{body['model']}>" + super()._said(body)

    def _pieces(self, said: str, stops: bool, one_step: bool) -> list[str | None]:
        found = re.search(r"What is (\d+) plus 1", said)
        number = int(found[1]) if found else 0
        wrong = number % 6 + 1 if "<weak>" in said else 0
        pieces: list[str | None] = []
        erred = "wrong" in said
        for step in range(said.count("Step") + 1, LAST + 1):
            erred = erred or step == wrong
            pieces += [f"Step {step}: ", "wrong " if step == wrong else "fine "]
            pieces.append(f"\\boxed{{{number + 1 + erred}}}" if step == LAST else "then")
            if step < LAST and not one_step:
                pieces.append(None if stops else "\n\n")
            if stops or one_step:
                break
        return pieces

    async def _pool(self, request: Asked, writer: asyncio.StreamWriter) -> bool:
        if self._broken(request):
            return await self._send(writer, 401, {"error": {"message": "invalid key"}})
        text = request.body["input"]
        request.prompt_tokens = len(text.split())
        steps = re.split("<extra_0>", text.partition("assistant\n")[2])[:-1]
        good = [_score(step, len(text)) for step in steps]
        answer = {"data": [{"data": [[1 - p, p] for p in good]}], "usage": {"prompt_tokens": request.prompt_tokens}}
        return await self._send(writer, 200, answer)

    @contextmanager
    def served(self) -> Iterator["Arithmetic"]:
        """Answer from a thread of its own."""
        started: SimpleQueue[Callable[[], object]] = SimpleQueue()

        async def serve() -> None:
            loop, stop = asyncio.get_running_loop(), asyncio.Event()
            async with self.running():
                started.put(lambda: loop.call_soon_threadsafe(stop.set))
                await stop.wait()

        thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
        thread.start()
        end = started.get()
        try:
            yield self
        finally:
            end()
            thread.join()


def _score(step: str, salt: int) -> float:
    """High for a step that is fine, with some variety."""
    noise = sum(map(ord, step)) * 7 + salt
    return (0.05 if "wrong" in step else 0.85) + noise % 10 / 100


def config_file(folder: Path, server: Arithmetic, text: str = CONFIG + PRM) -> str:
    """The path of a steproute.toml over the server."""
    path = folder / "own.toml"
    path.write_text(text.format(url=server.url))
    return str(path)


def problem_file(folder: Path, count: int) -> str:
    """The path of so many sums."""
    path = folder / "own.jsonl"
    rows = [{"id": f"sum{n}", "problem": f"What is {n} plus 1?", "answer": str(n + 1)} for n in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)
