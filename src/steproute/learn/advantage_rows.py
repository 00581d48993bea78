"""What Arbitrage's predictor learns from: both models' next steps from one prefix, and which of them is better."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from steproute.core.concurrency import gather_or_cancel
from steproute.core.observation import Observation
from steproute.core.ports import Needs
from steproute.core.seeded import uniform
from steproute.core.solution import Outcome, Prefix
from steproute.core.trace import Trace
from steproute.engine.episode import Episode
from steproute.learn.rollouts import Grade

Label = Literal["rollouts", "prm", "checker"]
ROLLOUTS: Final = 8
STRONG_SAMPLES: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvantageRow:
    """One place of a walk.

    observation: what a policy would see of the weak model's draft. advantages: Δ by each label that is known, the mean
    over the strong model's samples. savable: whether the draft is the first error and the strong model's first sample
    is correct, None without a checker. held_out: kept from the fit.
    """

    problem_id: str
    observation: Observation
    advantages: Mapping[Label, float]
    savable: bool | None
    held_out: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PairWalk:
    """Both models write each step; half of the problems go on with the better one, half by the toss of a coin.

    The first are the prefixes of the oracle at τ = 0, as in the paper; the others also come from after errors. label:
    what says which step is better. Rows of held-out problems have every label. rows: what was found, by problem.
    rollouts: weak completions per branch. Source: Arbitrage (arXiv 2512.05033), data of the router; the coins and the
    label `rollouts` are ours.
    """

    label: Label
    grade: Grade
    oracle: Collection[str]
    held_out: Collection[str]
    checks: bool
    rollouts: int = ROLLOUTS
    seed: int = 0
    rows: dict[str, list[AdvantageRow]] = field(default_factory=dict)

    @property
    def needs(self) -> Needs:
        """Both models and the PRM."""
        return Needs(scorers=("prm", *(("checker",) if self.checks else ())))

    async def solve(self, episode: Episode) -> None:
        """Walk to the end of one solution; every place is a row."""
        prefix, rows = episode.start(), self.rows.setdefault(episode.problem.id, [])
        rows.clear()
        while not prefix.finished:
            weak = await episode.propose("weak", prefix)  # z_d
            ((strong, *others),) = await episode.propose_many("strong", [prefix], STRONG_SAMPLES)  # z_t
            scores = await episode.score(prefix, weak) or ()
            observation = episode.observe(weak, scores)
            drafted, *rewritten = [await episode.extend(prefix, draft) for draft in (weak, strong, *others)]
            row = await self._row(episode, observation, drafted, rewritten)
            rows.append(row)
            prefix = await episode.accept(strong if self._goes_strong(row) else weak)

    def _goes_strong(self, row: AdvantageRow) -> bool:
        if row.problem_id in self.oracle:
            return row.advantages[self.label] > 0
        return uniform(f"walk/{self.seed}/{row.problem_id}/{row.observation.step}") < 1 / 2

    async def _row(
        self, episode: Episode, observation: Observation, drafted: Prefix, rewritten: Sequence[Prefix]
    ) -> AdvantageRow:
        held_out = episode.problem.id in self.held_out
        judges: tuple[Label, ...] = ("prm", "checker") if self.checks else ("prm",)
        advantages: dict[Label, float] = {}
        for judge in judges:
            advantages[judge] = await self._by_scorer(episode, judge, drafted, rewritten)
        if held_out or self.label == "rollouts":
            advantages["rollouts"] = await self._by_rollouts(episode, drafted, rewritten)
        savable = await self._savable(episode, drafted, rewritten[0]) if self.checks else None
        return AdvantageRow(
            problem_id=episode.problem.id,
            observation=observation,
            advantages=advantages,
            savable=savable,
            held_out=held_out,
        )

    async def _by_scorer(self, episode: Episode, judge: str, drafted: Prefix, rewritten: Sequence[Prefix]) -> float:
        """Δ = s_t − s_d."""
        before, *after = await episode.score_many([drafted, *rewritten], judge)
        assert before is not None
        return _mean([scores[-1] for scores in after if scores is not None]) - before[-1]

    async def _savable(self, episode: Episode, drafted: Prefix, rewritten: Prefix) -> bool:
        before, after = await episode.score_many([drafted, rewritten], "checker")
        assert before is not None
        assert after is not None
        return after[-1] > before[-1]

    async def _by_rollouts(self, episode: Episode, drafted: Prefix, rewritten: Sequence[Prefix]) -> float:
        """Δ = g(x ∘ z_t) − g(x ∘ z_d); branches with the same text have one g."""
        branches = {branch.text: branch for branch in (drafted, *rewritten)}
        if len(branches) == 1:
            return 0.0
        shares = await gather_or_cancel(*(self._share(episode, branch) for branch in branches.values()))
        g = dict(zip(branches, shares, strict=True))
        return _mean([g[branch.text] for branch in rewritten]) - g[drafted.text]

    async def _share(self, episode: Episode, branch: Prefix) -> float:
        """g: the share of weak completions with the correct answer."""
        if branch.finished:
            return float(await self._is_correct(episode, branch))
        drafts = await gather_or_cancel(*(episode.propose("weak", branch, to_end=True) for _ in range(self.rollouts)))
        solutions = [await episode.extend(branch, draft) for draft in drafts]
        return _mean([await self._is_correct(episode, each) for each in solutions])

    async def _is_correct(self, episode: Episode, solution: Prefix) -> bool:
        trace = Trace(
            problem_id=episode.problem.id,
            route=episode.route,
            steps=solution.steps,
            answer=solution.answer,
            outcome=solution.outcome or Outcome.MAX_STEPS,
            account=(),
            latency_s=0.0,
            seed=episode.seed,
        )
        return await self.grade(episode.problem, trace)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
