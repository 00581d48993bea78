"""A sweep over made-up models that log each finished call, for tests that kill it."""

import asyncio
import contextlib
import os
from decimal import Decimal
from pathlib import Path
from typing import Final

from steproute import Draft, Meter, ModelRole, Prefix, Price, Problem, Roles, Sampling, ScorerRole, Scores, Stop, Usage
from steproute.cli.evaluate import run_to_files
from steproute.cli.main import app, main
from steproute.config import RunConfig

PROBLEMS: Final = 30
STEPS: Final = 3
_PRICE: Final = Price(input=Decimal(0), output=Decimal(1_000_000))


class Logging:
    """Writes three steps a solution, one dollar a token; what it has done is in the log before anyone bills it."""

    def __init__(self, name: str, log: int) -> None:
        self.name, self._log = name, log

    def _finished(self, dollars: int) -> None:
        with contextlib.suppress(OSError):  # where a test fills the disk
            os.write(self._log, b"$" * dollars)

    async def propose(
        self, prefix: Prefix, n: int = 1, sampling: Sampling = Sampling(), meter: Meter | None = None
    ) -> list[Draft]:
        number = len(prefix.steps)
        ended = sampling.stop is None or number == STEPS - 1
        right = int(prefix.problem.id) + (sampling.seed % 3 == 0 and self.name == "weak")
        await asyncio.sleep(0.004)
        tokens = 1 + sampling.seed % 4
        text = f"so \\boxed{{{right}}}" if ended else f"step {number}"
        self._finished(tokens)
        return [
            Draft(model=self.name, text=text, stop=Stop.SEPARATOR, usage=Usage(output_tokens=tokens)),
        ]

    async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
        """Half of the steps are doubtful."""
        await asyncio.sleep(0.002)
        self._finished(1)
        values = tuple((len(step.text) * 37 + int(prefix.problem.id)) % 10 / 10 for step in prefix.steps)
        return Scores(values=values, model=self.name, usage=Usage(output_tokens=1))


def killable(runs: Path, small: bool = False) -> None:
    """Solve and grade in `runs`, whose file `log` gets one byte per dollar; first a small part of it with `small`."""
    runs.mkdir(parents=True, exist_ok=True)
    log = os.open(runs / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    config = RunConfig(name="run", data="made-up", knobs=(0.5,), in_flight=8, seeds=(1,) if small else (0, 1))
    count = PROBLEMS // 2 if small else PROBLEMS
    problems = [Problem.ask(id=str(number), text=f"what is {number}?", answer=str(number)) for number in range(count)]
    writers = {role: ModelRole(model=Logging(role, log), price=_PRICE) for role in ("weak", "strong")}
    roles = Roles(models=writers, scorers={"prm": ScorerRole(scorer=Logging("prm", log), price=_PRICE)})
    run_to_files(config, config.sweep(), problems, roles, runs / config.name)


if __name__ == "__main__":
    app.command("killable")(killable)
    main()
