"""STEER's loop: how sure weak was of its newest step decides who writes the next one."""

from dataclasses import dataclass

from steproute.core.decision import Accept
from steproute.core.errors import ConfigError
from steproute.core.ports import Policy, reads
from steproute.engine.episode import Episode


@dataclass(frozen=True, slots=True, kw_only=True)
class NextStep:
    """Every step is kept; the policy reads each weak step and says who writes the step after it.

    Source: STEER (arXiv 2511.06190), with the policies `steer` or `confidence`. After a strong step, of which weak has
    no confidence, weak writes: our choice. No step is rewritten, so no token is discarded. Raises ConfigError for a
    policy that reads scores.
    """

    policy: Policy

    def __post_init__(self) -> None:
        if reads(self.policy, "scores"):
            raise ConfigError(
                "the strategy next-step scores nothing, but this policy reads scores.",
                where="policy",
                remedy="Use confidence or a trained steer, or the strategy stepwise.",
            )

    async def solve(self, episode: Episode) -> None:
        """Write a step, keep it, and decide who is next, until the solution ends."""
        prefix, role = episode.start(), "weak"
        while not prefix.finished:
            draft = await episode.propose(role, prefix, stand_in="strong" if role == "weak" else None)
            decision = self.policy.decide(episode.observe(draft, ())) if draft.role == "weak" else Accept()
            prefix = await episode.accept(draft)
            role = "weak" if isinstance(decision, Accept) else decision.role
