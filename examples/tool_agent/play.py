"""An agent with tools behind the gateway: the weak model writes each turn, and the strong one those that score low.

    python examples/tool_agent/play.py --tasks 10

It starts the models of house_server.py and a gateway with steproute.toml, and plays tasks of the house with
OpenAI's client: by the weak model alone, by the strong one alone, and routed.
"""

import argparse
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import cast

import openai
from house_server import TOOLS, action
from openai.types.chat import ChatCompletionMessageParam

from steproute.environments.house.game import House, house

HERE = Path(__file__).parent
MODELS = ("steproute/weak", "steproute/strong", "steproute/agent")


@dataclass
class Played:
    """Tasks by one model: how many succeeded, the dollars, and how many turns each role wrote."""

    succeeded: int = 0
    usd: Decimal = Decimal(0)
    authors: Counter[str] = field(default_factory=Counter)


def play(client: openai.OpenAI, model: str, task: str, question: str, played: Played) -> None:
    """One task: ask for a turn, carry out its calls, send their results, until the house ends it."""
    game = House(int(task))
    messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": question}]
    while True:
        reply = client.chat.completions.create(model=model, messages=messages, tools=TOOLS)
        assert reply.model_extra is not None
        facts = reply.model_extra["steproute"]
        played.usd += Decimal(facts["cost_usd"])
        played.authors.update(step["role"] for step in facts["steps"])
        turn = reply.choices[0].message
        messages.append(cast(ChatCompletionMessageParam, turn.model_dump(exclude_none=True)))
        for call in turn.tool_calls or ():
            assert call.type == "function"
            result = game.act(action(call.function.name, call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result.text})
            if result.ends:
                played.succeeded += result.reward == 1
                return
        if not turn.tool_calls:
            return


@contextmanager
def process(*command: str, log: Path) -> Iterator[None]:
    """A process, until the context ends."""
    with log.open("w") as output:
        running = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            yield
        finally:
            running.terminate()
            running.wait()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def wait_for(port: int) -> None:
    """Until something listens there."""
    for _ in range(600):
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.1)
    raise TimeoutError(f"nothing listens on port {port}")


def main(tasks: int) -> None:
    """Start everything, play, and print a line for each model."""
    models, gateway = free_port(), free_port()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        config = folder / "steproute.toml"
        config.write_text((HERE / "steproute.toml").read_text().replace(":8750", f":{models}"))
        server = (sys.executable, str(HERE / "house_server.py"), "--port", str(models))
        stack.enter_context(process(*server, log=folder / "models.log"))
        wait_for(models)
        database = f"sqlite:///{folder / 'gateway.db'}"
        serve = (str(Path(sys.executable).with_name("steproute")), "serve", "--config", str(config))
        options = ("--port", str(gateway), "--database", database)
        stack.enter_context(process(*serve, *options, log=folder / "gateway.log"))
        wait_for(gateway)
        client = openai.OpenAI(base_url=f"http://127.0.0.1:{gateway}/v1", api_key="none")
        for model in MODELS:
            played = Played()
            for problem in islice(house("", 0), tasks):
                play(client, model, problem.tags["task"], problem.text, played)
            turns = json.dumps(dict(played.authors))
            print(f"{model:18} {played.succeeded}/{tasks} succeeded, ${played.usd:.6f}, turns by {turns}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=5)
    main(parser.parse_args().tasks)
