"""Whole answers, verified: weak solves, the answer is verified, and strong solves anew where the policy escalates."""

from collections import Counter
from dataclasses import dataclass

from steproute.core.boxed import closed_boxed
from steproute.core.decision import Decision
from steproute.core.ports import Needs, Policy
from steproute.core.solution import Draft, Prefix
from steproute.core.verdict import Verdict
from steproute.engine.episode import Episode
from steproute.grading.checker import shared_checker


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoMix:
    """AutoMix (arXiv 2310.12963): the policy sees one score, the verification of weak's answer.

    Verification is self-consistency: the share of `samples` further solutions by the weak model with the same answer,
    however it is spelled. AutoMix itself asks the weak model by a few-shot prompt, which a backend that only writes
    steps cannot answer.
    """

    policy: Policy
    samples: int = 8

    async def solve(self, episode: Episode) -> None:
        """Solve, verify, decide, and escalate at most once."""
        empty = episode.start()
        draft = await episode.propose("weak", empty, to_end=True)
        score = await self.verify(episode, empty, draft)
        if episode.decide(self.policy, draft, score) is not Decision.ACCEPT:
            draft = await episode.propose("strong", empty, replacing=draft, to_end=True)
        episode.accept(draft)

    async def verify(self, episode: Episode, empty: Prefix, draft: Draft) -> tuple[float, ...] | None:
        """P(correct) of the whole solution; 0 if it has no answer."""
        answers = Counter([_answer(await episode.propose("weak", empty, to_end=True)) for _ in range(self.samples)])
        answer = _answer(draft)
        if answer is None:
            return (0.0,)
        agreeing = [count for sample, count in answers.items() if await _agree(sample, answer)]
        return (sum(agreeing) / self.samples,)


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoMixPrm(AutoMix):
    """AutoMix with the process reward model as verifier: the lowest score of weak's steps (TRIM's strongest query-level
    baseline)."""

    @property
    def needs(self) -> Needs:
        """Both models and the process reward model."""
        return Needs(scorers=("prm",))

    async def verify(self, episode: Episode, empty: Prefix, draft: Draft) -> tuple[float, ...] | None:
        """The process reward model's lowest score; None where it failed."""
        scores = await episode.score(empty, draft)
        return None if scores is None else (min(scores),)


def _answer(draft: Draft) -> str | None:
    return closed_boxed(draft.text)


async def _agree(sample: str | None, answer: str) -> bool:
    """Whether the checker holds two answers for the same; most pairs need no formulas."""
    return sample == answer or await shared_checker().check(sample, answer) is Verdict.RIGHT
