"""A solution under way: sampling settings, drafts, accepted steps and the prefix that they make."""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import isfinite
from typing import Final

from steproute.core.decision import Decision
from steproute.core.errors import ConfigError
from steproute.core.problem import Problem
from steproute.core.usage import NOTHING_USED, Usage

DEFAULT_SEPARATOR: Final = "\n\n"
ENVIRONMENT: Final = "environment"
"""The role of steps that an environment answers with."""


class Stop(StrEnum):
    """Why a draft ended."""

    SEPARATOR = "separator"
    END = "end"
    LENGTH = "length"
    CONTEXT = "context"


class Outcome(StrEnum):
    """Why a solution ended; COMPLETED if the model ended it and its answer rule extracts no answer."""

    ANSWERED = "answered"
    COMPLETED = "completed"
    ENDED_WITHOUT_ANSWER = "ended_without_answer"
    MAX_STEPS = "max_steps"
    STEP_TOO_LONG = "step_too_long"
    DEGENERATE = "degenerate"
    CONTEXT_OVERFLOW = "context_overflow"
    TOKEN_BUDGET = "token_budget"
    MONEY_BUDGET = "money_budget"
    CALL_BUDGET = "call_budget"
    DEADLINE = "deadline"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How a model draws tokens (TRIM's reference values).

    `stop` ends a draft; None lets it run to the end of the solution. top_k: 0 for all tokens. Raises ConfigError for
    numbers that cannot be.
    """

    temperature: float = 0.7
    top_p: float = 0.8
    top_k: int = 20
    max_tokens: int = 2048
    stop: str | None = DEFAULT_SEPARATOR
    seed: int = 0

    def __post_init__(self) -> None:
        if not (isfinite(self.temperature) and self.temperature >= 0):
            raise ConfigError(
                f"{self.temperature} is no temperature.", where="temperature", remedy="Give 0 for greedy, or more."
            )
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"{self.top_p} is outside (0, 1].", where="top_p", remedy="Give 1 for all tokens.")
        if self.top_k < 0:
            raise ConfigError(f"{self.top_k} is below 0.", where="top_k", remedy="Give 0 for all tokens.")
        if self.max_tokens < 1:
            raise ConfigError(
                f"{self.max_tokens} is below 1.", where="max_tokens", remedy="Give how many tokens a draft may take."
            )


@dataclass(slots=True)
class Meter:
    """What a call has used so far; the episode bills it if the call never returns (cancelled, timed out, failed).

    Whoever makes several model calls gives each a `part`, and each is a line of its own. speculative: the result may
    not be needed, so the call never waits for a limiter's slot. wait_s: how long it waited for one.
    """

    usage: Usage = NOTHING_USED
    parts: "list[Meter]" = field(default_factory=list)
    speculative: bool = False
    wait_s: float = 0.0

    def part(self) -> "Meter":
        """The meter of one of several calls."""
        self.parts.append(Meter(speculative=self.speculative))
        return self.parts[-1]

    def clear(self) -> None:
        """The call came to nothing that costs."""
        self.usage = NOTHING_USED

    @property
    def calls(self) -> list[Usage]:
        """The usage of each model call that has used anything."""
        whole = [] if self.usage == NOTHING_USED else [self.usage]
        return whole + [usage for part in self.parts for usage in part.calls]

    @property
    def total(self) -> Usage:
        """All calls' usage."""
        return sum(self.calls, NOTHING_USED)

    @property
    def total_wait_s(self) -> float:
        """How long all calls waited for their turns."""
        return self.wait_s + sum(part.total_wait_s for part in self.parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What the writer of the next step sees beside the solution so far, and what is no part of it.

    example: a solved step of another problem, with what it solved. plans: what others would write next, each of which
    may be wrong. subtasks: what the solution does, a step for each, and assigned: the first and the last of them that
    are now to be carried out, counted from 1.
    """

    example: str = ""
    plans: tuple[str, ...] = ()
    subtasks: tuple[str, ...] = ()
    assigned: tuple[int, int] = (1, 1)

    def __bool__(self) -> bool:
        return bool(self.texts)

    @property
    def texts(self) -> tuple[str, ...]:
        """All that the writer reads of it."""
        return ((self.example,) if self.example else ()) + self.plans + self.subtasks


NO_ADVICE: Final = Advice()


@dataclass(frozen=True, slots=True, kw_only=True)
class Confidence:
    """How sure a model was of a step's tokens: their mean and least log-probability, and the entropy at the first one,
    in nats, None if the backend gave no alternatives. To four decimals, so that traces stay small."""

    mean_logprob: float
    min_logprob: float
    first_token_entropy: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCall:
    """One of several model calls that one draft or one answer of a scorer took."""

    usage: Usage
    latency_s: float = 0.0
    request_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a model wrote from a prefix: one step, or several if it was asked to write to the end.

    `text` holds no closing separator. `step_tokens` are the output tokens of each of its steps, if the backend knows
    them; they add up to `usage.output_tokens`. `logprobs` are the log-probabilities of the output tokens and
    `first_token_entropy` is that of the first one's distribution, in nats and at temperature 1, if the backend gives
    them. `sent_back` are calls for it whose replies could not be used, not a part of `usage`. `repaired_from` is what
    the model wrote, if a repair corrected it to `text`. If the episode has merged it with equal ones, it is one of
    `width` candidates, of which `votes` had this text. `rung` is the rung on which it was written, if that is no
    role: a second chance of its role.
    """

    id: int = 0
    role: str = ""
    model: str
    text: str
    stop: Stop
    usage: Usage
    step_tokens: tuple[int, ...] | None = None
    logprobs: tuple[float, ...] | None = None
    first_token_entropy: float | None = None
    latency_s: float = 0.0
    request_id: str = ""
    sent_back: tuple[ModelCall, ...] = ()
    width: int | None = None
    votes: int | None = None
    repaired_from: str | None = None
    rung: str = ""

    @property
    def degenerate(self) -> bool:
        """Whether the text holds no letter and no digit, only punctuation and white space (TRIM, degenerate steps)."""
        return not any(character.isalnum() for character in self.text)

    @property
    def confidence(self) -> Confidence | None:
        """The model's confidence in the text as one step; None if the backend gave no log-probabilities."""
        if not self.logprobs:
            return None
        entropy = self.first_token_entropy
        return Confidence(
            mean_logprob=round(sum(self.logprobs) / len(self.logprobs), 4),
            min_logprob=round(min(self.logprobs), 4),
            first_token_entropy=None if entropy is None else round(entropy, 4),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """One score in [0, 1] for each step of a prefix, and what scoring used.

    `calls` are the model calls that it took, if it was not one; `usage` is their sum.
    """

    values: tuple[float, ...]
    model: str
    usage: Usage
    latency_s: float = 0.0
    request_id: str = ""
    calls: tuple[ModelCall, ...] = ()

    @property
    def billed(self) -> tuple[ModelCall, ...]:
        """Its model calls, each a line on the account; none if nothing was used."""
        if self.calls or self.usage == NOTHING_USED:
            return self.calls
        return (ModelCall(usage=self.usage, latency_s=self.latency_s, request_id=self.request_id),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a prefix: its author, its score if it was scored, and the decision about it when it was the newest.

    `rejected` is the weak text that this step replaced and `rejected_score` that text's score. `confidence` is its
    author's, if the step was a draft of its own and the backend gave log-probabilities. A step of the role
    `environment` answers the one before it: no model wrote it, so it has no tokens and no score. reward: what the
    environment gave for this step, if anything. repaired_from: what its author wrote, if a repair corrected it. width,
    votes: how many candidates there were for this step and how many of them had this text, if it was chosen among
    several.
    """

    role: str
    text: str
    tokens: int
    score: float | None = None
    decision: Decision | None = None
    rejected: str | None = None
    rejected_score: float | None = None
    confidence: Confidence | None = None
    reward: float | None = None
    width: int | None = None
    votes: int | None = None
    repaired_from: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefix:
    """The problem and the steps so far. `session` names the episode, so that backends can keep their caches by it.

    drafts: the ids of the drafts that the steps came from, for a prefix that an episode made. advice: for the writer of
    the next step alone; a longer prefix has none.
    """

    problem: Problem
    steps: tuple[Step, ...] = ()
    drafts: tuple[int, ...] = ()
    separator: str = DEFAULT_SEPARATOR
    session: str = ""
    outcome: Outcome | None = None
    advice: Advice = NO_ADVICE

    @property
    def finished(self) -> bool:
        """Whether the solution has ended."""
        return self.outcome is not None

    @property
    def text(self) -> str:
        """The solution so far."""
        return self.separator.join([step.text for step in self.steps])

    @property
    def answer(self) -> str | None:
        """The final answer that the solution so far gives, by the problem's answer rule."""
        return self.problem.rule.find(self.text)

    @property
    def texts(self) -> tuple[str, ...]:
        """The text of each step."""
        return tuple([step.text for step in self.steps])

    @property
    def written(self) -> tuple[Step, ...]:
        """The steps that models wrote, without an environment's answers."""
        return tuple([step for step in self.steps if step.role != ENVIRONMENT])

    @property
    def for_scorers(self) -> "Prefix":
        """The prefix with each answer of an environment joined to the step that it answers: one step for each score."""
        if len(self.written) == len(self.steps):
            return self
        steps: list[Step] = []
        for step in self.steps:
            if step.role == ENVIRONMENT:
                steps[-1] = replace(steps[-1], text=steps[-1].text + self.separator + step.text)
            else:
                steps.append(step)
        return replace(self, steps=tuple(steps))

    def extended(self, *steps: Step) -> "Prefix":
        """This prefix with more steps."""
        return self.with_steps((*self.steps, *steps), self.drafts)

    def advised(self, advice: Advice) -> "Prefix":
        """This prefix for a writer who gets this advice."""
        return replace(self, advice=advice)

    def with_steps(self, steps: tuple[Step, ...], drafts: tuple[int, ...]) -> "Prefix":
        """The prefix of the same problem and session with these steps, which came from these drafts."""
        return Prefix(  # each step of a solution makes several, and `replace` takes twice as long
            problem=self.problem,
            steps=steps,
            drafts=drafts,
            separator=self.separator,
            session=self.session,
            outcome=self.outcome,
        )
