"""The plugin contract: what each kind of part must offer, what it may offer, and what it may declare about itself.

Methods are protocols. Declarations are attributes with defaults, so a part that needs nothing special declares nothing.
`PORTS` lists both for each kind; registration checks them. A part of another package has the rights of a built-in one.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Literal, Protocol, Self, TypeVar, runtime_checkable

from steproute.core.chat import ChatDelta, ChatRequest
from steproute.core.decision import Decision
from steproute.core.declaration import Declaration
from steproute.core.grade import Grade
from steproute.core.observation import Moment, Observation
from steproute.core.problem import Problem
from steproute.core.solution import Draft, Meter, Prefix, Sampling, Scores, Step
from steproute.core.usage import Usage

Episode_contra = TypeVar("Episode_contra", contravariant=True)


# Construction, the same for every kind.


class FromSettings(Protocol):
    """A part that builds itself from its settings.

    A part without this method is a dataclass whose fields are its settings, or it has no settings and is called with no
    arguments. A field `name` that no setting gives gets the part's name.
    """

    @classmethod
    def from_settings(cls, name: str, table: Mapping[str, Any]) -> Self:
        """`name`: the role, or a grader's or strategy's name. `table`: its settings from `steproute.toml`.

        An ensemble finds its scorers as `of`, a strategy its policy as `policy`. Raises ConfigError.
        """
        ...


# Models.


class Continuation(StrEnum):
    """How a backend continues a half-written answer."""

    COMPLETIONS = "completions"
    CONTINUE_FINAL_MESSAGE = "continue_final_message"
    PREFILL = "prefill"
    INSTRUCT = "instruct"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCapabilities:
    """What a model can do.

    continuations: its modes, the one in use first; only `instruct` asks for the next step in words. logprobs: its
    drafts have log-probabilities. several: one call may ask for n > 1 drafts. tools: it passes on the problem's tools.
    greedy: it takes temperature 0. hides_reasoning: a reply may begin with tokens that no step shows. example, plans,
    subtasks: it reads these of a prefix's advice. hour_writes: its settings may have a cache keep each prompt for an
    hour, which costs more.

    What a chat request may hold beside text, if it is passed through (ChatModel): tool_calls: tools that the reply may
    call. images: parts of a content that are no text. response_formats: types of `response_format`.
    """

    continuations: tuple[Continuation, ...] = (Continuation.COMPLETIONS,)
    logprobs: bool = True
    several: bool = True
    tools: bool = False
    greedy: bool = True
    hides_reasoning: bool = False
    example: bool = True
    plans: bool = True
    subtasks: bool = True
    hour_writes: bool = False
    tool_calls: bool = False
    images: bool = False
    response_formats: tuple[str, ...] = ()

    @property
    def continuation(self) -> Continuation:
        """The mode in use."""
        return self.continuations[0]


CAPABILITIES: Final = Declaration(
    "capabilities", ModelCapabilities, ModelCapabilities(), "Give a ModelCapabilities: what the model can do."
)


ONLY_READS: Final = Declaration(
    "only_reads", str, "", "Give the name of the data set whose problems alone it can read, such as 'lab'."
)


@runtime_checkable
class StepModel(Protocol):
    """Writes what comes after a prefix."""

    @property
    def name(self) -> str:
        """The model, as the account names it."""
        ...

    async def propose(
        self, prefix: Prefix, n: int = 1, sampling: Sampling = Sampling(), meter: Meter | None = None
    ) -> list[Draft]:
        """`n` drafts from `prefix`, each up to `sampling.stop` or the end of the solution.

        A model that can be interrupted keeps `meter` up to date while it generates. Raises BackendError.
        """
        ...


@runtime_checkable
class BoundedModel(StepModel, Protocol):
    """A model that knows better than its texts' lengths what a call can use."""

    def most_usage(self, prefix: Prefix, n: int, sampling: Sampling) -> Usage:
        """The most that `propose` can use, all input as uncached tokens."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """What a model's server has shown so far.

    model: the model's name there. ignores_stop: it continued after a separator at which it was to stop. refused:
    fields of requests that it refused. omitted: all fields that are no longer sent.
    """

    model: str
    ignores_stop: bool = False
    refused: tuple[str, ...] = ()
    omitted: tuple[str, ...] = ()


@runtime_checkable
class ServedModel(StepModel, Protocol):
    """A model of a server, which `steproute doctor` asks what it serves and what it has shown."""

    @property
    def server_facts(self) -> ServerFacts:
        """As of the last call."""
        ...

    async def served(self) -> Mapping[str, int | None] | None:
        """The server's models and how many tokens fit each, None if it does not say; None if it lists none.

        Raises BackendError.
        """
        ...


@runtime_checkable
class ChatModel(Protocol):
    """A model that also takes chat requests as they are: the passthrough beside step writing."""

    @property
    def name(self) -> str:
        """The model, as the account names it."""
        ...

    def chat(self, request: ChatRequest, meter: Meter | None = None) -> AsyncGenerator[ChatDelta, None]:
        """The reply, piece by piece; the last delta has the `call`. It is one try.

        To cancel, close the generator (`contextlib.aclosing`): that closes the connection. `meter` is up to date at all
        times, and final once the generator is closed. Raises FieldRefused for a field that the model cannot do, before
        anything is sent, and BackendError.
        """
        ...


# Scorers.

READS_CONFIDENCE: Final = Declaration(
    "reads_confidence", bool, False, "True if it reads the log-probabilities of the calls that wrote the steps."
)

READS_AUTHORS: Final = Declaration(
    "reads_authors", bool, False, "True if its scores also depend on which steps the weak model wrote."
)


@runtime_checkable
class StepScorer(Protocol):
    """Scores every step of a prefix."""

    @property
    def name(self) -> str:
        """The scorer, as the account names it."""
        ...

    async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
        """One score in [0, 1] for each step. Raises ScorerError."""
        ...


@runtime_checkable
class BoundedScorer(StepScorer, Protocol):
    """A scorer that knows better than its texts' lengths what a call can use."""

    def most_usage(self, prefix: Prefix) -> Usage:
        """The most that `score` or `score_newest` can use, all input as uncached tokens."""
        ...


@runtime_checkable
class CombiningScorer(StepScorer, Protocol):
    """A scorer made of others, which an episode asks and bills one by one."""

    def combined(self, scores: Sequence[Scores]) -> Scores:
        """The members' scores as one. Raises ScorerError."""
        ...


@runtime_checkable
class NewestStepScorer(StepScorer, Protocol):
    """A scorer that can judge the newest step alone by one call, if `judges_newest_alone` says so."""

    @property
    def judges_newest_alone(self) -> bool:
        """False if its scores are of a whole prefix."""
        ...

    async def score_newest(self, prefix: Prefix, meter: Meter) -> Scores:
        """The last step's score alone, which depends only on the prefix's text. Raises ScorerError."""
        ...


# Repairs.


@runtime_checkable
class Repair(Protocol):
    """Corrects what a model wrote before it is scored: at no cost, from the text alone."""

    def repaired(self, prefix: Prefix, text: str) -> str | None:
        """The step `text` after `prefix` with its errors corrected; None if there is nothing to correct."""
        ...


# Policies.

Reading = Literal["scores", "confidence", "authors"]
"""What a policy reads: step scores, the weak model's log-probabilities, and who wrote the accepted steps."""

READS: Final[Declaration[frozenset[Reading]]] = Declaration(
    "reads", frozenset[Reading], frozenset({"scores"}), "Give a set of 'scores', 'confidence' and 'authors'."
)
TAKES_OVER: Final = Declaration("takes_over", bool, True, "False if it never hands the rest of a solution over.")
SCORES_REWRITES: Final = Declaration(
    "scores_rewrites",
    bool,
    False,
    "True if it also decides about drafts of the roles between weak and strong.",
)
REWRITERS: Final[Declaration[tuple[str, ...]]] = Declaration(
    "rewriters", tuple[str, ...], ("strong",), "Give the roles that it can have rewrite a step."
)
KNOBS: Final[Declaration[tuple[float, ...]]] = Declaration(
    "knobs", tuple[float, ...], tuple(round(0.05 * i, 2) for i in range(21)), "Give the default grid of knob values."
)


@runtime_checkable
class Policy(Protocol):
    """Decides about the newest draft; pure, no I/O."""

    def decide(self, observation: Observation) -> Decision:
        """Accept the draft, or have a role rewrite it."""
        ...


class AskedPolicy(Protocol):
    """A policy that gets its decisions from outside, such as from a training environment."""

    def decide(self, observation: Observation) -> Awaitable[Decision]:
        """The decision, once there is one."""
        ...


def reads(policy: object, what: Reading) -> bool:
    """Whether a policy reads this."""
    return what in READS.of(policy)


@runtime_checkable
class Chooser(Protocol):
    """Says who writes the next step, before anything is drafted; pure, no I/O."""

    def choose(self, moment: Moment) -> str:
        """A role of the moment's ladder."""
        ...


@runtime_checkable
class PolicyFamily(Protocol):
    """A policy or a chooser at each value of its knob, so that it can be swept: a class, or a trained artefact.

    A policy class without `at` is made from one number, the knob.
    """

    @property
    def knobs(self) -> tuple[float, ...]:
        """The default grid."""
        ...

    def at(self, knob: float, seed: int) -> Policy | Chooser:
        """The policy at one knob; raises ConfigError for one out of range."""
        ...


# Strategies.


@dataclass(frozen=True, slots=True)
class Needs:
    """The roles of the models and of the scorers that a strategy asks.

    answers: whether it compares final answers. artifacts: folders that it reads, whose digests a run keeps. example,
    plans, subtasks: the roles whose models have to read these of a prefix's advice.
    """

    models: tuple[str, ...] = ("weak", "strong")
    scorers: tuple[str, ...] = ()
    answers: bool = False
    artifacts: tuple[str, ...] = ()
    example: tuple[str, ...] = ()
    plans: tuple[str, ...] = ()
    subtasks: tuple[str, ...] = ()


NEEDS: Final = Declaration("needs", Needs, Needs(), "Give a Needs: the roles that the strategy asks.")
DECIDES_BY: Final[Declaration[Policy | None]] = Declaration(
    "policy", Policy | None, None, "Give the policy that decides, as a field."
)
CHOOSES_BY: Final[Declaration[Chooser | None]] = Declaration(
    "chooser", Chooser | None, None, "Give the chooser that says who writes, as a field in the place of a policy."
)
TAKEOVER_STEPS: Final[Declaration[int | None]] = Declaration(
    "takeover_steps", int | None, None, "Give how many steps a takeover lasts, as a field."
)
CHOOSES: Final = Declaration(
    "chooses", bool, False, "True if the scorers that it needs pick one of several candidates for a step."
)
RETRACTS: Final = Declaration(
    "retracts", bool, False, "True if it may drop steps that it accepted, so that none can be shown before the end."
)
ROUTES_TURNS: Final = Declaration(
    "routes_turns",
    bool,
    False,
    "True if a step may be an agent's turn: each model writes it once at most, in no parts.",
)


@runtime_checkable
class Strategy(Protocol[Episode_contra]):
    """Solves one problem through its episode, the engine's handle for proposing, scoring, deciding and accepting."""

    async def solve(self, episode: Episode_contra) -> None:
        """Drive the episode until its prefix is finished."""
        ...


# Environments.


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
    """Answers a step: a tool's result, or what an agent observes.

    Its answer depends on the prefix alone, so that any branch of a search can ask. A world is played again from the
    start that the problem names (`steproute.environments.replaying`).
    """

    async def respond(self, prefix: Prefix) -> Response:
        """The answer to the newest step of `prefix`. Raises EnvironmentFailed."""
        ...


# Graders.

COMPARES: Final = Declaration("compares", bool, False, "True if it only compares two answers, at no cost.")
READS_SOLUTION: Final = Declaration("reads_solution", bool, True, "False if the final answer alone decides the grade.")
ROLE: Final = Declaration("role", str, "", "Give the role of the model that it asks.")


@runtime_checkable
class Grader(Protocol):
    """Says whether a solution is correct."""

    async def grade(self, problem: Problem, answer: str | None, solution: str, meter: Meter) -> Grade:
        """The grade of a solution, whose final answer by the problem's rule is `answer`; None if it states none.

        `problem.answer` is the gold answer. One that asks a model keeps `meter` up to date, and has its calls on the
        grade. Raises BackendError.
        """
        ...


@runtime_checkable
class AskingGrader(Grader, Protocol):
    """A grader that asks the model in the role `role`, which is paid for."""

    @property
    def role(self) -> str:
        """A role of the run, from the settings."""
        ...

    def asking(self, model: StepModel) -> Grader:
        """The same grader with that model."""
        ...


@runtime_checkable
class BoundedGrader(Grader, Protocol):
    """A grader that knows what grading a solution can use."""

    def most_usage(self, problem: Problem, answer: str | None, solution: str) -> Usage:
        """The most that `grade` can use, all input as uncached tokens."""
        ...


@runtime_checkable
class StepsGrader(Grader, Protocol):
    """A grader that reads the steps with their rewards and needs no gold answer."""

    async def grade_steps(self, problem: Problem, steps: Sequence[Step], meter: Meter) -> Grade:
        """The grade of a solution's steps, those of an environment included. It is asked instead of `grade`."""
        ...


# Data sets.

DEFAULT_COUNT: Final[Declaration[int | None]] = Declaration(
    "default_count", int | None, None, "Give how many problems to take if the user names no number."
)


class DataSet(Protocol):
    """The problems of a data set: a function, or an object that can be called like one."""

    def __call__(self, variant: str, seed: int) -> Iterable[Problem]:
        """All its problems. `variant` is what follows the colon in `--data name:variant`. Raises DatasetError."""
        ...


# All of it, by kind.


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """What parts of one kind must offer (`methods`), may offer (`optional`) and may declare."""

    kind: str
    methods: tuple[Callable[..., Any], ...]
    optional: tuple[Callable[..., Any], ...] = ()
    declares: tuple[Declaration[Any], ...] = field(default=())


PORTS: Final = {
    port.kind: port
    for port in (
        Port(
            kind="models",
            methods=(StepModel.propose,),
            optional=(FromSettings.from_settings, BoundedModel.most_usage, ServedModel.served, ChatModel.chat),
            declares=(CAPABILITIES, ONLY_READS),
        ),
        Port(
            kind="scorers",
            methods=(StepScorer.score,),
            optional=(
                FromSettings.from_settings,
                BoundedScorer.most_usage,
                CombiningScorer.combined,
                NewestStepScorer.score_newest,
            ),
            declares=(READS_CONFIDENCE, READS_AUTHORS, ONLY_READS),
        ),
        Port(
            kind="repairs",
            methods=(Repair.repaired,),
            optional=(FromSettings.from_settings,),
        ),
        Port(
            kind="policies",
            methods=(Policy.decide,),
            optional=(PolicyFamily.at,),
            declares=(READS, TAKES_OVER, SCORES_REWRITES, REWRITERS, KNOBS),
        ),
        Port(
            kind="choosers",
            methods=(Chooser.choose,),
            optional=(PolicyFamily.at,),
            declares=(READS, KNOBS),
        ),
        Port(
            kind="strategies",
            methods=(Strategy.solve,),
            optional=(FromSettings.from_settings,),
            declares=(NEEDS, DECIDES_BY, CHOOSES_BY, TAKEOVER_STEPS, CHOOSES, RETRACTS, ROUTES_TURNS),
        ),
        Port(
            kind="environments",
            methods=(Environment.respond,),
            optional=(FromSettings.from_settings,),
        ),
        Port(
            kind="graders",
            methods=(Grader.grade,),
            optional=(
                FromSettings.from_settings,
                AskingGrader.asking,
                BoundedGrader.most_usage,
                StepsGrader.grade_steps,
            ),
            declares=(COMPARES, READS_SOLUTION, ROLE),
        ),
        Port(kind="datasets", methods=(DataSet.__call__,), declares=(DEFAULT_COUNT,)),
    )
}
