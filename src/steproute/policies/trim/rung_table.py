"""A table of rungs: which rung of the ladder writes a step next, by the draft's rung and score."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from steproute.core.arrays import F64
from steproute.core.decision import Accept, Decision, Rewrite
from steproute.core.errors import ConfigError
from steproute.core.observation import Observation
from steproute.core.ports import Reading


@dataclass(frozen=True, slots=True)
class RungTable:
    """Thresholds of each rung, fitted together: a draft is kept, or a higher rung writes the step again.

    ladder: the rungs from the weak model to the strong one. edges: (bins − 1,), the thresholds between bins of scores,
    rising. actions: (rungs, rungs − 1, bins), the rung that writes next for the highest role that has written a step of
    the solution, the draft's rung and the bin of its score. The draft's own rung keeps the draft; the number of rungs
    more than a role's rung has it take over to the end. lost: if an accepted step scores below it the solution is given
    up, and all its further drafts are kept. width: drafts of the rung `resample`.

    Raises ConfigError for values that do not fit together.
    """

    ladder: tuple[str, ...]
    edges: F64
    actions: NDArray[np.intp]
    lost: float = 0.0
    width: int = 4
    reads: ClassVar[frozenset[Reading]] = frozenset({"scores", "authors"})
    scores_rewrites: ClassVar[bool] = True

    def __post_init__(self) -> None:
        rungs, bins = len(self.ladder), len(self.edges) + 1
        if rungs < 2 or len(set(self.ladder)) < rungs:
            raise ConfigError(f"{list(self.ladder)} is no ladder of two rungs or more.", where="ladder")
        if (np.diff(self.edges) <= 0).any():
            raise ConfigError(f"{self.edges.tolist()} do not rise.", where="edges")
        if self.actions.shape != (rungs, rungs - 1, bins):
            raise ConfigError(f"shape {self.actions.shape} is not {(rungs, rungs - 1, bins)}.", where="actions")
        if (self.actions < np.arange(rungs - 1)[:, None]).any() or (self.actions >= 2 * rungs).any():
            raise ConfigError("a rung goes down or beyond the ladder.", where="actions")

    @property
    def rewriters(self) -> tuple[str, ...]:
        """The rungs above the weak model."""
        return self.ladder[1:]

    def actions_at(self, phase: NDArray[np.intp], rung: int, scores: F64) -> NDArray[np.intp]:
        """The rung that writes next, (...,), for drafts of one rung; the rung itself keeps the draft."""
        found: NDArray[np.intp] = self.actions[phase, rung, np.searchsorted(self.edges, scores, side="right")]
        return found

    def decide(self, observation: Observation) -> Decision:
        """The table's action. Raises ConfigError for a draft of another ladder's rung."""
        if min(observation.scores[:-1], default=1.0) < self.lost:
            return Accept()
        rung = self._rung(observation.rung)
        phase = max(
            (self.ladder.index(each.role) for each in observation.prefix.written if each.role in self.ladder), default=0
        )
        action = int(self.actions_at(np.array(phase), rung, np.array(observation.score)))
        if action >= len(self.ladder):
            return Rewrite(self.ladder[action - len(self.ladder)], None)
        return Accept() if action == rung else Rewrite(self.ladder[action])

    def _rung(self, name: str) -> int:
        if name not in self.ladder[:-1]:
            raise ConfigError(
                f"a draft of {name!r} is to be decided about, and the table's rungs are {', '.join(self.ladder)}.",
                where="policy",
                remedy="Train the table for the rungs of this route.",
            )
        return self.ladder.index(name)


@dataclass(frozen=True, slots=True)
class RungFamily:
    """Tables from the cheapest to the most expensive; the knob is a rank, from 1."""

    tables: Sequence[RungTable]

    @property
    def knobs(self) -> tuple[float, ...]:
        """The ranks, cheapest first."""
        return tuple(float(rank) for rank in range(1, len(self.tables) + 1))

    def at(self, knob: float, seed: int) -> RungTable:
        """The table of one rank; raises ConfigError for one that is not there."""
        if knob not in self.knobs:
            raise ConfigError(
                f"{knob:g} is no rank of these tables.",
                where="knob",
                remedy=f"Give a whole number from 1, which spends least, to {len(self.tables)}, which spends most.",
            )
        return self.tables[int(knob) - 1]
