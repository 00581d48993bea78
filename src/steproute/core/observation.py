"""What a policy sees after a draft, and what a chooser sees before one."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from steproute.core.decision import Rewrite
from steproute.core.solution import Draft, Prefix, Step, Stop
from steproute.core.usage import Price


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """The moment after a weak draft was scored.

    prefix: the accepted steps; draft: the newest, undecided one; scores: r_1 … r_t in [0, 1], one for each accepted
    step and the draft's last, empty if the strategy asked for none; max_steps: the horizon; ladder: what can write the
    step, from the cheapest (weak) to the most expensive (strong): roles, and between them second chances.
    """

    prefix: Prefix
    draft: Draft
    scores: tuple[float, ...]
    max_steps: int
    ladder: tuple[str, ...] = ("weak", "strong")

    @property
    def step(self) -> int:
        """t, counted from 1."""
        return len(self.prefix.written) + 1

    @property
    def rung(self) -> str:
        """The rung of the ladder on which the draft was written."""
        return self.draft.rung or self.draft.role

    @property
    def score(self) -> float:
        """r_t, the newest step's score."""
        return self.scores[-1]

    @property
    def ends(self) -> bool:
        """Whether the solution ends with the draft."""
        step = Step(role=self.draft.role, text=self.draft.text, tokens=0)
        return self.draft.stop is Stop.END or self.prefix.extended(step).answer is not None

    @property
    def replaced(self) -> int:
        """How many earlier weak drafts were rewritten."""
        return sum(isinstance(step.decision, Rewrite) for step in self.prefix.steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The moment before a step is written.

    prefix: the accepted steps; scores: of them, r_1 … r_{t-1} in [0, 1], empty if the strategy asked for none; ladder:
    the roles that can write, from the cheapest to the most expensive; prices: of each role; max_steps: the horizon.
    affordable: the roles of the ladder whose next call every limit can pay; left_usd, limit_usd: what is left of the
    limit in dollars and the whole of it, None without one; calls_left: of the roles whose calls are limited.
    """

    prefix: Prefix
    scores: tuple[float, ...]
    ladder: tuple[str, ...]
    prices: Mapping[str, Price]
    max_steps: int
    affordable: tuple[str, ...]
    left_usd: Decimal | None = None
    limit_usd: Decimal | None = None
    calls_left: Mapping[str, int]

    @property
    def step(self) -> int:
        """t, the number of the step that is to be written, counted from 1."""
        return len(self.prefix.written) + 1

    @property
    def steps_left(self) -> int:
        """How many steps may still be written, this one included."""
        return self.max_steps - self.step + 1

    @property
    def budget_left(self) -> float:
        """The share of the limit in dollars that is left; 1 without one."""
        if self.left_usd is None or self.limit_usd is None:
            return 1.0
        return float(self.left_usd / self.limit_usd)

    def within_budget(self, role: str) -> str:
        """The role, or if its call cannot be paid the next cheaper one that can, else the cheapest that can.

        Source: BAAR (arXiv 2602.21227), budget-constrained decoding, for any number of roles.
        """
        if role in self.affordable:
            return role
        cheaper = self.ladder[: self.ladder.index(role)] if role in self.ladder else ()
        return next((each for each in reversed(cheaper) if each in self.affordable), self.affordable[0])
