"""A scorer for the rooms: whether each action is the right one."""

from dataclasses import dataclass, replace

from steproute.core.solution import Meter, Prefix, Scores
from steproute.core.usage import Usage
from steproute.environments.replaying import action_of
from steproute_example.walker import right_action


@dataclass(frozen=True)
class Nearer:
    name: str

    async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
        values = tuple(self._value(prefix, index) for index in range(len(prefix.steps)))
        return Scores(values=values, model=self.name, usage=Usage())

    def _value(self, prefix: Prefix, index: int) -> float:
        before = replace(prefix, steps=prefix.steps[:index])
        return 0.9 if action_of(prefix.steps[index].text) == right_action(before) else 0.1
