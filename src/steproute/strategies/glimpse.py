"""GlimpRouter: the weak model writes one token, and its entropy decides who writes the step."""

from dataclasses import dataclass

from steproute.core.decision import Accept
from steproute.core.errors import ConfigError
from steproute.core.ports import Policy, reads
from steproute.engine.episode import Episode


@dataclass(frozen=True, slots=True, kw_only=True)
class Glimpse:
    """Who writes a step is decided by the weak model's first token of it, which is a call of its own and discarded.

    The policy `first-token-entropy` reads it. With `strategy = stepwise` the same policy lets the weak model finish the
    step first: the same solutions for more weak tokens. Source: GlimpRouter (arXiv 2601.05110), whose token counts
    leave the probe out. There the strong model always writes the final answer; here the policy decides about that step
    too. Raises ConfigError for a policy that reads scores.
    """

    policy: Policy

    def __post_init__(self) -> None:
        if reads(self.policy, "scores"):
            raise ConfigError(
                "the strategy glimpse decides before there is a step to score, but this policy reads scores.",
                where="policy",
                remedy="Use first-token-entropy, or the strategy stepwise.",
            )

    async def solve(self, episode: Episode) -> None:
        """Probe, decide, then have the weak or the strong model write the step, until the solution ends."""
        prefix = episode.start()
        while not prefix.finished:
            probe = await episode.propose("weak", prefix, stand_in="strong", max_tokens=1)
            decision = await episode.decide(self.policy, probe)
            role, stand_in = ("weak", "strong") if isinstance(decision, Accept) else (decision.role, None)
            prefix = await episode.accept(await episode.propose(role, prefix, stand_in=stand_in))
