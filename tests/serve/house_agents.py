"""The example's scripted models and a gateway in front of them, as two processes, and an agent that plays the house."""

import json
import sqlite3
import sys
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

from tests.serve.running import RunningGateway, gateway
from tests.servers.processes import free_port, server

from steproute.core.problem import Problem
from steproute.environments.house.game import House, house

EXAMPLE = Path(__file__).parents[2] / "examples/tool_agent"
_ARGUMENTS = {"go": "room", "take": "thing", "put": "place"}
TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": name,
            "parameters": {"type": "object", "properties": {argument: {"type": "string"}} if argument else {}},
        },
    }
    for name, argument in {**_ARGUMENTS, "unlock": "", "drop": ""}.items()
]
Turn = dict[str, Any]
"""An assistant's message with its calls, as a client sends it back."""


@dataclass(frozen=True)
class Agents:
    """models: the address of the scripted models."""

    gateway: RunningGateway
    models: str

    def counts(self) -> dict[str, dict[str, int]]:
        """What the models themselves have counted: calls, tokens read and written."""
        with urllib.request.urlopen(f"{self.models}/counts") as response:
            counts: dict[str, dict[str, int]] = json.load(response)
        return counts

    def ledger(self) -> dict[str, dict[str, int]]:
        """The same by the ledger, and `cost`: units of 10⁻¹² dollars."""
        rows = sqlite3.connect(self.gateway.database).execute(
            "SELECT role, COUNT(*), SUM(input_tokens + cache_read_tokens), SUM(output_tokens), SUM(cost_usd) "
            "FROM lines GROUP BY role"
        )
        return {
            role: {"calls": calls, "read": read, "written": out, "cost": cost} for role, calls, read, out, cost in rows
        }


@contextmanager
def house_agents(folder: Path) -> Iterator[Agents]:
    """Both processes, until the context ends."""
    port = free_port()
    command = [sys.executable, str(EXAMPLE / "house_server.py"), "--port", str(port)]
    with server(command, port, folder / "models.log", ready="/counts"):
        config = folder / "steproute.toml"
        config.write_text((EXAMPLE / "steproute.toml").read_text().replace(":8750", f":{port}"))
        with gateway(folder, "--config", str(config)) as running:
            yield Agents(running, f"http://127.0.0.1:{port}")


@dataclass
class Game:
    """A task being played by an agent. facts: the field `steproute` of each turn."""

    problem: Problem
    succeeded: bool = False
    facts: list[dict[str, Any]] = field(default_factory=list)

    @property
    def authors(self) -> list[str]:
        return [step["role"] for each in self.facts for step in each["steps"]]

    @property
    def cost_usd(self) -> Decimal:
        return sum((Decimal(each["cost_usd"]) for each in self.facts), Decimal(0))

    def play(self, ask: Callable[[Sequence[Turn]], tuple[Turn, dict[str, Any]]]) -> "Game":
        """Ask for turns and carry out their calls, until the house ends the task or a turn calls nothing."""
        game, messages = House(self.problem.tags["task"]), [dict(self.problem.messages[0])]
        while True:
            turn, facts = ask(messages)
            self.facts.append(facts)
            messages.append(turn)
            for call in turn.get("tool_calls") or ():
                result = game.act(_action(call["function"]))
                messages.append({"role": "tool", "tool_call_id": call["id"], "content": result.text})
                if result.ends:
                    self.succeeded = result.reward == 1
                    return self
            if not turn.get("tool_calls"):
                return self


def game(number: int) -> Game:
    """The task with this number."""
    return Game(next(islice(house("", 0), number, None)))


def _action(function: dict[str, str]) -> str:
    given = json.loads(function["arguments"])
    return f"{function['name']}({'box' if function['name'] == 'unlock' else ''.join(given.values())})"
