"""One threshold of STEER, chosen on standard stories for a share of the tokens, on hard ones; beside a raw confidence.

    python benchmarks/steer_transfer.py --problems 500

The threshold is bisected until it spends the intended share on standard validation stories. The mixture is fitted again
to hard stories, without labels, or left as it was. A row gives what the threshold then spends on hard test stories, and
how much of the gap it recovers beyond a mixture of the two models at that spending (`gain`). `moved` is how far the
spending is from that on standard stories.
"""

import argparse
import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from steproute.config import lab_roles
from steproute.core.arrays import F64
from steproute.core.logistic import logistic
from steproute.core.ports import Policy, Strategy
from steproute.core.problem import Problem
from steproute.core.trace import Trace
from steproute.engine.episode import Episode
from steproute.engine.roles import Roles
from steproute.engine.step_tree import StepTree
from steproute.evaluation.datasets import load_problems
from steproute.evaluation.differences import Difference, difference
from steproute.evaluation.resampling import draws
from steproute.learn.rollouts import solve_all
from steproute.learn.steer_fit import fit_mixture
from steproute.policies.baselines.confidence import Confidence
from steproute.policies.steer import ConfidenceMixture, Steer
from steproute.strategies.next_step import NextStep
from steproute.strategies.single import Single
from steproute.strategies.stepwise import Stepwise

SHARES: Final = (0.2, 0.4)
_LOGITS: Final = (-6.0, 12.0)
_HALVINGS: Final = 9
STRATEGIES: Final[dict[str, Callable[..., Strategy[Episode]]]] = {"next-step": NextStep, "stepwise": Stepwise}
RESAMPLES: Final = 5_000


@dataclass(frozen=True)
class Solved:
    """Of each problem, (problem,): whether the answer is correct, and the strong tokens."""

    correct: F64
    strong: F64

    @classmethod
    def of(cls, problems: list[Problem], traces: list[Trace]) -> "Solved":
        """From the traces of one route."""
        correct = [trace.answer == problem.answer for problem, trace in zip(problems, traces, strict=True)]
        return cls(np.array(correct, float), np.array([trace.generated_tokens("strong") for trace in traces], float))


@dataclass(frozen=True)
class Stories:
    """Problems of one difficulty, the roles over a step tree, and both models alone."""

    problems: list[Problem]
    roles: Roles
    seed: int

    def solved(self, strategy: Strategy[Episode]) -> Solved:
        """By one route."""
        traces = asyncio.run(solve_all(self.problems, self.roles, strategy, self.seed))
        return Solved.of(self.problems, traces)

    def mixture(self) -> ConfidenceMixture:
        """Fitted to the steps that weak writes alone."""
        alone = Stepwise(policy=Confidence(0.0))
        traces = asyncio.run(solve_all(self.problems, self.roles, alone, self.seed))
        steps = (step for trace in traces for step in trace.steps)
        return fit_mixture([step.confidence.mean_logprob for step in steps if step.confidence], self.seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/steer-transfer"))
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    with StepTree(asked.out / "tree.jsonl.zst", 2**32) as tree:
        roles = tree.roles(lab_roles())

        def stories(data: str, count: int) -> Stories:
            return Stories(load_problems(data, count, asked.seed), roles, asked.seed)

        for line in rows(
            standard=stories("lab:validation", 300),
            unlabelled=[stories(f"lab:train{suffix}", 200) for suffix in ("", "/hard")],
            hard=stories("lab:test/hard", asked.problems),
        ):
            print(line, flush=True)


def rows(standard: Stories, unlabelled: list[Stories], hard: Stories) -> Iterator[str]:
    """Markdown."""
    at_home, at_hard = (each.mixture() for each in unlabelled)
    ends = [(each.solved(Single("weak")), each.solved(Single("strong"))) for each in (standard, hard)]
    yield (
        "| strategy | intended | policy | threshold | spent on standard | spent on hard | gain on hard |\n"
        + "|---" * 7
        + "|"
    )
    for name, strategy in STRATEGIES.items():

        def spends(policy: Policy, strategy: Callable[..., Strategy[Episode]] = strategy) -> float:
            return float(standard.solved(strategy(policy=policy)).strong.sum() / ends[0][1].strong.sum())

        for share in SHARES:
            first, spent = _bisected(lambda knob: spends(Confidence(knob)), share)
            second, mixed = _bisected(lambda knob: spends(Steer(at_home, knob)), share)
            arms: dict[str, tuple[Policy, float, float]] = {
                "raw threshold": (Confidence(first), first, spent),
                "mixture as it was": (Steer(at_home, second), second, mixed),
                "mixture fitted again": (Steer(at_hard, second), second, mixed),
            }
            solved = {arm: hard.solved(strategy(policy=policy)) for arm, (policy, _, _) in arms.items()}
            samples = {arm: _samples(of, *ends[1], arms[arm][2]) for arm, of in solved.items()}
            for arm, (_, knob, at) in arms.items():
                spending, gain = samples[arm]
                cells = (
                    name,
                    f"{share:.0%}",
                    arm,
                    f"{knob:g}",
                    f"{at:.1%}",
                    f"{spending[0] + at:.1%}",
                    f"{gain[0]:+.3f}",
                )
                yield f"| {' | '.join(cells)} |"
            for arm in list(arms)[1:]:
                away = difference(abs(samples[arm][0]), abs(samples["raw threshold"][0]))
                more = difference(samples[arm][1], samples["raw threshold"][1])
                yield f"{arm} − raw threshold: moved {_shown(away)}; gain {_shown(more)}"


def _shown(gap: Difference) -> str:
    return f"{gap.value:+.3f} [{gap.interval.low:+.3f}, {gap.interval.high:+.3f}], p = {gap.p:.4f}"


def _bisected(spends: Callable[[float], float], share: float) -> tuple[float, float]:
    """The knob whose spending on standard stories is nearest to the intended one, and that spending."""
    (low, high), tried = _LOGITS, list[tuple[float, float]]()
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        knob = logistic(middle)
        tried.append((knob, spends(knob)))
        low, high = (middle, high) if tried[-1][1] < share else (low, middle)
    return min(tried, key=lambda each: abs(each[1] - share))


def _samples(of: Solved, weak: Solved, strong: Solved, before: float) -> tuple[F64, F64]:
    """The value, then those of the resamples: spending minus that on standard stories, and the gain."""
    size = len(of.correct)
    counts = np.concatenate([np.ones((1, size)), *draws(size, RESAMPLES, np.random.default_rng(0))])
    spent = (counts @ of.strong) / (counts @ strong.strong)
    low, high, at = (counts @ each.correct for each in (weak, strong, of))
    return spent - before, (at - low) / (high - low) - spent


if __name__ == "__main__":
    main()
