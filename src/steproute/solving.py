"""The front door: a problem in, a solution with its account out."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from steproute.config import RouteSettings, Setup, check_answers, check_needs, read_setup
from steproute.core.bounds import check_seed
from steproute.core.errors import DatasetError, SteprouteError
from steproute.core.events import Event
from steproute.core.problem import Problem
from steproute.core.solution import DEFAULT_SEPARATOR, Step
from steproute.core.trace import RoleUsage, Trace
from steproute.engine.episode import Episode
from steproute.engine.runner import Route
from steproute.lab.story import MAX_VALUE, Story

Config = str | Path | Setup
"""A steproute.toml, as its path or as loaded by `load_config`."""

LAB_ROUTE: Final = RouteSettings(policy="lab-agg", knob=0.002)
"""TRIM-Agg as it is shipped, at a price of a strong token that buys most of the strong model's accuracy."""

LAB_PROBLEM: Final = "(1) Ben has 30 coins. (2) Mia has 12 more coins than Ben. How many coins does Mia have now?"
LAB_PROBLEMS: Final = (
    "numbered sentences about how many things people have, in whole numbers from 1 to "
    f"{MAX_VALUE}, and a question at the end"
)

_ONE_AT_A_TIME: Final = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """A solved problem and everything that was spent on it."""

    problem: Problem
    trace: Trace

    @property
    def answer(self) -> str | None:
        """The final answer by the problem's answer rule; None if it extracts none, and `trace.outcome` says why."""
        return self.trace.answer

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps: each one's text, tokens, the role that wrote it, and its score if it was scored."""
        return self.trace.steps

    @property
    def text(self) -> str:
        """The whole solution."""
        return DEFAULT_SEPARATOR.join(step.text for step in self.steps)

    @property
    def cost_usd(self) -> Decimal:
        """Dollars in all, discarded drafts and scoring included."""
        return self.trace.cost_usd

    @property
    def usage(self) -> dict[str, RoleUsage]:
        """Calls, tokens and dollars of each role."""
        return self.trace.usage_by_role()


class ProblemFailed(SteprouteError):
    """A problem could not be solved, because a model or a scorer failed. trace: what was done and spent until then."""

    def __init__(self, trace: Trace) -> None:
        super().__init__(trace.error or f"the solution ended as {trace.outcome.value}")
        self.trace, self.role = trace, trace.at_fault


class NotALabProblem(DatasetError):
    """The lab's models, which are asked if there is no configuration, cannot read a problem. reason: why not."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"{reason}\n\nWithout a config the bundled lab solves the problem. Its tiny models read one kind: "
            f"{LAB_PROBLEMS}, such as\n  {LAB_PROBLEM}\nFor any other problem connect models of your own: write a "
            "file with `steproute init --template vllm`, and name it by config='steproute.toml'."
        )
        self.reason = reason


def load_config(path: str | Path) -> Setup:
    """The models, scorers, route and limits of a steproute.toml.

    Load it once to solve many problems: they share connections and the limits of each server. Raises ConfigError that
    names the field, and ArtifactError for a scorer's damaged calibration.
    """
    return read_setup(Path(path))


def solve(
    problem: str | Problem,
    *,
    config: Config | None = None,
    strategy: str | None = None,
    policy: str | None = None,
    knob: float | None = None,
    settings: Mapping[str, Any] = {},
    max_tokens: int | None = None,
    max_cost_usd: float | Decimal | None = None,
    deadline_s: float | None = None,
    seed: int = 0,
    on_event: Callable[[Event], None] = lambda event: None,
) -> Solution:
    """As `asolve`, for code without an event loop. Raises SteprouteError if one is running, too."""
    if _is_in_a_loop():
        raise SteprouteError(
            "an event loop is running here, as in an async function or a notebook.",
            where="solve",
            remedy="Write `await steproute.asolve(...)` instead.",
        )
    return asyncio.run(
        asolve(
            problem,
            config=config,
            strategy=strategy,
            policy=policy,
            knob=knob,
            settings=settings,
            max_tokens=max_tokens,
            max_cost_usd=max_cost_usd,
            deadline_s=deadline_s,
            seed=seed,
            on_event=on_event,
        )
    )


async def asolve(
    problem: str | Problem,
    *,
    config: Config | None = None,
    strategy: str | None = None,
    policy: str | None = None,
    knob: float | None = None,
    settings: Mapping[str, Any] = {},
    max_tokens: int | None = None,
    max_cost_usd: float | Decimal | None = None,
    deadline_s: float | None = None,
    seed: int = 0,
    on_event: Callable[[Event], None] = lambda event: None,
) -> Solution:
    """Solve one problem step by step.

    config: your models; without it the bundled lab solves problems in its own language. strategy, policy, knob and
    settings (the strategy's own) take the place of those in the configuration. On the lab the default is the trained
    policy that comes with the package, and with `knob` alone it is threshold. policy: a name, such as threshold, or the
    folder of a trained policy. max_tokens counts generated tokens, deadline_s is wall-clock time. seed: of every
    random draw. on_event: called with each of `steproute.core.events` as it happens.

    Raises ConfigError and ArtifactError for what cannot be run, DatasetError for a problem that the lab cannot read,
    and ProblemFailed if a model or scorer fails; a solution that ran out of its budget is returned as far as it came.
    """
    check_seed("seed", seed)
    setup = config if isinstance(config, Setup) else await asyncio.to_thread(_read, config)
    (asked,) = setup.answer.on([Problem.ask(problem.strip()) if isinstance(problem, str) else problem])
    if config is None:
        check_lab_problem(asked)
    limits = setup.limits.changed(
        max_tokens=max_tokens,
        max_cost_usd=None if max_cost_usd is None else Decimal(str(max_cost_usd)),
        deadline_s=deadline_s,
    )
    default = LAB_ROUTE if config is None and policy is None and knob is None else setup.route
    chosen = default.changed(strategy=strategy, policy=policy, knob=knob, settings=settings)
    route = _checked_route(chosen, setup, seed)
    episode = Episode(asked, setup.roles, route=route.name, limits=limits, seed=seed, on_event=on_event)
    trace = await episode.run(route.strategy)
    if trace.failed:
        raise ProblemFailed(trace)
    return Solution(problem=asked, trace=trace)


def _is_in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _read(config: str | Path | None) -> Setup:
    """In a thread, since it reads files and imports packages; the lab's networks are to be loaded once."""
    with _ONE_AT_A_TIME:
        return read_setup(None if config is None else Path(config))


def _checked_route(chosen: RouteSettings, setup: Setup, seed: int) -> Route:
    route = Route(name=chosen.name, strategy=chosen.strategy_at(seed))
    check_needs([route], setup.roles)
    check_answers([route], setup.answer.answer_rule)
    return route


def check_lab_problem(problem: Problem) -> None:
    """Raises NotALabProblem for one that the bundled models cannot read."""
    try:
        Story.parse(problem.text)
    except DatasetError as failure:
        raise NotALabProblem(str(failure)) from None
