"""An agent for the rooms."""

import random
import re
from dataclasses import dataclass

from steproute.core.solution import Draft, Meter, Prefix, Sampling, Stop
from steproute.core.usage import Usage


def right_action(prefix: Prefix) -> str:
    goal = int(re.findall(r"Go to room (\d)", prefix.problem.text)[0])
    room = int(re.findall(r"You are in room (\d)", prefix.problem.text + prefix.text)[-1])
    return "stop" if room == goal else "right" if room < goal else "left"


@dataclass(frozen=True)
class Walker:
    """`skill`, a setting, is the chance that an action is the right one."""

    name: str
    skill: float = 0.9

    async def propose(
        self, prefix: Prefix, n: int = 1, sampling: Sampling = Sampling(), meter: Meter | None = None
    ) -> list[Draft]:
        return [self._draft(prefix, random.Random(sampling.seed + i)) for i in range(n)]

    def _draft(self, prefix: Prefix, draw: random.Random) -> Draft:
        action = right_action(prefix) if draw.random() < self.skill else draw.choice(["left", "right", "stop"])
        usage = Usage(input_tokens=len(prefix.problem.text + prefix.text) // 4, output_tokens=5)
        return Draft(model=self.name, text=f"Action: {action}", stop=Stop.END, usage=usage)
