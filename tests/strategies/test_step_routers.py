"""Routers that need no scorer: priming, a glimpse at the first token, and triggers in weak's own step."""

import asyncio
from dataclasses import replace

import pytest
from tests.engine.scripted import Say, ScriptedModel
from tests.engine.test_episode import Stage

from steproute import (
    Accept,
    Draft,
    Meter,
    ModelRole,
    Observation,
    Prefix,
    Problem,
    Purpose,
    Rewrite,
    Sampling,
    Stop,
    Usage,
)
from steproute.config import lab_roles
from steproute.core.errors import ConfigError
from steproute.core.solution import Step
from steproute.core.trace import Trace
from steproute.engine.roles import Roles
from steproute.evaluation.datasets import load_problems
from steproute.learn.rollouts import solve_all
from steproute.policies.baselines.confidence import Confidence, FirstTokenEntropy
from steproute.policies.baselines.random import RandomRouting
from steproute.policies.baselines.triggers import TrigReason
from steproute.policies.trim.threshold import Threshold
from steproute.strategies.glimpse import Glimpse
from steproute.strategies.next_step import NextStep
from steproute.strategies.primed import Primed
from steproute.strategies.stepwise import Stepwise

SURE, UNSURE = -0.01, -1.0


def observed(text: str, logprobs: tuple[float, ...], *earlier: str) -> Observation:
    steps = tuple(Step(role="weak", text=each, tokens=1) for each in earlier)
    prefix = Prefix(problem=Problem.ask("?", id="p"), steps=steps)
    draft = Draft(role="weak", model="m", text=text, stop=Stop.SEPARATOR, usage=Usage(), logprobs=logprobs)
    return Observation(prefix=prefix, draft=draft, scores=(), max_steps=10)


def test_strong_writes_the_first_steps_and_the_policy_decides_about_the_others() -> None:
    stage = Stage([Say("w3"), Say("w4 \\boxed{1}")], [Say("s1"), Say("s2")], [])
    trace = stage.solve(Primed(policy=RandomRouting(0.0, seed=0), first_steps=2))
    assert [(step.role, step.text) for step in trace.steps] == [
        ("strong", "s1"),
        ("strong", "s2"),
        ("weak", "w3"),
        ("weak", "w4 \\boxed{1}"),
    ]


def test_a_primed_solution_that_ends_early_asks_nothing_more() -> None:
    stage = Stage([], [Say("s \\boxed{1}")], [])
    assert [step.role for step in stage.solve(Primed(policy=RandomRouting(0.0, seed=0))).steps] == ["strong"]


def test_sure_steps_are_regenerated_and_unsure_ones_kept() -> None:
    policy = TrigReason(0.75)
    assert policy.decide(observed("a", (SURE,) * 4)) == Rewrite("strong")
    assert policy.decide(observed("a", (SURE, SURE, SURE, UNSURE))) == Accept()


def test_two_hesitating_steps_in_a_row_call_the_strong_model() -> None:
    policy = TrigReason(1.0)
    assert policy.decide(observed("Wait, no.", (UNSURE,), "Hmm.")) == Rewrite("strong")
    assert policy.decide(observed("Wait, no.", (UNSURE,), "Hmm.", "It is 4.")) == Accept()
    assert policy.decide(observed("The waiter has 4.", (UNSURE,), "Hmm.")) == Accept()
    assert policy.decide(observed("Wait, no.", (UNSURE,))) == Accept()


def test_a_glimpse_decides_who_writes_and_its_token_is_discarded() -> None:
    entropies = iter([0.1, 2.0])

    class Peeking(ScriptedModel):
        async def propose(
            self, prefix: Prefix, n: int = 1, sampling: Sampling = Sampling(), meter: Meter | None = None
        ) -> list[Draft]:
            (draft,) = await super().propose(prefix, n, sampling, meter)
            return [replace(draft, first_token_entropy=next(entropies))] if sampling.max_tokens == 1 else [draft]

    stage = Stage([], [Say("s \\boxed{1}")], [])
    weak = Peeking("w", [Say("w1"), Say("w1", tokens=6), Say("w2")])
    stage.roles = Roles(models={**stage.roles.models, "weak": ModelRole(model=weak)})
    trace = stage.solve(Glimpse(policy=FirstTokenEntropy(1.0)))
    first = trace.steps[0]
    assert (first.role, first.text, first.rejected) == ("weak", "w1", None)
    assert trace.steps[1].role == "strong"
    assert trace.generated_tokens("weak", Purpose.DISCARDED) == 2
    assert trace.generated_tokens("weak", Purpose.ACCEPTED) == 6


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="first_steps"):
        Primed(policy=RandomRouting(0.0, seed=0), first_steps=0)
    with pytest.raises(ConfigError, match="policy"):
        Glimpse(policy=Threshold(0.5))
    with pytest.raises(ConfigError, match="share"):
        TrigReason(1.5)


def test_doubt_about_a_step_hands_the_next_one_over_and_keeps_both() -> None:
    class Doubting(ScriptedModel):
        async def propose(
            self, prefix: Prefix, n: int = 1, sampling: Sampling = Sampling(), meter: Meter | None = None
        ) -> list[Draft]:
            (draft,) = await super().propose(prefix, n, sampling, meter)
            return [replace(draft, logprobs=(UNSURE if "?" in draft.text else SURE,))]

    stage = Stage([], [Say("s2")], [])
    weak = Doubting("w", [Say("w1?"), Say("w3"), Say("w4 \\boxed{1}")])
    stage.roles = Roles(models={**stage.roles.models, "weak": ModelRole(model=weak)})
    trace = stage.solve(NextStep(policy=Confidence(0.9)))
    assert [step.text for step in trace.steps] == ["w1?", "s2", "w3", "w4 \\boxed{1}"]
    assert trace.discarded_tokens() == 0
    assert not any(step.decision for step in trace.steps)


def test_on_the_lab_a_glimpse_finds_the_solutions_of_stepwise() -> None:
    problems, policy = load_problems("lab:validation", 6, 0), FirstTokenEntropy(0.01)
    one = asyncio.run(solve_all(problems, lab_roles(), Stepwise(policy=policy)))
    other = asyncio.run(solve_all(problems, lab_roles(), Glimpse(policy=policy)))
    assert [[step.text for step in trace.steps] for trace in one] == [
        [step.text for step in trace.steps] for trace in other
    ]
    assert any(step.role == "strong" for trace in one for step in trace.steps)
    assert _tokens(one, "strong") == _tokens(other, "strong")
    assert _tokens(one, "weak") != _tokens(other, "weak")


def _tokens(traces: list[Trace], role: str) -> int:
    return sum(trace.generated_tokens(role) for trace in traces)
