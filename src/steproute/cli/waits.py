"""A progress bar's column for the waits that backends ask for."""

from rich.progress import ProgressColumn, Task
from rich.text import Text

from steproute.engine.roles import Roles


class Waits(ProgressColumn):
    """The longest wait that a backend of `roles` has asked for and that is not over yet; empty if there is none."""

    def __init__(self, roles: Roles) -> None:
        super().__init__()
        gates = [*(writer.gate for writer in roles.models.values()), *(judge.gate for judge in roles.scorers.values())]
        self._gates = [gate for gate in gates if gate is not None]

    def render(self, task: Task) -> Text:
        """Such as `http://host asks to wait 34 s`."""
        pause_s, name = max(((gate.pause_s, gate.name) for gate in self._gates), default=(0.0, ""))
        return Text(f"{name} asks to wait {pause_s:.0f} s" if pause_s >= 1 else "", style="yellow")
