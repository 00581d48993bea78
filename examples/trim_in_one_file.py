"""TRIM-Thr in one file: the loop and its accounting, without steproute's engine.

    python examples/trim_in_one_file.py --threshold 0.5 --sample 3

It solves one problem of the bundled lab with the lab's weak model, strong model and PRM. The strategy `stepwise` with
the policy `threshold` returns the same solutions; a test compares them. What the engine adds: budgets, retries,
dollars, cancellation, resumed runs and many problems at once.

Source: TRIM (arXiv 2601.10245), TRIM-Thr.
"""

import argparse
import asyncio
import hashlib
from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import islice

from steproute import Draft, Prefix, Problem, Step, Stop
from steproute.lab.models import LAB_SAMPLING, LabModel, LabPrm
from steproute.lab.story import generate

WEAK, STRONG, PRM = LabModel("lab-weak"), LabModel("lab-strong"), LabPrm()


@dataclass(slots=True)
class Solution:
    """The steps of a finished solution, its answer, and the tokens that it took."""

    steps: list[tuple[str, float, str]] = field(default_factory=list)  # author, score of the weak draft, text
    answer: str | None = None
    generated: Counter[str] = field(default_factory=Counter)  # output tokens by role, discarded ones included
    discarded: int = 0  # weak tokens that no solution kept
    scored: int = 0  # tokens that the PRM read, cached ones included


async def solve(problem: Problem, threshold: float, *, seed: int = 0, max_steps: int = 30) -> Solution:
    """Solve one problem; the strong model rewrites every step that scores below `threshold`."""
    solution = Solution()
    prefix = Prefix(problem=problem, session=f"one-file/{seed}/{problem.id}/{threshold}")
    for _ in range(max_steps):
        role = "weak"
        draft = await write(WEAK, role, prefix, seed)  # y_t ~ M_w(. | y_1 … y_{t-1})
        solution.generated[role] += draft.usage.output_tokens
        scores = await PRM.score(prefix.extended(as_step(draft, role)))  # r_1 … r_t
        solution.scored += scores.usage.read_tokens
        score = scores.values[-1]
        if score < threshold:  # regenerate
            solution.discarded += draft.usage.output_tokens
            role = "strong"
            draft = await write(STRONG, role, prefix, seed)  # y_t ~ M_s(. | y_1 … y_{t-1})
            solution.generated[role] += draft.usage.output_tokens
        prefix = prefix.extended(as_step(draft, role))
        solution.steps.append((role, score, draft.text))
        if prefix.answer is not None or draft.stop is Stop.END:
            break
    solution.answer = prefix.answer
    return solution


async def write(model: LabModel, role: str, prefix: Prefix, seed: int) -> Draft:
    """One step. Its seed depends on problem, role and place, so that a comparison of thresholds is paired."""
    place = (seed, prefix.problem.id, role, len(prefix.steps), 1)  # 1: the first attempt
    call_seed = int.from_bytes(hashlib.blake2b(repr(place).encode(), digest_size=8).digest())
    (draft,) = await model.propose(prefix, 1, replace(LAB_SAMPLING, seed=call_seed))
    return draft


def as_step(draft: Draft, role: str) -> Step:
    """A draft as a step of the prefix."""
    return Step(role=role, text=draft.text, tokens=draft.usage.output_tokens)


def main() -> None:
    """Solve one problem and print who wrote each step."""
    parser = argparse.ArgumentParser(description="TRIM-Thr in one file, on the lab.")
    parser.add_argument("--threshold", type=float, default=0.5, help="rewrite steps that score lower (default: 0.5)")
    parser.add_argument("--sample", type=int, default=3, help="which test problem of the lab (default: 3)")
    options = parser.parse_args()
    (problem,) = islice(generate("test", 0, "standard"), options.sample, options.sample + 1)
    solution = asyncio.run(solve(problem, options.threshold))
    print(problem.text, end="\n\n")
    for role, score, text in solution.steps:
        print(f"{role:6} {score:.2f}  {text}")
    tokens = (
        f"{solution.generated['weak']} weak ({solution.discarded} discarded), {solution.generated['strong']} strong"
    )
    print(f"\nanswer {solution.answer}, expected {problem.answer}")
    print(f"tokens generated: {tokens}; read by the PRM: {solution.scored}")


if __name__ == "__main__":
    main()
