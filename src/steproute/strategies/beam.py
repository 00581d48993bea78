"""A beam over steps, ranked by the judge's verdict and the writer's own probability (arXiv 2305.00633)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp, inf, log
from typing import ClassVar, Final, Literal

from steproute.core.decision import Rewrite
from steproute.core.errors import ConfigError
from steproute.core.ports import CAPABILITIES, REWRITERS, Needs, Policy
from steproute.core.seeded import uniform
from steproute.core.solution import Outcome, Prefix
from steproute.engine.candidates import Candidate
from steproute.engine.episode import Episode
from steproute.strategies.answers import winner

_GREEDY: Final = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class Beam:
    """Self-evaluation guided beam search: keep the `width` chains with the highest mean of E = C^(1−w) · P^w.

    C is the judge's score of a step and P the geometric mean of its tokens' probabilities, w is `weight`. A chain's
    score is the geometric mean over its steps. Without log-probabilities the judge alone ranks, and the trace says so;
    with weight = 1 no judge is asked.

    chain: `step` if the judge scores each step by itself, `prefix` if it scores all steps so far, so that
    C = min(1, r_t / r_{t−1}). temperature > 0 draws the kept chains instead, with weights E^(1/τ) at
    τ = temperature · decay^t. vote: the answer is the majority's among the last chains. policy: decides about the best
    weak candidate of a round, by its score or, unscored, its P; if it rejects that one, a stronger model adds a
    candidate to each chain (our extension).

    Raises ConfigError for numbers that cannot be.
    """

    policy: Policy
    width: int = 3
    samples: int = 2
    judge: str = "prm"
    weight: float = 0.5
    chain: Literal["step", "prefix"] = "step"
    temperature: float = 0.0
    decay: float = 0.5
    vote: bool = False
    chooses: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name, least in (("width", 1), ("samples", 1), ("temperature", 0)):
            if not getattr(self, name) >= least:
                raise ConfigError(f"{getattr(self, name)} is below {least}.", where=name, remedy="Give more.")
        for name in ("weight", "decay"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{getattr(self, name)} is outside [0, 1].", where=name)

    @property
    def needs(self) -> Needs:
        """The models that the policy names, the judge if it has a say, and comparable answers for a vote."""
        models = dict.fromkeys(("weak", *REWRITERS.of(self.policy)))
        return Needs(models=tuple(models), scorers=(self.judge,) if self.weight < 1 else (), answers=self.vote)

    async def solve(self, episode: Episode) -> None:
        """Draft from every chain, judge, prune, until all chains have ended; then keep the best one."""
        weight = self._weight(episode)
        chains = [Chain(episode.start())]
        try:
            while unfinished := [chain for chain in chains if not chain.prefix.finished]:
                n = self.samples
                if len(unfinished) * n <= self.width:  # few chains, as in the first round
                    n = max(n, 2 * self.width // len(unfinished))
                found = await self._judged(episode, "weak", unfinished, n, weight)  # s^t ~ P(. | x, s^1 … s^{t-1})
                best = max(found, key=lambda each: each.value)
                decision = self.policy.decide(
                    episode.observe(best.candidate.draft, best.scores or (best.probability,), best.parent.prefix)
                )
                if isinstance(decision, Rewrite):
                    found += await self._judged(episode, decision.role, unfinished, 1, weight)
                kept = self._pruned(episode, [chain for chain in chains if chain.prefix.finished], found)
                chains = [each if isinstance(each, Chain) else await each.extended(episode) for each in kept]
        except BaseException:
            episode.commit(max(chains, key=_rank).prefix)  # what there is if a limit ends the search
            raise
        episode.commit(await self._chosen(episode, chains))

    async def _chosen(self, episode: Episode, chains: Sequence["Chain"]) -> Prefix:
        """The best chain, or with `vote` that of the majority's answer."""
        ranked = [chain.prefix for chain in sorted(chains, key=_rank, reverse=True)]
        answered = [solution for solution in ranked if solution.answer is not None]
        if not (self.vote and answered):
            return ranked[0]
        return await winner(episode, answered, [1.0] * len(answered))

    async def _judged(
        self, episode: Episode, role: str, chains: Sequence["Chain"], n: int, weight: float
    ) -> list["Longer"]:
        """The role's distinct candidates with their E."""
        by_text = {chain.prefix.text: chain for chain in chains}
        candidates = await episode.candidates(role, [chain.prefix for chain in chains], n)
        scores: Sequence[tuple[float, ...] | None] = [()] * len(candidates)
        if weight < 1:
            scores = await episode.score_candidates(candidates, self.judge)
        return [
            self._longer(by_text[each.prefix.text], each, r or (), weight)
            for each, r in zip(candidates, scores, strict=True)
        ]

    def _longer(self, chain: "Chain", candidate: Candidate, scores: tuple[float, ...], weight: float) -> "Longer":
        """log E = (1 − w) log C + w log P; a step that was not scored, because the scorer failed, counts as certain."""
        c = scores[-1] if scores else 1.0
        if self.chain == "prefix" and len(scores) > 1:
            c = min(1.0, scores[-1] / scores[-2]) if scores[-2] > 0 else 1.0
        logprobs = candidate.draft.logprobs
        log_p = sum(logprobs) / len(logprobs) if logprobs else 0.0
        log_e = (1 - weight) * (log(c) if c > 0 else -inf if weight < 1 else 0.0) + weight * log_p
        return Longer(chain, candidate, scores, exp(log_p), chain.total + log_e, chain.steps + 1)

    def _pruned(
        self, episode: Episode, finished: Sequence["Chain"], found: Sequence["Longer"]
    ) -> "list[Chain | Longer]":
        """The best chains, or a draw without replacement with weights E^(1/τ): the highest log E / τ + Gumbel noise."""
        every: list[Chain | Longer] = [*finished, *found]
        round_number = max(each.steps for each in found) - 1
        tau = self.temperature * self.decay**round_number

        def key(each: "Chain | Longer") -> float:
            if tau < _GREEDY:
                return each.value
            draw = uniform(f"beam/{episode.seed}/{episode.problem.id}/{round_number}/{each.text}")
            return each.value / tau - log(-log(min(max(draw, 1e-300), 1 - 1e-16)))

        return sorted(every, key=key, reverse=True)[: self.width]

    def _weight(self, episode: Episode) -> float:
        """The weight of P: none if a writer gives no log-probabilities."""
        for role in self.needs.models:
            if self.weight and not CAPABILITIES.of(episode.roles.model(role).model).logprobs:
                if self.weight == 1:
                    raise ConfigError(f"the model {role!r} gives no log-probabilities.", where="weight")
                episode.note(f"the model {role} gives no log-probabilities, so the judge alone ranks the chains")
                return 0.0
        return self.weight


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain in the beam, the sum of its log E and the number of its steps."""

    prefix: Prefix
    total: float = 0.0
    steps: int = 0

    @property
    def value(self) -> float:
        """The logarithm of its score."""
        return self.total / self.steps if self.steps else 0.0

    @property
    def text(self) -> str:
        """The solution so far."""
        return self.prefix.text


@dataclass(frozen=True, slots=True)
class Longer:
    """A candidate that would make a chain longer, with the judge's scores and its P, before anything is kept."""

    parent: Chain
    candidate: Candidate
    scores: tuple[float, ...]
    probability: float
    total: float
    steps: int

    @property
    def value(self) -> float:
        """The logarithm of the longer chain's score."""
        return self.total / self.steps

    @property
    def text(self) -> str:
        """The longer chain's text."""
        return f"{self.parent.text}{self.parent.prefix.separator}{self.candidate.draft.text}"

    async def extended(self, episode: Episode) -> Chain:
        """The longer chain, with the environment's answer if there is one; its new step has its score."""
        prefix = await episode.extend(self.parent.prefix, self.candidate.draft)
        if self.scores:
            number = len(self.parent.prefix.steps)
            steps = list(prefix.steps)
            steps[number] = replace(steps[number], score=self.scores[-1])
            prefix = prefix.with_steps(tuple(steps), prefix.drafts)
        return Chain(prefix, self.total, self.steps)


def _rank(chain: Chain) -> tuple[bool, float]:
    """Solutions with an answer first."""
    return chain.prefix.outcome in (Outcome.ANSWERED, Outcome.COMPLETED), chain.value
