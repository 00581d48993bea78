"""Environments: their answers join the solution, cost input alone, and are never scored as a model's step."""

import asyncio
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engine.test_branches import RandomSearch
from tests.engine.test_episode import Say, Stage, check_law, limits, replies, stepwise

from steproute import Limits, Observation, Outcome, Prefix, Problem, Response, Step
from steproute.config.answer import AnswerSettings
from steproute.core.answer_rule import ACTIONS
from steproute.core.errors import ConfigError, EnvironmentFailed
from steproute.core.grade import Verdict
from steproute.core.solution import Stop
from steproute.core.trace import Trace
from steproute.engine.grade_book import GradeBook
from steproute.engine.roles import GraderRole
from steproute.environments.calculator import Calculator
from steproute.environments.replaying import Replaying, action_of
from steproute.grading.rewarded import RewardGrader
from steproute.policies.trim.threshold import Threshold, ThresholdTakeover
from steproute.strategies.single import Single
from steproute.strategies.stepwise import Stepwise
from steproute.strategies.vote import Vote


class Scripted:
    """Answers by the prefix alone, so that it can be asked from any branch."""

    def __init__(self, answers: list[Response | None]) -> None:
        self.answers = answers

    async def respond(self, prefix: Prefix) -> Response:
        await asyncio.sleep(0)
        answer = self.answers[random.Random(prefix.text).randrange(len(self.answers))]
        if answer is None:
            raise EnvironmentFailed("it is down", where="scripted")
        return answer


def stage_with(environment: object, *arguments: list[object]) -> Stage:
    stage = Stage(*arguments)  # type: ignore[arg-type]
    stage.roles = replace(stage.roles, environment=environment)  # type: ignore[arg-type]
    return stage


responses = st.lists(
    st.none() | st.builds(Response, text=st.sampled_from(["", "= 4", "\\boxed{3}"]), ends=st.booleans()), min_size=1
)


@settings(max_examples=120, deadline=None)
@given(
    weak=replies,
    strong=replies,
    scores=st.lists(st.none() | st.floats(0, 1)),
    answers=responses,
    seed=st.none() | st.integers(0, 2**32),
    bounds=limits,
)
def test_every_token_is_on_one_line_whatever_an_environment_answers(
    weak: list[object],
    strong: list[object],
    scores: list[float | None],
    answers: list[Response | None],
    seed: int | None,
    bounds: Limits,
) -> None:
    stage = stage_with(Scripted(answers), weak, strong, scores)
    trace = stage.solve(stepwise() if seed is None else RandomSearch(seed), bounds)
    check_law(stage, trace)
    answered = [step for step in trace.steps if step.role == "environment"]
    assert all((step.tokens, step.score, step.decision) == (0, None, None) for step in answered)
    assert not any(line.role == "environment" for line in trace.account)
    assert len(trace.steps) - len(answered) <= max(bounds.max_steps, 2 * len([*weak, *strong]) + 30)


def test_an_answer_follows_its_step_and_is_read_by_the_next_call_and_by_the_scorer() -> None:
    stage = stage_with(Calculator(), [Say("So calculate(3 * (4 + 1))"), Say("It is \\boxed{15}")], [], [0.9, 0.8])
    trace = stage.solve(stepwise())
    assert [(step.role, step.text, step.score) for step in trace.steps] == [
        ("weak", "So calculate(3 * (4 + 1))", 0.9),
        ("environment", "calculate(3 * (4 + 1)) = 15", None),
        ("weak", "It is \\boxed{15}", 0.8),
    ]
    prefix, _ = stage.weak.asked[1]
    assert prefix.text == "So calculate(3 * (4 + 1))\n\ncalculate(3 * (4 + 1)) = 15"
    assert prefix.for_scorers.text == prefix.text
    assert len(prefix.for_scorers.steps) == 1


def test_an_environment_can_end_a_solution_and_reward_it() -> None:
    class Done:
        async def respond(self, prefix: Prefix) -> Response:
            return Response(ends=True, reward=0.5)

    trace: Trace = stage_with(Done(), [Say("I press the button")], []).solve(stepwise())
    assert (trace.outcome, [step.reward for step in trace.steps]) == (Outcome.COMPLETED, [0.5])


def test_a_failed_environment_fails_the_problem_and_is_named() -> None:
    trace = stage_with(Scripted([None]), [Say("a")], []).solve(stepwise())
    assert (trace.outcome, trace.at_fault) == (Outcome.FAILED, "environment")
    assert trace.error == "EnvironmentFailed: scripted: it is down"


def test_observations_count_the_steps_that_models_wrote() -> None:
    seen: list[tuple[int, int]] = []

    class Counts(Threshold):
        def decide(self, observation: Observation):  # type: ignore[no-untyped-def]
            seen.append((observation.step, len(observation.scores)))
            return super().decide(observation)

    stage = stage_with(Calculator(), [Say("calculate(1)"), Say("calculate(2)"), Say("\\boxed{2}")], [])
    stage.solve(Stepwise(policy=Counts(0.5)))
    assert seen == [(1, 1), (2, 2), (3, 3)]


def asked(text: str) -> str:
    prefix = Prefix(problem=Problem.ask("?"), steps=(Step(role="weak", text=text, tokens=1),))
    return asyncio.run(Calculator().respond(prefix)).text


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("calculate(2 + 3 * 4)", "calculate(2 + 3 * 4) = 14"),
        ("We need calculate(-(1.5 - 2) / 4) ", "calculate(-(1.5 - 2) / 4) = 0.125"),
        ("calculate(1 / 3)", "calculate(1 / 3) = 1/3"),
        ("calculate(1 / 0)", "calculate(1 / 0): division by zero"),
        ("calculate(2 ** 9)", "calculate(2 ** 9) = 512"),
        ("calculate(open('x'))", "calculate(open('x')) cannot be calculated: use numbers, + - * / ^ and brackets"),
        (
            "calculate(10^40 * 10^40)",
            "calculate(10^40 * 10^40) cannot be calculated: a number is too large",
        ),
        ("calculate(2 +)", "calculate(2 +) cannot be calculated: it ends too early"),
        ("nothing to calculate", ""),
    ],
)
def test_the_calculator_calculates_and_executes_nothing(text: str, answer: str) -> None:
    assert asked(text) == answer


@given(st.text(max_size=60))
def test_the_calculator_answers_whatever_it_is_asked(text: str) -> None:
    assert asked(f"calculate({text})").startswith("calculate(") or "\n" in text or not text.strip(")")


def test_an_episode_without_an_environment_asks_none() -> None:
    trace = Stage([Say("calculate(1)"), Say("\\boxed{1}")], []).solve(stepwise())
    assert [step.role for step in trace.steps] == ["weak", "weak"]


class Counting:
    """A world of one number: an action adds, and the number 5 ends it as a success, a larger one as a failure."""

    begun = 0

    def __init__(self, task: str) -> None:
        type(self).begun += 1
        self.number = int(task)

    def act(self, text: str) -> Response:
        self.number += int(action_of(text))
        ends = self.number >= 5
        return Response(text=f"It is {self.number}", ends=ends, reward=float(self.number == 5) if ends else None)


def counting_prefix(*actions: str, task: str = "1") -> Prefix:
    steps = tuple(Step(role="weak", text=action, tokens=1) for action in actions)
    return Prefix(problem=Problem.ask("Count to 5", tags={"task": task}), steps=steps)


def test_a_world_is_asked_from_any_branch() -> None:
    world = Replaying(Counting, kept=2)

    def answer(*actions: str) -> str:
        return asyncio.run(world.respond(counting_prefix(*actions))).text

    assert [answer("1"), answer("1", "Action: 1"), answer("1", "2"), answer("1"), answer("1", "1")] == [
        "It is 2",
        "It is 3",
        "It is 4",
        "It is 2",
        "It is 3",
    ]


def test_a_longer_branch_continues_the_game() -> None:
    world, before = Replaying(Counting), Counting.begun
    for actions in (["1"], ["1", "1"], ["1", "1", "1"]):
        asyncio.run(world.respond(counting_prefix(*actions)))
    assert Counting.begun == before + 1


def test_a_problem_without_a_task_cannot_be_played() -> None:
    prefix = Prefix(problem=Problem.ask("?"), steps=(Step(role="weak", text="1", tokens=1),))
    with pytest.raises(EnvironmentFailed, match="names no task"):
        asyncio.run(Replaying(Counting).respond(prefix))


@pytest.mark.parametrize(
    ("text", "action"),
    [("I go.\nAction: go(hall)", "go(hall)"), ("go(hall)\n", "go(hall)"), ("Action: a\nAction: b\nc", "b"), ("", "")],
)
def test_an_action_is_after_its_word_or_on_the_last_line(text: str, action: str) -> None:
    assert action_of(text) == action


def played(weak: list[object], strong: list[object], strategy: object, bounds: Limits = Limits()) -> Trace:
    stage = stage_with(Replaying(Counting), weak, strong, [0.1] * 9)
    stage.problem = replace(counting_prefix().problem, rule=ACTIONS)
    trace = stage.solve(strategy, bounds)  # type: ignore[arg-type]
    check_law(stage, trace)
    return trace


def test_a_turn_that_a_model_ends_is_answered() -> None:
    trace = played([Say("1", stop=Stop.END), Say("3", stop=Stop.END)], [], stepwise(0.0))
    assert (trace.outcome, trace.steps[-1].text) == (Outcome.COMPLETED, "It is 5")


def test_the_last_step_that_is_allowed_is_answered() -> None:
    trace = played([Say("1"), Say("3")], [], stepwise(0.0), Limits(max_steps=2))
    assert (trace.outcome, trace.steps[-2].reward) == (Outcome.COMPLETED, 1.0)
    trace = played([Say("1"), Say("1")], [], stepwise(0.0), Limits(max_steps=2))
    assert (trace.outcome, trace.steps[-1].text) == (Outcome.MAX_STEPS, "It is 3")


def test_one_model_alone_and_a_takeover_act_step_by_step() -> None:
    alone = played([Say("1"), Say("1"), Say("2")], [], Single("weak"))
    assert [step.text for step in alone.steps][::2] == ["1", "1", "2"]
    taken = played([Say("9")], [Say("2"), Say("2")], Stepwise(policy=ThresholdTakeover(0.5)))
    assert [(step.role, step.text) for step in taken.steps] == [
        ("strong", "2"),
        ("environment", "It is 3"),
        ("strong", "2"),
        ("environment", "It is 5"),
    ]


def test_a_strategy_that_has_whole_solutions_written_is_refused() -> None:
    with pytest.raises(ConfigError, match="an environment answers each step"):
        played([Say("1")], [], Vote(policy=Threshold(0.5)))


def test_rewards_grade_a_solution_without_a_gold_answer() -> None:
    def verdict(*actions: str) -> Verdict:
        trace = played([Say(action) for action in actions], [], stepwise(0.0))
        with GradeBook(GraderRole(grader=RewardGrader(), name="reward")) as book:
            grade = asyncio.run(book.grade(counting_prefix().problem, trace))
        assert grade is not None
        return grade.verdict

    assert (verdict("4"), verdict("9")) == (Verdict.CORRECT, Verdict.INCORRECT)


def test_a_grader_of_rewards_needs_an_environment() -> None:
    with pytest.raises(ConfigError, match=r"answer\.grader: 'reward' reads what an environment says"):
        AnswerSettings(grader="reward").graded(Stage([], []).roles)
    with pytest.raises(ConfigError, match="success_from"):
        RewardGrader(success_from=0.0)
