"""Steps chosen among several candidates: as many as the last step's score says (PATS), or always the same number."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Final, Literal

from steproute.core.decision import Accept, Rewrite
from steproute.core.errors import ConfigError
from steproute.core.ports import REWRITERS, Needs, Policy
from steproute.core.solution import Draft, Prefix
from steproute.engine.episode import Episode
from steproute.policies.modes import ModePolicy, Modes
from steproute.strategies.stepwise import Stepwise

By = Literal["judge", "votes"]
_RUNG: Final = re.compile(r"(?P<role>.+)-(?P<width>[1-9]\d*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Widened:
    """PATS (arXiv 2505.19250): draw candidates, keep the best, and let its score choose the mode of the next draw.

    A mode is a role and a number of candidates, written `weak-4`. ladder: the modes from the simplest to the hardest;
    `weak-1/weak-3/strong-1` puts the strong model on top (our extension). by: the `judge`'s score picks the best and
    votes break ties, or the `votes` pick it and their share is its score, without a judge. first: the mode of the first
    step, from 0; the hardest if it is not given. good, low, bad, penalties: instead of those of the policy `modes`.

    Raises ConfigError for a ladder that is none, and for another policy.
    """

    policy: Policy
    ladder: str = "weak-2/weak-4/weak-8"
    by: By = "judge"
    judge: str = "prm"
    first: int | None = None
    good: float | None = None
    low: float | None = None
    bad: float | None = None
    penalties: int | None = None
    chooses: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 <= (self.first or 0) < len(self.modes):
            raise ConfigError(f"{self.first} is no mode of {self.ladder}.", where="first", remedy="Count from 0.")
        if not isinstance(self.policy, ModePolicy):
            raise ConfigError(
                f"the strategy pats needs a policy that chooses modes, not {type(self.policy).__name__}.",
                where="policy",
                remedy="Use modes or random-modes.",
            )
        given = {name: getattr(self, name) for name in ("good", "low", "bad", "penalties")}
        given = {name: value for name, value in given.items() if value is not None}
        if isinstance(self.policy, Modes):
            object.__setattr__(self, "policy", replace(self.policy, **given))
        elif given:
            raise ConfigError("only the policy modes has it.", where=next(iter(given)), remedy="Leave it out.")

    @property
    def modes(self) -> tuple[tuple[str, int], ...]:
        """The ladder's roles and numbers of candidates. Raises ConfigError."""
        rungs = [_RUNG.fullmatch(rung) for rung in self.ladder.split("/")]
        if not all(rungs):
            raise ConfigError(
                f"{self.ladder!r} is no ladder.", where="ladder", remedy="Write ROLE-NUMBER/…, such as weak-2/weak-8."
            )
        return tuple((rung["role"], int(rung["width"])) for rung in rungs if rung)

    @property
    def needs(self) -> Needs:
        """The models of the ladder, and the judge if it chooses."""
        roles = dict.fromkeys(role for role, _ in self.modes)
        return Needs(models=tuple(roles), scorers=(self.judge,) if self.by == "judge" else ())

    async def solve(self, episode: Episode) -> None:
        """Draw, score, accept the best or draw again, and switch the mode, until the solution ends."""
        assert isinstance(self.policy, ModePolicy)
        modes = self.modes
        hardest = len(modes) - 1
        prefix, mode, redraws = episode.start(), hardest if self.first is None else self.first, 0
        while not prefix.finished:
            role, width = modes[mode]
            best, scores = await best_of(episode, role, prefix, width, self.by, self.judge)
            decision = await episode.decide(_KEEP, best, scores)
            if isinstance(decision, Rewrite):  # the scorer failed, and the route declares that strong writes
                best = await episode.propose(decision.role, prefix, replacing=best)
            if scores:
                turn = self.policy.next(episode.observe(best, scores), mode, hardest, redraws)
                mode, redraws = turn.mode, turn.redraws
                if not turn.accept:
                    episode.note(f"step {len(prefix.steps) + 1} was drawn again, by {role}")
                    continue
            prefix = await episode.accept(best)


@dataclass(frozen=True, slots=True, kw_only=True)
class BestOfN(Stepwise):
    """The best of `width` weak candidates at each step; then TRIM's loop: the policy decides who writes it instead.

    At a threshold of 0 this is plain best-of-n per step. by: as for `pats`. Raises ConfigError for a width below 1.
    """

    width: int = 4
    by: By = "judge"
    chooses: ClassVar[bool] = True
    routes_turns: ClassVar[bool] = False

    def __post_init__(self) -> None:
        Stepwise.__post_init__(self)
        if self.width < 1:
            raise ConfigError(f"{self.width} is below 1.", where="width", remedy="Give 1 or more.")

    @property
    def needs(self) -> Needs:
        """Both models, the other roles that the policy names, and the judge if it chooses."""
        models = dict.fromkeys((*Needs().models, *REWRITERS.of(self.policy)))
        return Needs(models=tuple(models), scorers=(self.judge,) if self.by == "judge" else ())

    async def solve(self, episode: Episode) -> None:
        """Draw, choose, decide, then accept or rewrite, until the solution ends."""
        prefix = episode.start()
        while not prefix.finished:
            best, scores = await best_of(episode, "weak", prefix, self.width, self.by, self.judge)
            decision = await episode.decide(self.policy, best, scores)
            prefix = await self.carry_out(episode, prefix, best, decision)


async def best_of(
    episode: Episode, role: str, prefix: Prefix, width: int, by: By, judge: str, temperature: float | None = None
) -> tuple[Draft, tuple[float, ...] | None]:
    """The best of the role's candidates and its scores, None if the scorer failed for all of them.

    A text that the solution holds already is chosen only if there is no other. Votes break ties, then the order.
    temperature: instead of the role's own.
    """
    candidates = await episode.candidates(role, [prefix], width, temperature=temperature)
    candidates = [each for each in candidates if each.draft.text not in prefix.texts] or candidates
    if by == "votes":
        best = max(candidates, key=lambda each: each.votes)
        return best.draft, (best.votes / (best.draft.width or 1),)
    scores = await episode.score_candidates(candidates, judge)
    number = max(range(len(candidates)), key=lambda i: (_last(scores[i]), candidates[i].votes))
    return candidates[number].draft, scores[number]


def _last(scores: Sequence[float] | None) -> float:
    return scores[-1] if scores else -1.0


@dataclass(frozen=True, slots=True)
class _Keep:
    """Accepts the best candidate; the modes are chosen beside it."""

    def decide(self, observation: object) -> Accept:
        return Accept()


_KEEP: Final = _Keep()
