"""Searching pays on the lab: with a judge that can choose, wider is better, and PATS costs less than always wide."""

import asyncio
from dataclasses import replace

from steproute import Episode, Strategy
from steproute.config import lab_roles
from steproute.evaluation.datasets import load_problems
from steproute.policies.modes import Modes
from steproute.policies.trim.threshold import Threshold
from steproute.strategies.single import Single
from steproute.strategies.widened import BestOfN, Widened

PROBLEMS = load_problems("lab:validation", 32, 0)


def solved(strategy: "Strategy[Episode]") -> tuple[int, int]:
    """Correct answers and the weak model's tokens, at temperature 1."""
    lab = lab_roles()
    weak = lab.model("weak")
    weak = replace(weak, sampling=replace(weak.sampling, temperature=1.0))
    roles = replace(lab, models={**lab.models, "weak": weak})

    async def work() -> tuple[int, int]:
        episodes = (Episode(problem, roles, route="t").run(strategy) for problem in PROBLEMS)
        traces = await asyncio.gather(*episodes)
        correct = sum(trace.answer == problem.answer for trace, problem in zip(traces, PROBLEMS, strict=True))
        return correct, sum(trace.generated_tokens("weak") for trace in traces)

    return asyncio.run(work())


def test_wider_steps_answer_more_and_pats_gets_most_of_it_for_less() -> None:
    single, _ = solved(Single("weak"))
    wide, wide_tokens = solved(BestOfN(policy=Threshold(0.0), width=8))
    pats, pats_tokens = solved(Widened(policy=Modes()))
    assert wide >= single + 0.08 * len(PROBLEMS)
    assert pats >= wide - 2
    assert pats_tokens <= 0.65 * wide_tokens
