"""The ports: what a model, a scorer, a policy, a strategy and a grader must offer."""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

from steproute.core.decision import Decision
from steproute.core.grade import Grade
from steproute.core.observation import Observation
from steproute.core.problem import Problem
from steproute.core.solution import Draft, Meter, Prefix, Sampling, Scores


@runtime_checkable
class StepModel(Protocol):
    """Writes what comes after a prefix."""

    name: str

    async def propose(
        self, prefix: Prefix, n: int = 1, sampling: Sampling = Sampling(), meter: Meter | None = None
    ) -> list[Draft]:
        """`n` drafts from `prefix`, each up to `sampling.stop` or the end of the solution.

        A model that can be interrupted keeps `meter` up to date while it generates. One that never gives
        log-probabilities has `gives_logprobs = False`. Raises BackendError.
        """
        ...


def gives_logprobs(model: StepModel) -> bool:
    """False for a model that says that it gives no log-probabilities."""
    return bool(getattr(model, "gives_logprobs", True))


@runtime_checkable
class StepScorer(Protocol):
    """Judges every step of a prefix."""

    name: str

    async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
        """One score in [0, 1] for each step. Raises ScorerError."""
        ...


@runtime_checkable
class CombiningScorer(StepScorer, Protocol):
    """A scorer made of others, which an episode asks and bills one by one."""

    def combined(self, scores: Sequence[Scores]) -> Scores:
        """The members' scores as one. Raises ScorerError."""
        ...


@runtime_checkable
class NewestStepScorer(StepScorer, Protocol):
    """A scorer that can judge the newest step alone by one call, where `judges_newest_alone` says so."""

    @property
    def judges_newest_alone(self) -> bool:
        """False where its scores are of a whole prefix."""
        ...

    async def score_newest(self, prefix: Prefix, meter: Meter) -> Scores:
        """The last step's score alone, which nothing but the prefix's text decides. Raises ScorerError."""
        ...


@runtime_checkable
class Policy(Protocol):
    """Decides about the newest draft; pure, no I/O.

    One that has `takes_over = False` never takes over. One that has `scores_rewrites = True` also decides about the
    drafts of the roles between the weak and the strong model.
    """

    @property
    def needs_scores(self) -> bool:
        """False where it reads no scores."""
        ...

    def decide(self, observation: Observation) -> Decision:
        """Accept the draft, or have a role rewrite it."""
        ...


def takes_over(policy: Policy) -> bool:
    """False for a policy that says that it never does."""
    return bool(getattr(policy, "takes_over", True))


def scores_rewrites(policy: object) -> bool:
    """True for a policy that says that it decides about rewritten steps as well."""
    return bool(getattr(policy, "scores_rewrites", False))


class AskedPolicy(Protocol):
    """A policy that is told its decisions from outside, such as a training environment's."""

    @property
    def needs_scores(self) -> bool:
        """False if it reads no scores."""
        ...

    def decide(self, observation: Observation) -> Awaitable[Decision]:
        """The decision, once there is one."""
        ...


def reads_logprobs(policy: Policy | None) -> bool:
    """True for a policy that says that it reads the log-probabilities of weak's steps."""
    return bool(getattr(policy, "reads_logprobs", False))


class PolicyFamily(Protocol):
    """A policy at each value of its knob, so that it can be swept: a class of policies, or a trained artefact."""

    @property
    def knobs(self) -> tuple[float, ...]:
        """The default grid."""
        ...

    def at(self, knob: float, seed: int) -> Policy:
        """The policy at one knob; raises ConfigError for one out of range."""
        ...


Episode_contra = TypeVar("Episode_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class Needs:
    """The roles of the models and of the scorers that a strategy asks; answers: whether it compares final answers."""

    models: tuple[str, ...] = ("weak", "strong")
    scorers: tuple[str, ...] = ()
    answers: bool = False


@runtime_checkable
class Strategy(Protocol[Episode_contra]):
    """Solves one problem through its episode, the engine's handle for proposing, scoring, deciding and accepting.

    A strategy that asks for anything but the models weak and strong says so in a property `needs`.
    """

    async def solve(self, episode: Episode_contra) -> None:
        """Drive the episode until its prefix is finished."""
        ...


def needs_of(strategy: Strategy[Any]) -> Needs:
    """What a strategy says that it needs; the two models of TRIM unless it says otherwise."""
    needs: Needs = getattr(strategy, "needs", Needs())
    return needs


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """An environment's answer to a step.

    text: joins the solution; empty for no answer. ends: whether the solution ends here. reward: of the step, if any.
    """

    text: str = ""
    ends: bool = False
    reward: float | None = None


@runtime_checkable
class Environment(Protocol):
    """Answers a step: a tool's result, or what an agent observes. It keeps nothing between calls."""

    async def respond(self, prefix: Prefix) -> Response:
        """The answer to the newest step of `prefix`. Raises EnvironmentFailed."""
        ...


@runtime_checkable
class Grader(Protocol):
    """Says whether a solution is correct. One that only compares two answers, at no cost, has `compares = True`."""

    async def grade(self, problem: Problem, answer: str | None, solution: str, meter: Meter) -> Grade:
        """The grade of a solution, whose final answer by the problem's rule is `answer`; None if it states none.

        `problem.answer` is the gold answer. One that asks a model names its role as `role`, keeps `meter` up to date,
        and has its calls on the grade. Raises BackendError.
        """
        ...


def compares(grader: Grader) -> bool:
    """True for a grader that says that it only compares two answers, at no cost."""
    return bool(getattr(grader, "compares", False))
