"""What the models and scorers are asked."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from typing import Final, TypeVar

from steproute.config import ConfigFile, ProbeSettings
from steproute.core.errors import ConfigError
from steproute.core.ports import CAPABILITIES, ONLY_READS, Continuation, ModelCapabilities
from steproute.core.problem import Problem
from steproute.core.registry import models, scorers
from steproute.core.solution import Draft, Meter, Prefix, Sampling, Step
from steproute.core.usage import Price
from steproute.doctor.finding import other_mode
from steproute.engine.account import Account
from steproute.engine.metering import Bill, MeteredCalls
from steproute.engine.roles import ModelRole

_T = TypeVar("_T")
_FREE: Final = Price(input=Decimal(0), output=Decimal(0))  # doctor counts no dollars
_STEP_TOKENS: Final = 256
LAB_PROBE: Final = ProbeSettings(
    problem="(1) Cleo has 5 books. (2) There are 45 books in the bag of Zoe. "
    "(3) Kira has as many books as Zoe has more than Cleo. Find how many books Kira has in the end.",
    right=("(1) Cleo has 5.", "(2) Zoe has 45.", "(3) Kira has Zoe 45 - Cleo 5 = 40. So the answer is \\boxed{40}."),
    wrong=("(1) Cleo has 5.", "(2) Zoe has 45.", "(3) Kira has Zoe 45 + Cleo 5 = 50. So the answer is \\boxed{50}."),
)


def probe_of(config: ConfigFile) -> ProbeSettings:
    """The file's probe, or a default that states answers by its rule, in the lab's language if a part needs it."""
    probe, rule = config.probe, config.answer.answer_rule
    if probe != ProbeSettings():
        return probe
    if _reads_only_the_lab(config):
        return LAB_PROBE
    right, wrong = (tuple(map(rule.reworded, steps)) for steps in (probe.right, probe.wrong))
    return replace(probe, right=right, wrong=wrong)


def _reads_only_the_lab(config: ConfigFile) -> bool:
    """Whether a model or scorer does."""
    for registry in (models, scorers):
        for table in config.tables[registry.kind].values():
            with suppress(ConfigError):  # of a name that is unknown, which is reported with its role
                if ONLY_READS.of(registry.get(str(table.get("backend")))) == "lab":
                    return True
    return False


def problem_of(config: ConfigFile, text: str) -> Problem:
    """A problem to ask about, under the file's answer rule."""
    return Problem.ask(id="doctor", text=text, rule=config.answer.answer_rule)


def check(file: str, probe: ProbeSettings) -> None:
    """Raises ConfigError that names `file` and the field, for a probe that asks nothing."""
    if not probe.problem.strip():
        raise ConfigError(
            f"doctor.problem: {probe.problem!r} is empty.", where=file, remedy="Give a problem, or leave it out."
        )
    for name, steps in (("right", probe.right), ("wrong", probe.wrong)):
        if not steps or not all(step.strip() for step in steps):
            raise ConfigError(
                f"doctor.{name}: {list(steps)} holds no step, or an empty one.",
                where=file,
                remedy="Give one step or more, or leave it out.",
            )


async def asked(config: ConfigFile, backend: str, call: Callable[[Meter], Awaitable[_T]]) -> _T:
    """What a call gives; failures that may pass are tried again, as often as [limits] of the file says.

    Raises what the last try raised.
    """
    calls = MeteredCalls(Account(lambda line: None), config.limits.retries)
    return await calls.make(Bill(role=backend, model=backend, price=_FREE), None, call)


class Prober:
    """Greedy steps of one model."""

    def __init__(self, config: ConfigFile, writer: ModelRole, problem: Problem) -> None:
        self._config, self._writer, self._problem = config, writer, problem

    @property
    def capabilities(self) -> ModelCapabilities:
        """What the model can do, as far as it is known by now."""
        return CAPABILITIES.of(self._writer.model)

    @property
    def truly_continues(self) -> bool:
        """Whether what it writes in two calls can be compared with what it writes in one."""
        can = self.capabilities
        return can.greedy and can.continuation is not Continuation.INSTRUCT

    @property
    def other_mode(self) -> str:
        """What to do if it does not continue in its mode."""
        return other_mode(self.capabilities.continuation)

    async def write(self, *steps: str, to_end: bool = False) -> Draft:
        """One step after `steps`, or all to the end."""
        done = tuple(Step(role="doctor", text=text, tokens=0) for text in steps)
        prefix = Prefix(problem=self._problem, steps=done, session=f"doctor/{to_end}")
        most = self._writer.sampling.max_tokens
        if not self.capabilities.hides_reasoning:
            most = min(_STEP_TOKENS, most)
        sampling = Sampling(temperature=0.0, top_p=1.0, top_k=0, max_tokens=most)
        if to_end:
            sampling = replace(sampling, stop=None)
        model = self._writer.model
        (draft,) = await asked(self._config, model.name, lambda meter: model.propose(prefix, 1, sampling, meter))
        return draft
