"""The end of a solution, and what strategies and policies read of its answer, follow the problem's answer rule."""

from dataclasses import replace

import pytest
from tests.engine.test_episode import PROBLEM, Say, Stage, check_law, stepwise
from tests.policies.test_pomdp import PLAN, seen

from steproute import Accept, Outcome, Stop
from steproute.core.answer_rule import BOXED, CHOICE, FINAL_LINE, NONE, AnswerRule
from steproute.engine.roles import GraderRole
from steproute.grading.exact import ExactGrader
from steproute.grading.regex import RegexGrader
from steproute.policies.trim.pomdp_policy import Pomdp
from steproute.policies.trim.threshold import Threshold
from steproute.strategies.automix import AutoMix
from steproute.strategies.single import Single

STATED = {BOXED: "so \\boxed{5}", FINAL_LINE: "So the final answer is 5.", CHOICE: "The answer is B."}


def stage(rule: AnswerRule, *replies: Say, strong: Say | None = None) -> Stage:
    made = Stage(weak=replies, strong=[strong] if strong else [], scores=[0.9] * len(replies))
    made.problem = replace(PROBLEM, rule=rule)
    return made


@pytest.mark.parametrize("rule", STATED, ids=lambda rule: rule.name)
def test_a_step_that_states_the_answer_ends_the_solution(rule: AnswerRule) -> None:
    lines = [Say("We add.", 3), Say(f"First. {STATED[rule]}", 4), Say("More.", 5)]
    made = stage(rule, *lines)
    trace = made.solve(stepwise())
    answer = "B" if rule is CHOICE else "5"
    assert (len(trace.steps), trace.answer, trace.outcome) == (2, answer, Outcome.ANSWERED)
    check_law(made, trace)
    whole = stage(rule, Say(f"We add.\n\nFirst. {STATED[rule]}", 7, Stop.END)).solve(Single("weak"))
    assert ([step.text for step in whole.steps], whole.answer) == ([step.text for step in trace.steps], answer)


def test_what_another_rule_reads_ends_nothing() -> None:
    for rule, texts in ((BOXED, (STATED[FINAL_LINE], STATED[CHOICE])), (FINAL_LINE, (STATED[BOXED],))):
        trace = stage(rule, *(Say(text, 2) for text in texts), Say("I give up.", 2, Stop.END)).solve(stepwise())
        assert [step.text for step in trace.steps] == [*texts, "I give up."]
        assert trace.outcome is Outcome.ENDED_WITHOUT_ANSWER


def test_without_a_rule_the_model_ends_the_solution() -> None:
    lines = [Say(text, 2) for text in STATED.values()]
    trace = stage(NONE, *lines, Say("Done.", 2, Stop.END)).solve(stepwise())
    assert (len(trace.steps), trace.answer, trace.outcome) == (len(lines) + 1, None, Outcome.COMPLETED)


def test_an_answer_under_a_heading_ends_the_solution_with_its_step() -> None:
    trace = stage(FINAL_LINE, Say("**Final Answer**", 2), Say("210", 1), Say("More.", 2)).solve(stepwise())
    assert ([step.text for step in trace.steps], trace.answer) == (["**Final Answer**", "210"], "210")


@pytest.mark.parametrize("rule", [*STATED, NONE], ids=lambda rule: rule.name)
def test_the_pomdp_knows_the_last_step_by_the_rule(rule: AnswerRule) -> None:
    texts = [*STATED.values(), "The answer is not 5."]
    for text in texts:
        observation = seen(0.5, text=text)
        problem = replace(observation.prefix.problem, rule=rule)
        observation = replace(observation, prefix=replace(observation.prefix, problem=problem))
        assert observation.ends == (rule.find(text) is not None)
        policy = Pomdp(PLAN, 1.0)
        last = seen(0.5, text="y", stop=Stop.END) if observation.ends else seen(0.5, text="y")
        assert policy.decide(observation) == policy.decide(last)
    assert any(rule.find(text) for text in texts) == (rule is not NONE)


def said(answer: str) -> Say:
    return Say(f"Final answer: {answer}", 5, Stop.END)


@pytest.mark.parametrize(
    ("grader", "share"),
    [(GraderRole(), 0.75), (GraderRole(grader=ExactGrader()), 0.5), (GraderRole(grader=RegexGrader()), 0.75)],
    ids=["math", "exact", "regex is no comparison, so math"],
)
def test_automix_compares_samples_by_the_grader_of_the_run(grader: GraderRole, share: float) -> None:
    made = stage(FINAL_LINE, said("0.5"), said("0.5"), said(" 0.5 "), said("1/2"), said("7"))
    made.roles = replace(made.roles, grading=grader)
    trace = made.solve(AutoMix(policy=Threshold(0.1), samples=4))
    assert (trace.steps[0].score, trace.steps[0].decision) == (share, Accept())
