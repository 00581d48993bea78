"""The Messages API as a real server speaks it: vLLM with the lab's own models, against the same models in process."""

import asyncio
from contextlib import aclosing
from dataclasses import replace

import pytest
from tests.servers.processes import Running

from steproute.backends.anthropic.model import AnthropicModel, AnthropicSettings
from steproute.backends.http.server import Server
from steproute.backends.openai.model import OpenAiModel
from steproute.backends.openai.settings import OpenAiSettings
from steproute.core.chat import ChatRequest
from steproute.core.ports import ChatModel, Continuation
from steproute.core.problem import Problem
from steproute.core.solution import ModelCall, Prefix, Step, Stop
from steproute.evaluation.datasets import load_problems
from steproute.lab.models import LAB_SAMPLING, LabModel

pytestmark = pytest.mark.servers
GREEDY = replace(LAB_SAMPLING, temperature=0.0, max_tokens=200)
TO_END = replace(GREEDY, stop=None)
PROBLEMS = load_problems("lab:test", 15, 0)


def test_step_by_step_and_in_one_go_it_writes_what_the_model_in_process_writes(
    vllm_servers: dict[str, Running],
) -> None:
    settings = AnthropicSettings(
        model="lab-weak",
        server=Server(base_url=vllm_servers["lab-weak"].url),
        continuation=Continuation.PREFILL,
        instructions="",
        sampling_fields=("temperature",),
    )
    remote, local = AnthropicModel("weak", settings), LabModel("lab-weak")

    async def solve(problem: Problem) -> int:
        prefix, steps = Prefix(problem=problem, session=problem.id), 0
        (whole,) = await local.propose(prefix, 1, TO_END)
        (got,) = await remote.propose(prefix, 1, TO_END)
        assert (got.text, got.stop, got.usage.estimated) == (whole.text, Stop.END, False)
        assert got.usage.output_tokens == whole.usage.output_tokens
        assert got.usage.read_tokens == whole.usage.read_tokens
        while True:
            (own,) = await local.propose(prefix, 1, GREEDY)
            (got,) = await remote.propose(prefix, 1, GREEDY)
            assert (got.text, got.stop) == (own.text, own.stop)
            steps += 1
            if own.stop is not Stop.SEPARATOR:
                return steps
            prefix = prefix.extended(Step(role="weak", text=own.text, tokens=0))

    async def all_problems() -> int:
        return sum([await solve(problem) for problem in PROBLEMS])

    assert asyncio.run(all_problems()) > 45


def test_chat_requests_are_passed_through_by_both_apis(vllm_servers: dict[str, Running]) -> None:
    server = Server(base_url=vllm_servers["lab-weak"].url)
    mode = Continuation.CONTINUE_FINAL_MESSAGE
    chat = OpenAiModel("weak", OpenAiSettings(model="lab-weak", server=server, continuation=mode))
    messages = AnthropicModel("weak", AnthropicSettings(model="lab-weak", server=server))
    local = LabModel("lab-weak")

    async def passed(model: ChatModel, problem: Problem) -> tuple[str, ModelCall | None]:
        request = ChatRequest(messages=problem.messages, fields={"temperature": 0, "max_tokens": 200})
        async with aclosing(model.chat(request)) as deltas:
            pieces = [delta async for delta in deltas]
        assert len(pieces) > 10
        return "".join(piece.content for piece in pieces), pieces[-1].call

    async def compare(problem: Problem) -> None:
        (whole,) = await local.propose(Prefix(problem=problem, session=problem.id), 1, TO_END)
        for model in (chat, messages):
            text, call = await passed(model, problem)
            assert text.strip() == whole.text
            assert call is not None
            assert (call.usage.output_tokens, call.usage.estimated) == (whole.usage.output_tokens, False)

    async def all_problems() -> None:
        for problem in PROBLEMS[:5]:
            await compare(problem)

    asyncio.run(all_problems())
