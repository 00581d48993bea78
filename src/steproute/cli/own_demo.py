"""The demo on the models of a steproute.toml: the policies that they can run, and one problem that routing repairs."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from steproute.cli.live import LiveView
from steproute.cli.terminal import Terminal
from steproute.config import RouteSettings, RunConfig, Setup, check_needs, read_setup
from steproute.core.grade import Grade, Verdict
from steproute.core.ports import CAPABILITIES, Strategy
from steproute.core.problem import Problem
from steproute.engine.episode import Episode
from steproute.engine.grade_book import GRADES, GradeBook
from steproute.engine.roles import Roles
from steproute.engine.run_folder import name_of
from steproute.learn.rollouts import solve_all
from steproute.strategies.single import Single

_PROBLEMS: Final = 50
_IN_FLIGHT: Final = 32
_DIGEST: Final = 8  # hexadecimal digits


@dataclass(frozen=True, slots=True, kw_only=True)
class _Policy:
    """A policy that the demo shows: its name and knobs, the knob that keeps every step and one that repairs some."""

    name: str
    about: str
    kept: float
    repaired: float
    knobs: tuple[float, ...]


_THRESHOLD: Final = _Policy(
    name="threshold",
    about="TRIM-Thr has the strong model write each step again that the PRM scores below its knob.",
    kept=0.0,
    repaired=0.5,
    knobs=(0.0, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 1.0),
)
_CONFIDENCE: Final = _Policy(
    name="confidence",
    about="There is no PRM, so the policy confidence has the strong model write each step again of whose tokens the "
    "weak model was less sure than its knob.",
    kept=0.0,
    repaired=0.9,
    knobs=(0.0, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.97, 0.99, 1.0),
)
_RANDOM: Final = _Policy(
    name="random",
    about="There is neither a PRM nor are there log-probabilities, so steps are chosen at random: the floor that a "
    'scorer has to beat. `backend = "self-evaluation"` makes any chat model a scorer.',
    kept=0.0,
    repaired=0.5,
    knobs=(0.0, 0.25, 0.5, 0.75, 1.0),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnDemo:
    """The demo on a user's models."""

    setup: Setup
    run: RunConfig
    policy: _Policy
    next: tuple[str, ...]

    @property
    def one(self) -> str:
        """The text before the first part."""
        return "Your models solve one of your problems. A final answer is marked ✓ or ✗ by its gold answer."

    @property
    def many(self) -> str:
        """The text before the second part."""
        others = f" Beside it run {', '.join(self.run.baselines)}." if self.run.baselines else ""
        return f"{self.policy.about} It runs at {len(self.policy.knobs)} knobs.{others}"

    def show_one(self, console: Terminal, problems: Sequence[Problem], roles: Roles, folder: Path) -> None:
        """Show the first problem that routing and the strong model solve and the weak model does not, by each of them.

        folder: of the run, which keeps what grading these solutions cost.
        """
        ways = {
            f"{self.policy.name} {self.policy.kept:g} keeps every step of the weak model:": self._at(self.policy.kept),
            f"{self.policy.name} {self.policy.repaired:g}:": self._at(self.policy.repaired),
            "The strong model alone:": Single("strong"),
        }
        marks = asyncio.run(self._marks(problems, roles, tuple(ways.values()), folder / GRADES))
        rescues = [index for index, mark in enumerate(zip(*marks, strict=True)) if mark == (False, True, True)]
        index = next(iter(rescues), 0)
        why = "a rescue" if rescues else "the first; none of them is wrong without routing and correct with it"
        console.print(f"Problem {index + 1}, {why}:", highlight=False)
        console.print(problems[index].text, style="bold", highlight=False, markup=False)
        for (title, strategy), correct in zip(ways.items(), marks, strict=True):
            console.print(f"\n{title}", highlight=False)
            view = LiveView(console, grade=lambda problem, trace, mark=correct[index]: mark)  # type: ignore[misc]
            asyncio.run(self._episode(problems[index], roles, view).run(strategy))

    def _at(self, knob: float) -> Strategy[Episode]:
        return replace(self.run.route, knob=knob).strategy_at(self.run.seed)

    def _episode(self, problem: Problem, roles: Roles, view: LiveView) -> Episode:
        return Episode(problem, roles, route="demo", limits=self.setup.limits, seed=self.run.seed, on_event=view)

    async def _marks(
        self, problems: Sequence[Problem], roles: Roles, ways: Sequence[Strategy[Episode]], grades: Path
    ) -> list[list[bool | None]]:
        """Whether each strategy solves each problem, (strategy, problem); None if that is not known.

        All problems are solved at once, since servers take many; the sweep needs these solutions anyway, and their
        grades, which it finds in `grades`.
        """
        limits, marks = self.setup.limits, []
        with GradeBook(roles.grading, grades, limits.retries) as book:
            for way in ways:
                traces = await solve_all(problems, roles, way, self.run.seed, limits=limits, in_flight=_IN_FLIGHT)
                pairs = zip(problems, traces, strict=True)
                marks.append([_mark(await book.grade(problem, trace)) for problem, trace in pairs])
        return marks


def _mark(grade: Grade | None) -> bool | None:
    return None if grade is None or grade.verdict is Verdict.UNDECIDED else grade.verdict is Verdict.CORRECT


def own_demo(config: Path, data: str, problems: int | None, seed: int, name: str | None = None) -> OwnDemo:
    """The demo of these models. Raises ConfigError before any call if they lack what the demo needs.

    name: of the run; the default is the file's name with the digest of its models.
    """
    setup = read_setup(config, data)
    policy, others = _policies(setup.roles)
    run = replace(setup, route=RouteSettings(policy=policy.name)).run(
        name_of(f"demo-{config.stem}-{setup.digest[:_DIGEST]}-{data}-{seed}") if name is None else name,
        data,
        problems=problems or _PROBLEMS,
        knobs=policy.knobs,
        baselines=others,
        seed=seed,
        in_flight=_IN_FLIGHT,
    )
    check_needs(run.sweep().routes, setup.roles)
    words = f"--config {config} --data {data}"
    return OwnDemo(
        setup=setup,
        run=run,
        policy=policy,
        next=(
            f"eval {words} --policy {policy.name} --name mine",
            f"calibrate {words} --policy {policy.name} --budget 0.3",
            f"train --policy pomdp {words}" if policy is _THRESHOLD else f"doctor --config {config}",
        ),
    )


def _policies(roles: Roles) -> tuple[_Policy, tuple[str, ...]]:
    """The policy that the demo shows, and the names of the baselines."""
    sure = "weak" in roles.models and CAPABILITIES.of(roles.models["weak"].model).logprobs
    more = tuple(f"single:{role}" for role in roles.models if role not in ("weak", "strong"))
    if "prm" in roles.scorers:
        return _THRESHOLD, (*(["confidence"] if sure else []), *more, "random")
    return (_CONFIDENCE, (*more, "random")) if sure else (_RANDOM, more)
