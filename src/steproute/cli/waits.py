"""A progress bar's column for the waits that backends ask for."""

from rich.progress import ProgressColumn, Task
from rich.text import Text

from steproute.engine.roles import Roles


class Waits(ProgressColumn):
    """The longest wait that a backend of `roles` asks for at present; empty if there is none."""

    def __init__(self, roles: Roles) -> None:
        super().__init__()
        limiters = [
            *(writer.limiter for writer in roles.models.values()),
            *(judge.limiter for judge in roles.scorers.values()),
        ]
        self._gates = [limiter for limiter in limiters if limiter is not None]

    def render(self, task: Task) -> Text:
        """Such as `http://host asks to wait 34 s`."""
        pause_s, name = max(((limiter.pause_s, limiter.name) for limiter in self._gates), default=(0.0, ""))
        return Text(f"{name} asks to wait {pause_s:.0f} s" if pause_s >= 1 else "", style="yellow")
