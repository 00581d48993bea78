"""Arbitrage's oracle: both models write every step and a judge compares them, for the frontier of cost and quality."""

from dataclasses import dataclass, replace

from steproute.core.decision import Accept, Decision
from steproute.core.observation import Observation
from steproute.core.ports import Needs, Policy
from steproute.engine.episode import Episode


@dataclass(frozen=True, slots=True, kw_only=True)
class ArbitrageOracle:
    """Keep the strong model's step iff Δ = s_t − s_d is large enough; both steps are billed, so it saves nothing.

    policy: decides by the score (1 − Δ) / 2, so `threshold` at θ keeps it iff Δ > 1 − 2θ: at 0.5 wherever it is better.
    judge: the scorer that compares; on the lab also `checker`. Source: Arbitrage (arXiv 2512.05033), the oracle a*_τ.
    """

    policy: Policy
    judge: str = "prm"

    @property
    def needs(self) -> Needs:
        """Both models and the judge."""
        return Needs(scorers=(self.judge,))

    async def solve(self, episode: Episode) -> None:
        """Both write, the judge scores both, and one of them is kept."""
        prefix = episode.start()
        while not prefix.finished:
            weak = await episode.propose("weak", prefix)  # z_d ~ M_d(. | x)
            strong = await episode.propose("strong", prefix)  # z_t ~ M_t(. | x)
            other = await episode.score(prefix, strong, self.judge)  # s_t
            scores = await episode.score(prefix, weak, self.judge)  # s_d
            policy = _ByAdvantage(self.policy, other[-1] if other else 0.0)
            decision = await episode.decide(policy, weak, scores and other and scores)
            prefix = await episode.accept(weak if decision == Accept() else strong)


@dataclass(frozen=True, slots=True)
class _ByAdvantage:
    """Shows a policy (1 − Δ) / 2 where it would see s_d."""

    policy: Policy
    other: float

    def decide(self, observation: Observation) -> Decision:
        """The policy's decision."""
        doubt = (1 - (self.other - observation.score)) / 2
        return self.policy.decide(replace(observation, scores=(*observation.scores[:-1], doubt)))
