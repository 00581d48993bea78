"""A policy of your own in one file, swept over its knob on the bundled lab.

    python examples/own_policy.py

`Patient` rewrites a step only if it *and* the step before score low: one doubtful step is often a false alarm. It is an
example of the port, not a good policy: the output shows it beside a threshold at every knob.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar

from steproute import Accept, Decision, Episode, Observation, Problem, Rewrite
from steproute.config import lab_roles
from steproute.core.ports import Policy
from steproute.core.registry import policies
from steproute.lab.story import generate
from steproute.policies.trim.threshold import Threshold
from steproute.strategies.stepwise import Stepwise

ROLES = lab_roles()


@policies.register("patient")
@dataclass(frozen=True, slots=True)
class Patient:
    """Regenerate if the two newest scores are both below the threshold; at the first step the newest one decides."""

    threshold: float
    knobs: ClassVar[tuple[float, ...]] = (0.0, 0.25, 0.5, 0.75, 1.0)
    takes_over: ClassVar[bool] = False

    @classmethod
    def at(cls, knob: float, seed: int) -> "Patient":
        """The policy with its knob, the threshold, at `knob`."""
        return cls(knob)

    def decide(self, observation: Observation) -> Decision:
        """Pure: it reads the scores and nothing else."""
        return Rewrite("strong") if max(observation.scores[-2:]) < self.threshold else Accept()


async def measure(policy: Policy, problems: Iterable[Problem]) -> tuple[int, int]:
    """Correct answers, and strong tokens, over all problems."""
    traces = await asyncio.gather(
        *(Episode(problem, ROLES, route="own-policy").run(Stepwise(policy=policy)) for problem in problems)
    )
    gold = {problem.id: problem.answer for problem in problems}
    correct = sum(trace.answer == gold[trace.problem_id] for trace in traces)
    return correct, sum(trace.generated_tokens("strong") for trace in traces)


def main(count: int = 20) -> None:
    """Print accuracy and cost of each knob, beside the threshold's at the same knob."""
    problems = list(islice(generate("test", 0, "standard"), count))
    print("knob   patient              threshold")
    for knob in Patient.knobs:
        cells = []
        for family in (Patient, Threshold):
            correct, tokens = asyncio.run(measure(family.at(knob, 0), problems))
            cells.append(f"{correct:2}/{count}, {tokens / count:5.1f} strong")
        print(f"{knob:4}   {cells[0]}   {cells[1]}")


if __name__ == "__main__":
    main()
