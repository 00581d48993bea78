"""The house's agents behind OpenAI's chat API, with calls of tools, and their reward model behind /pooling.

    python examples/tool_agent/house_server.py --port 8750

It stands in for your model servers. Nothing here is a language model: the weak agent and the reward model are small
networks, the strong agent is a script, and all of them read the conversation's calls and what the house answers. A
token is four characters.
GET /counts says what each model has read and written.
"""

import argparse
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any
from zlib import crc32

import uvicorn
from openai.types.chat import ChatCompletionFunctionToolParam
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from steproute import Problem
from steproute.core.ports import StepModel
from steproute.core.solution import ENVIRONMENT, Prefix, Step
from steproute.environments.house.agents import HOUSE_SAMPLING, HouseAgent, HouseExpert, HousePrm
from steproute.environments.house.game import House
from steproute.environments.replaying import TASK, action_of

ARGUMENTS = {"go": "room", "take": "thing", "unlock": "", "put": "place", "drop": ""}
MEANINGS = {
    "go": "Walk through a door.",
    "take": "Take a thing into your free hand.",
    "unlock": "Unlock the box with the key in your hand.",
    "put": "Put what you hold on a place, where it stays.",
    "drop": "Lay down what you hold.",
}
TOOLS: list[ChatCompletionFunctionToolParam] = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": MEANINGS[name],
            "parameters": {
                "type": "object",
                "properties": {argument: {"type": "string"}} if argument else {},
                "required": [argument] if argument else [],
            },
        },
    }
    for name, argument in ARGUMENTS.items()
]
_TASK = re.compile(r"House (\d+)\.")
_CALL = re.compile(r"^(go|take|unlock|put|drop)\((\{.*\})\)$", re.MULTILINE)
AGENTS: dict[str, StepModel] = {"weak": HouseAgent(), "strong": HouseExpert()}
PRM = HousePrm()
counts: dict[str, Counter[str]] = {}


def action(name: str, arguments: str) -> str:
    """A call as an action of the house, such as `go(hall)`."""
    given = "box" if name == "unlock" else json.loads(arguments or "{}").get(ARGUMENTS.get(name, ""), "")
    return f"{name}({given})"


def prefix_of(task: str, actions: list[str]) -> Prefix:
    """The solution so far, as the house's agents and scorers read it."""
    game, steps = House(int(task)), []
    problem = Problem.ask(id=f"house-{task}", text=game.task_text(), tags={TASK: task})
    for each in actions:
        steps.append(Step(role="agent", text=each, tokens=0))
        steps.append(Step(role=ENVIRONMENT, text=game.act(each).text, tokens=0))
    return Prefix(problem=problem, steps=tuple(steps))


def has_ended(task: str, actions: list[str]) -> bool:
    """Whether the house takes no further action."""
    game = House(int(task))
    return any(game.act(each).ends for each in actions)


async def chat(request: Request) -> StreamingResponse:
    """The next call, or a closing word once the house has ended."""
    text = await request.body()
    body = json.loads(text)
    task = next(found[1] for each in body["messages"] if (found := _TASK.search(str(each.get("content")))))
    calls = [call["function"] for each in body["messages"] for call in each.get("tool_calls") or ()]
    actions = [action(call["name"], call["arguments"]) for call in calls]
    if has_ended(task, actions):
        message: dict[str, Any] = {"content": "I have put it down, so I am done."}
    else:
        message = await next_turn(body["model"], task, actions)
    read = len(json.dumps([body["messages"], body.get("tools")])) // 4
    written = len(json.dumps(message)) // 4
    count(body["model"], read, written)
    usage = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
    return StreamingResponse(events(message, usage), media_type="text/event-stream")


async def next_turn(model: str, task: str, actions: list[str]) -> dict[str, Any]:
    """What an agent does next, as a turn. The same conversation gets the same turn."""
    seed = crc32(f"{model} {task} {actions}".encode())
    (draft,) = await AGENTS[model].propose(prefix_of(task, actions), 1, replace(HOUSE_SAMPLING, seed=seed))
    name, _, given = action_of(draft.text).rstrip(")").partition("(")
    arguments = {ARGUMENTS[name]: given} if ARGUMENTS[name] else {}
    function = {"name": name, "arguments": json.dumps(arguments)}
    call = {"index": 0, "id": f"call_{len(actions)}_{seed:08x}", "type": "function", "function": function}
    return {"content": None, "tool_calls": [call]}


async def events(message: dict[str, Any], usage: Mapping[str, int]) -> AsyncIterator[str]:
    """The turn in pieces, as OpenAI streams it."""
    calls = message.get("tool_calls") or []
    yield event({"role": "assistant", "content": message["content"]})
    for call in calls:
        function, half = call["function"], len(call["function"]["arguments"]) // 2
        yield event({"tool_calls": [{**call, "function": {**function, "arguments": function["arguments"][:half]}}]})
        rest = {"arguments": function["arguments"][half:]}
        yield event({"tool_calls": [{"index": call["index"], "function": rest}]})
    yield event({}, "tool_calls" if calls else "stop")
    yield f"data: {json.dumps({'choices': [], 'usage': usage})}\n\n"
    yield "data: [DONE]\n\n"


def event(delta: Mapping[str, Any], finish: str | None = None) -> str:
    """A chunk."""
    return f"data: {json.dumps({'choices': [{'index': 0, 'delta': delta, 'finish_reason': finish}]})}\n\n"


async def pooling(request: Request) -> JSONResponse:
    """[p_bad, p_good] for each turn: whether its call brings the goal nearer, as the reward model believes."""
    body = await request.json()
    problem, _, answer = body["input"].partition("<|im_start|>assistant\n")
    task = _TASK.findall(problem)[0]
    turns = answer.split("<extra_0>")[:-1]
    scores = [await score(task, turns[: number + 1]) for number in range(len(turns))]
    read = len(body["input"]) // 4
    count(body["model"], read, 0)
    pairs = [[1 - value, value] for value in scores]
    return JSONResponse({"data": [{"index": 0, "data": pairs}], "usage": {"prompt_tokens": read}})


async def score(task: str, turns: list[str]) -> float:
    """The newest turn's score. A turn without a call is good if the house has ended."""
    calls = [_CALL.search(turn) for turn in turns]
    actions = [action(*call.groups()) for call in calls if call]
    if calls[-1] is None:
        return 0.9 if has_ended(task, actions) else 0.1
    return (await PRM.score(prefix_of(task, actions))).values[-1]


async def counted(request: Request) -> JSONResponse:
    """Calls, tokens read and tokens written, by model."""
    return JSONResponse(counts)


def count(model: str, read: int, written: int) -> None:
    """Add a call."""
    counts.setdefault(model, Counter()).update(calls=1, read=read, written=written)


app = Starlette(
    routes=[
        Route("/v1/chat/completions", chat, methods=["POST"]),
        Route("/v1/pooling", pooling, methods=["POST"]),
        Route("/pooling", pooling, methods=["POST"]),
        Route("/counts", counted),
    ]
)

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8750)
    uvicorn.run(app, port=parser.parse_args().port, log_level="warning")
