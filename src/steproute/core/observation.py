"""What a policy sees."""

from dataclasses import dataclass

from steproute.core.decision import Rewrite
from steproute.core.solution import Draft, Prefix, Step, Stop


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
