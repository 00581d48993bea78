"""Whether a scorer gives one score per step and separates correct from incorrect steps."""

import time
from collections.abc import AsyncIterator
from typing import Final

from steproute.config import ConfigFile
from steproute.core.ports import READS_CONFIDENCE
from steproute.core.problem import Problem
from steproute.core.solution import Prefix, Step
from steproute.doctor.candidates import CONFIDENCE, candidate_findings
from steproute.doctor.finding import Finding, failed, ok, warning
from steproute.doctor.probe import asked, probe_of, problem_of
from steproute.engine.roles import ScorerRole

_LEAST_GAP: Final = 0.1


async def scorer_findings(config: ConfigFile, role: str) -> AsyncIterator[Finding]:
    """A scorer's findings, check by check. Raises SteprouteError if it cannot be made or does not answer."""
    name, probe = f"scorers.{role}", probe_of(config)
    problem, judge = problem_of(config, probe.problem), config.scorer(role, {}, {})
    if READS_CONFIDENCE.of(judge.scorer) and not judge.members:
        yield ok(
            name,
            "one score per step",
            "from log-probabilities, checked with each model whose log-probabilities the route reads",
        )
        return
    began = time.monotonic()
    for count in range(1, len(probe.right) + 1):
        await _scores(config, judge, problem, probe.right[:count])
    seconds = (time.monotonic() - began) / len(probe.right)
    yield ok(name, "one score per step", f"for 1 to {len(probe.right)} steps, {seconds:.2f} s per call")
    correct = min(await _scores(config, judge, problem, probe.right))
    incorrect = min(await _scores(config, judge, problem, probe.wrong))
    observation = f"lowest score of correct steps {correct:.2f}, with incorrect ones {incorrect:.2f}"
    if correct < incorrect:
        remedy = "The score is upside down: does the server give [p_good, p_bad], or another head?"
        yield failed(name, "scores correct steps higher", observation, remedy)
    elif correct - incorrect < _LEAST_GAP:
        remedy = "Check text and marker against the model card, and that the server loads the reward model's head."
        yield failed(name, "scores correct steps higher", observation, remedy)
    else:
        yield ok(name, "scores correct steps higher", observation)
        async for finding in candidate_findings(config, role, judge):
            yield finding
    if judge.price.table == "not set" and not judge.members:
        yield warning(name, "price", "not set", f"Set price = {{ input = …, output = … }} below [{name}].")


async def _scores(config: ConfigFile, judge: ScorerRole, problem: Problem, steps: tuple[str, ...]) -> tuple[float, ...]:
    done = tuple(Step(role="weak", text=text, tokens=0, confidence=CONFIDENCE) for text in steps)
    prefix = Prefix(problem=problem, steps=done, session="doctor")
    return (await asked(config, judge.scorer.name, lambda meter: judge.scorer.score(prefix, meter))).values
