"""Models and a reward model behind one real server on loopback, with prices and delays, in a thread of its own.

A problem is "What is 7?". `weak` ends every odd one with a wrong answer, which the reward model sees; `strong` never
errs.
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.backends.http.hostile import LAST, Asked, HostileServer

CONFIG = """
[models.weak]
backend = "openai"
base_url = "{url}"
model = "weak"
template = "none"
price = {{ input = 0.05, output = 0.2 }}
[models.strong]
backend = "openai"
base_url = "{url}"
model = "strong"
template = "none"
price = {{ input = 1, output = 4 }}
[scorers.prm]
backend = "vllm-pooling"
base_url = "{url}"
model = "prm"
price = {{ input = {prm_price}, output = 0 }}
"""


class PaidServer(HostileServer):
    """prm_s: how long the reward model takes."""

    def __init__(self, prm_s: float = 0.0) -> None:
        super().__init__(lambda request: None)
        self.prm_s = prm_s

    def _said(self, body: dict[str, Any]) -> str:
        return f"{super()._said(body)} {body['model']}"

    def _pieces(self, said: str, stops: bool, one_step: bool) -> list[str | None]:
        number = int(said.split("What is ")[1].split("?")[0])
        wrong = said.endswith("weak") and number % 2 == 1
        pieces: list[str | None] = []
        for step in range(said.count("Step") + 1, LAST + 1):
            pieces += [f"Step {step}: ", "so ", f"\\boxed{{{0 if wrong else number}}}" if step == LAST else "then"]
            if step < LAST:
                pieces.append(None if stops else "\n\n")
            if stops:
                break
        return pieces

    async def _pool(self, request: Asked, writer: asyncio.StreamWriter) -> bool:
        await asyncio.sleep(self.prm_s)
        text = request.body["input"]
        steps = text.partition("assistant\n")[2].split("<extra_0>")[:-1]
        pairs = [[0.9, 0.1] if "\\boxed{0}" in step else [0.1, 0.9] for step in steps]
        request.prompt_tokens = len(text.split())
        answer = {"data": [{"index": 0, "data": pairs}], "usage": {"prompt_tokens": request.prompt_tokens}}
        return await self._send(writer, 200, answer)


@contextmanager
def served(server: HostileServer) -> Iterator[str]:
    """Its URL, as long as the context lasts."""
    loop, stop, ready = asyncio.new_event_loop(), asyncio.Event(), threading.Event()

    async def serve() -> None:
        async with server.running():
            ready.set()
            await stop.wait()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:  # at the end it cancels what still serves
            runner.run(serve())

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait()
    try:
        yield server.url
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


def write_setup(folder: Path, url: str, problems: int, prm_price: float) -> None:
    """`steproute.toml` and `own.jsonl`."""
    (folder / "steproute.toml").write_text(CONFIG.format(url=url, prm_price=prm_price))
    rows = (f'{{"problem": "What is {number}?", "answer": "{number}"}}\n' for number in range(11, 11 + problems))
    (folder / "own.jsonl").write_text("".join(rows))
