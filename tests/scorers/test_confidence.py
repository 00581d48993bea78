"""Log-probability confidence as a score, on the lab's models, which tell it."""

import asyncio
from dataclasses import replace
from math import exp, log

import msgspec
import pytest

from steproute.config import lab_roles
from steproute.core.errors import ScorerError
from steproute.core.problem import Problem
from steproute.core.solution import Confidence, Draft, Prefix, Step, Stop
from steproute.core.trace import Trace
from steproute.core.usage import Purpose, Usage
from steproute.engine.roles import Roles, ScorerRole
from steproute.evaluation.datasets import load_problems
from steproute.learn.rollouts import solve_all
from steproute.policies.baselines.confidence import Confidence as ConfidencePolicy
from steproute.policies.trim.threshold import Threshold
from steproute.scorers.confidence import ConfidenceScorer, ConfidenceSettings, Measure
from steproute.strategies.stepwise import Stepwise

SURE = Confidence(mean_logprob=log(0.9), min_logprob=log(0.5), first_token_entropy=log(4))


def score(step: Step, measure: Measure = "mean") -> float:
    prefix = Prefix(problem=Problem.ask(id="p", text="A riddle."), steps=(step,))
    (value,) = asyncio.run(ConfidenceScorer("sure", ConfidenceSettings(measure=measure)).score(prefix)).values
    return value


@pytest.mark.parametrize(("measure", "value"), [("mean", 0.9), ("min", 0.5), ("entropy", 0.25)])
def test_a_measure_is_a_probability(measure: Measure, value: float) -> None:
    assert score(Step(role="weak", text="a", tokens=1, confidence=SURE), measure) == pytest.approx(value)


def test_a_step_without_log_probabilities_is_an_error_that_names_the_remedy() -> None:
    with pytest.raises(ScorerError, match=r"step 1, by 'strong', .* logprobs = 5 below \[models.strong\]"):
        score(Step(role="strong", text="a", tokens=1))
    with pytest.raises(ScorerError, match="logprobs = 5"):
        score(Step(role="weak", text="a", tokens=1, confidence=replace(SURE, first_token_entropy=None)), "entropy")


def test_a_drafts_confidence_is_that_of_its_tokens() -> None:
    draft = Draft(model="m", text="a", stop=Stop.SEPARATOR, usage=Usage(), logprobs=(-0.1, -0.5))
    assert draft.confidence == Confidence(mean_logprob=-0.3, min_logprob=-0.5)
    assert replace(draft, logprobs=None).confidence is None
    assert replace(draft, first_token_entropy=0.123456).confidence == Confidence(
        mean_logprob=-0.3, min_logprob=-0.5, first_token_entropy=0.1235
    )


def test_on_the_lab_it_decides_as_the_policy_of_the_same_name_and_costs_nothing() -> None:
    problems = load_problems("lab:test", 20, 0)
    roles = lab_roles()
    judged = Roles(models=roles.models, scorers={"prm": ScorerRole(scorer=ConfidenceScorer("sure"))})
    by_scores = asyncio.run(solve_all(problems, judged, Stepwise(policy=Threshold(0.97))))
    by_policy = asyncio.run(solve_all(problems, roles, Stepwise(policy=ConfidencePolicy(0.97))))
    assert any(step.role == "strong" for trace in by_scores for step in trace.steps)
    for one, other in zip(by_scores, by_policy, strict=True):
        assert [(step.role, step.text) for step in one.steps] == [(step.role, step.text) for step in other.steps]
        assert one.generated_tokens("strong") == other.generated_tokens("strong")
        assert not [line for line in one.account if line.purpose is Purpose.SCORE]
        weak = [step for step in one.steps if step.role == "weak" and step.confidence and step.score is not None]
        assert [step.score for step in weak] == [exp(step.confidence.mean_logprob) for step in weak if step.confidence]


def test_a_trace_from_before_there_was_confidence_still_loads() -> None:
    (trace,) = asyncio.run(solve_all(load_problems("lab:test", 1, 0), lab_roles(), Stepwise(policy=Threshold(0.5))))
    document = msgspec.json.decode(msgspec.json.encode(trace))
    assert all(
        set(step.pop("confidence")) == {"mean_logprob", "min_logprob", "first_token_entropy"}
        for step in document["steps"]
    )
    read = msgspec.convert(document, Trace)
    assert read.steps == tuple(replace(step, confidence=None) for step in trace.steps)
