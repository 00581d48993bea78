"""Verified answers: the weak model solves, its answer is verified, and the strong model solves again if the policy
escalates."""

from collections import Counter
from dataclasses import dataclass

from steproute.core.decision import Accept
from steproute.core.errors import ConfigError
from steproute.core.ports import Needs, Policy
from steproute.core.solution import Draft, Prefix
from steproute.engine.episode import Episode
from steproute.strategies.agreement import agree


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoMix:
    """AutoMix (arXiv 2310.12963): the policy reads one score, the verification of the weak model's answer.

    Verification is self-consistency: the share of `samples` further solutions by the weak model, in one call if it can,
    with an equal answer. The run's grader compares the answers if that costs nothing, else the grader of mathematics.
    The paper instead asks the weak model with a few-shot prompt, which a backend that only writes steps cannot answer.
    Raises ConfigError for less than one sample.
    """

    policy: Policy
    samples: int = 8

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise ConfigError(f"{self.samples} is below 1.", where="samples", remedy="Give 1 or more.")

    @property
    def needs(self) -> Needs:
        """Both models, and problems with answers that can be compared."""
        return Needs(answers=True)

    async def solve(self, episode: Episode) -> None:
        """Solve, verify, decide, and escalate at most once."""
        empty = episode.start()
        draft = await episode.propose("weak", empty, to_end=True)
        score = await self.verify(episode, empty, draft)
        if await episode.decide(self.policy, draft, score) != Accept():
            draft = await episode.propose("strong", empty, replacing=draft, to_end=True)
        await episode.accept(draft)

    async def verify(self, episode: Episode, empty: Prefix, draft: Draft) -> tuple[float, ...] | None:
        """P(correct) of the whole solution; 0 if it has no answer."""
        find = episode.problem.rule.find
        (samples,) = await episode.propose_many("weak", [empty], self.samples, to_end=True)
        answers, answer = Counter(find(sample.text) for sample in samples), find(draft.text)
        if answer is None:
            return (0.0,)
        agreeing = [count for sample, count in answers.items() if await agree(episode, answer, sample)]
        return (sum(agreeing) / len(samples),)


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoMixPrm(AutoMix):
    """AutoMix with the PRM as verifier, by the lowest score of the weak model's steps: TRIM's strongest query-level
    baseline."""

    @property
    def needs(self) -> Needs:
        """Both models and the PRM."""
        return Needs(scorers=("prm",))

    async def verify(self, episode: Episode, empty: Prefix, draft: Draft) -> tuple[float, ...] | None:
        """The PRM's lowest score; None if it failed."""
        scores = await episode.score(empty, draft)
        return None if scores is None else (min(scores),)
