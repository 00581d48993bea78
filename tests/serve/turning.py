"""A server whose models say what a test wants, turn by turn, and whose reward model dislikes the word "wrong"."""

import asyncio
from typing import Any, Final

from tests.backends.http.hostile import Asked, Fault
from tests.backends.test_openai_chat import USAGE, Chatting, delta, usage

PRM_TOKENS: Final = 11
CONFIG: Final = """
[models.weak]
backend = "openai"
base_url = "{url}"
model = "weak"
kind = "openai"
continuation = "instruct"
price = {{ input = 0.1, output = 0.4 }}
[models.strong]
backend = "openai"
base_url = "{url}"
model = "strong"
kind = "openai"
continuation = "instruct"
price = {{ input = 2, output = 8 }}
[scorers.prm]
backend = "vllm-pooling"
base_url = "{url}"
model = "prm"
price = {{ input = 0.1, output = 0 }}
[scorers.judge]
backend = "self-evaluation"
base_url = "{url}"
model = "judge"
kind = "openai"
mode = "digit"
price = {{ input = 0.1, output = 0.1 }}
[roles]
ladder = ["weak", "strong"]
[limits]
retries = 0
[serve.routes.agent]
policy = "threshold"
knob = 0.5
tools = "route"
[serve.routes.trusting]
policy = "random"
knob = 0
tools = "route"
[serve.routes.lenient]
policy = "threshold"
knob = 0.5
tools = "route"
on_strong_failure = "accept"
[serve.routes.judged]
policy = "threshold"
judge = "judge"
tools = "route"
[serve.routes.whole]
policy = "threshold"
knob = 0.5
"""


def call(name: str, arguments: str, index: int = 0) -> dict[str, Any]:
    """A call of a tool, in one piece."""
    function = {"name": name, "arguments": arguments}
    return {"index": index, "id": f"{name}-{index}", "type": "function", "function": function}


def saying(text: str) -> list[dict[str, Any]]:
    """A turn of text alone."""
    return [delta(role="assistant", content=text), delta("stop"), usage()]


def calling(*calls: dict[str, Any], text: str = "") -> list[dict[str, Any]]:
    """A turn that calls tools."""
    pieces = [delta(tool_calls=[each]) for each in calls]
    return [delta(role="assistant", content=text), *pieces, delta("tool_calls"), usage()]


class Turning(Chatting):
    """turns: what each model says to every request. faults: of models that fail. slow: a model that pauses."""

    def __init__(self) -> None:
        super().__init__(decide=lambda asked: self.faults.get(asked.body.get("model", "")))
        self.turns: dict[str, list[dict[str, Any]]] = {}
        self.faults: dict[str, Fault] = {}
        self.slow = ""

    def says(self, **turns: list[dict[str, Any]]) -> None:
        """From now on, with nothing else going wrong."""
        self.turns, self.faults, self.slow, self.asked = turns, {}, "", []

    @property
    def models(self) -> list[str]:
        """Who was asked, in this order."""
        return [each.body["model"] for each in self.asked if "model" in each.body]

    async def _stream(self, request: Asked, writer: asyncio.StreamWriter, reader: asyncio.StreamReader) -> bool:
        model = request.body["model"]
        self.chunks, self.pause = tuple(self.turns[model]), 30 if self.slow == model else 0
        return await super()._stream(request, writer, reader)

    async def _pool(self, request: Asked, writer: asyncio.StreamWriter) -> bool:
        turns = request.body["input"].partition("assistant\n")[2].split("<extra_0>")[:-1]
        pairs = [[0.9, 0.1] if "wrong" in turn else [0.1, 0.9] for turn in turns]
        answer = {"data": [{"index": 0, "data": pairs}], "usage": {"prompt_tokens": PRM_TOKENS}}
        return await self._send(writer, 200, answer)


TURN_TOKENS: Final = USAGE["prompt_tokens"], USAGE["completion_tokens"]
"""What each turn reads and writes."""
