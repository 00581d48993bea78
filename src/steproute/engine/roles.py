"""Who plays which role in a run."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from steproute.core.errors import ConfigError
from steproute.core.ports import READS_CONFIDENCE, CombiningScorer, Environment, Grader, Repair, StepModel, StepScorer
from steproute.core.solution import Sampling
from steproute.core.usage import FREE, Price
from steproute.engine.limiter import Limiter
from steproute.grading.mathematics import MathGrader


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRole:
    """A model in a role, with its price, its sampling and the limiter of its backend, if it has one.

    backend: its name in a steproute.toml, for those who watch it. repair: what corrects each step that it writes, if
    anything.
    """

    model: StepModel
    price: Price = FREE
    sampling: Sampling = Sampling()
    limiter: Limiter | None = None
    backend: str = ""
    repair: Repair | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScorerRole:
    """A scorer with its price and the limiter of its backend, if it has one.

    members: of an ensemble, by role. Each is called and billed by itself, and the scorer combines their scores.
    backend: its name in a steproute.toml, for those who watch it. Raises ConfigError for members of a scorer that does
    not combine scores.
    """

    scorer: StepScorer
    price: Price = FREE
    limiter: Limiter | None = None
    members: "Mapping[str, ScorerRole]" = field(default_factory=dict)
    backend: str = ""

    def __post_init__(self) -> None:
        if self.members and not isinstance(self.scorer, CombiningScorer):
            raise ConfigError(
                f"{self.scorer.name} does not combine scorers.", where="members", remedy="Use an ensemble."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class GraderRole:
    """The grader of a run and its name; one that calls a model has that model's name, role, price and limiter."""

    grader: Grader = MathGrader()
    name: str = "math"
    role: str = ""
    model: str = ""
    price: Price = FREE
    limiter: Limiter | None = None

    @property
    def is_paid(self) -> bool:
        """Whether it calls a model."""
        return self.role != ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """The models by role (`weak`, `strong`, …), the scorers by role (`prm`, …), and the grader.

    ladder: the roles among which a policy chooses who writes a step, from the cheapest to the most expensive. The first
    is `weak`, which drafts every step, and the last `strong`. environment: what answers each accepted step,
    if anything.
    """

    models: Mapping[str, ModelRole]
    scorers: Mapping[str, ScorerRole] = field(default_factory=dict)
    grading: GraderRole = GraderRole()
    ladder: tuple[str, ...] = ("weak", "strong")
    environment: Environment | None = None

    def model(self, role: str) -> ModelRole:
        """The model of `role`; raises ConfigError that lists the roles."""
        if role not in self.models:
            raise ConfigError(
                f"{role!r} has no model. Roles of this run: {', '.join(sorted(self.models))}.", where="role"
            )
        return self.models[role]

    def scorer(self, role: str = "prm") -> ScorerRole:
        """The scorer of `role`; raises ConfigError if there is none."""
        if role not in self.scorers:
            names = ", ".join(sorted(self.scorers)) or "none"
            raise ConfigError(f"this strategy scores steps, but the run has no such scorer, only {names}.", where=role)
        return self.scorers[role]


def reads_confidence(role: ScorerRole) -> bool:
    """Whether the scorer or a member of it reads the log-probabilities of the calls that wrote the steps."""
    return READS_CONFIDENCE.of(role.scorer) or any(map(reads_confidence, role.members.values()))
