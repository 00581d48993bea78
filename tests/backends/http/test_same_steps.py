"""A solution has the same steps whether it is written step by step or at once, and no blank one is among them."""

import asyncio
from typing import Any

import pytest
from tests.backends.http.hostile import Asked
from tests.backends.http.test_faults import PROBLEM, writer_of
from tests.backends.test_openai_server import Canned
from tests.backends.test_step_cutter import REASONING
from tests.core.test_splitting import BREAKS

from steproute.backends.reasoning import TAGS
from steproute.core.ports import Continuation, Strategy
from steproute.core.splitting import step_spans
from steproute.engine.episode import Episode
from steproute.engine.roles import Roles
from steproute.policies.baselines.random import RandomRouting
from steproute.strategies.single import Single
from steproute.strategies.stepwise import Stepwise

STEPS = ["a = 2", "b = 3\n  and more", "so \\boxed{5}"]
BY_STEPS = Stepwise(policy=RandomRouting.at(0.0, 0))


class Continues(Canned):
    """Has one solution, and writes what is missing of it, a character a piece."""

    def __init__(self, solution: str, reasoning: str = "") -> None:
        super().__init__([])
        self.solution, self.reasoning = solution, reasoning

    async def _stream(self, request: Asked, writer: asyncio.StreamWriter, reader: asyncio.StreamReader) -> bool:
        done = sum(step in self._said(request.body) for step in STEPS)
        start = step_spans(self.solution, "\n\n")[done][0] if done else 0
        text = self.solution[start:] if done else self.reasoning + self.solution
        chat = "messages" in request.body
        self.chunks = [
            {"choices": [{"index": 0, **({"delta": {"content": each}} if chat else {"text": each})}]} for each in text
        ]
        self.chunks.append({"choices": [{"index": 0, "text": "", "finish_reason": "stop"}]})
        return await super()._stream(request, writer, reader)


def steps(server: Continues, strategy: Strategy[Episode], **settings: Any) -> list[str]:
    async def run() -> list[str]:
        async with server.running():
            episode = Episode(PROBLEM, Roles(models={"weak": writer_of(server, **settings)}), route="t")
            return [step.text for step in (await episode.run(strategy)).steps]

    return asyncio.run(run())


@pytest.mark.parametrize("ending", ["", "\n\n", " \r\n\r\n\n"])
@pytest.mark.parametrize("between", BREAKS)
def test_blank_lines_of_any_form_end_a_step_in_the_loop_and_in_whole_solutions(between: str, ending: str) -> None:
    server = Continues(between.join(STEPS) + ending)
    settings = {"template": "none", "stop": "client"}
    assert steps(server, Single("weak"), **settings) == STEPS
    assert steps(server, BY_STEPS, **settings) == STEPS
    assert steps(server, BY_STEPS, template="none") == STEPS, "the server is told of one form alone"


@pytest.mark.parametrize("continuation", [Continuation.CONTINUE_FINAL_MESSAGE, Continuation.COMPLETIONS])
@pytest.mark.parametrize(("opening", "closing"), TAGS)
def test_no_models_reasoning_becomes_a_step(opening: str, closing: str, continuation: Continuation) -> None:
    server = Continues("\n\n".join(STEPS), f"{opening}{REASONING}{closing}")
    settings = {"template": "none", "continuation": continuation, "thinking": "hide", "stop": "client"}
    assert steps(server, Single("weak"), **settings) == STEPS
    assert steps(server, BY_STEPS, **settings) == STEPS
