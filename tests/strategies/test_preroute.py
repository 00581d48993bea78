"""Choose, then write: who writes a step is known before it is drafted."""

import pytest
from tests.engine.scripted import Say
from tests.engine.test_episode import Stage

from steproute import Limits, Moment, Prefix, Price, Problem
from steproute.config.route import build_policy, build_strategy, policy_family
from steproute.core.errors import ConfigError
from steproute.core.registry import Registry
from steproute.core.solution import Step
from steproute.core.usage import FREE
from steproute.lab.choosers import Last
from steproute.lab.story import generate
from steproute.policies.choosers import First, Mixing, ProblemMixing
from steproute.strategies.preroute import Preroute


def moment(
    written: int = 0,
    *,
    problem: Problem = Problem.ask("?", id="p"),
    ladder: tuple[str, ...] = ("weak", "strong"),
    affordable: tuple[str, ...] | None = None,
) -> Moment:
    steps = tuple(Step(role="weak", text=f"{number}", tokens=1) for number in range(written))
    prices: dict[str, Price] = dict.fromkeys(ladder, FREE)
    return Moment(
        prefix=Prefix(problem=problem, steps=steps),
        scores=(),
        ladder=ladder,
        prices=prices,
        max_steps=10,
        affordable=ladder if affordable is None else affordable,
        calls_left={},
    )


def test_each_step_has_one_call_by_the_chosen_role() -> None:
    stage = Stage([Say("w3"), Say("w4 \\boxed{1}")], [Say("s1"), Say("s2")], [])
    trace = stage.solve(Preroute(chooser=First(2)))
    assert [(step.role, step.text) for step in trace.steps] == [
        ("strong", "s1"),
        ("strong", "s2"),
        ("weak", "w3"),
        ("weak", "w4 \\boxed{1}"),
    ]
    assert (trace.discarded_tokens(), stage.prm.read, len(trace.account)) == (0, 0, 4)


def test_a_chooser_that_reads_scores_sees_those_of_the_accepted_steps() -> None:
    seen: list[tuple[float, ...]] = []

    class Wary:
        def choose(self, moment: Moment) -> str:
            seen.append(moment.scores)
            return "strong" if moment.scores and moment.scores[-1] < 0.5 else "weak"

    stage = Stage([Say("w1"), Say("w3 \\boxed{1}")], [Say("s2")], [0.2, 0.8])
    trace = stage.solve(Preroute(chooser=Wary()))
    assert seen == [(), (0.2,), (0.9, 0.8)]
    assert [(step.role, step.score) for step in trace.steps] == [("weak", 0.9), ("strong", 0.8), ("weak", None)]


@pytest.mark.parametrize(("declared", "role"), [("accept", "weak"), ("regenerate", "strong")])
def test_without_scores_the_declared_role_writes(declared: str, role: str) -> None:
    class Reader:
        def choose(self, moment: Moment) -> str:
            return "weak"

    stage = Stage([Say("w1"), Say("x \\boxed{1}")], [Say("x \\boxed{1}")], [None])
    trace = stage.solve(Preroute(chooser=Reader()), Limits(retries=0, on_scorer_failure=declared))  # type: ignore[arg-type]
    assert [step.role for step in trace.steps] == ["weak", role]


def test_a_role_outside_the_ladder_is_refused() -> None:
    class Elsewhere:
        reads = frozenset[str]()

        def choose(self, moment: Moment) -> str:
            return "mid"

    with pytest.raises(ConfigError, match="names 'mid', and the roles that may write are weak, strong"):
        Stage().solve(Preroute(chooser=Elsewhere()))


def test_the_first_and_the_last_steps_of_a_story() -> None:
    problem = next(generate("test"))
    needed = int(len(problem.text.split("(")) - 1)
    assert [First(2).choose(moment(written)) for written in range(4)] == ["strong", "strong", "weak", "weak"]
    roles = [Last(2).choose(moment(written, problem=problem)) for written in range(needed + 1)]
    assert roles.index("strong") == roles.count("weak")
    assert set(roles[roles.index("strong") :]) == {"strong"}
    assert {Last(0).choose(moment(0, problem=problem)), First(0).choose(moment())} == {"weak"}


def test_a_coin_per_step_varies_within_a_problem_and_a_coin_per_problem_does_not() -> None:
    problems = [Problem.ask("?", id=f"{number}") for number in range(200)]
    by_step = [[Mixing(0.5).choose(moment(step, problem=each)) for step in range(6)] for each in problems]
    by_problem = [[ProblemMixing(0.5).choose(moment(step, problem=each)) for step in range(6)] for each in problems]
    assert max(len(set(roles)) for roles in by_step) == 2
    assert all(len(set(roles)) == 1 for roles in by_problem)
    assert 70 < sum(roles[0] == "strong" for roles in by_problem) < 130
    assert by_problem != [[ProblemMixing(0.5, 1).choose(moment(0, problem=each))] * 6 for each in problems]


def test_a_role_that_cannot_be_paid_gives_way_to_the_next_cheaper_one() -> None:
    ladder = ("weak", "mid", "strong")
    assert moment(ladder=ladder).within_budget("strong") == "strong"
    assert moment(ladder=ladder, affordable=("weak", "mid")).within_budget("strong") == "mid"
    assert moment(ladder=ladder, affordable=("weak",)).within_budget("strong") == "weak"
    assert moment(ladder=ladder, affordable=("mid", "strong")).within_budget("weak") == "mid"


def test_choosers_are_found_by_name_with_their_grid() -> None:
    assert policy_family("first").knobs[0] == 0
    assert build_policy("mixing", 0.5, 3) == Mixing(0.5, 3)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="steps: 1.5 is no number of steps"):
        First(1.5)
    with pytest.raises(ConfigError, match="rate"):
        ProblemMixing(1.5)
    with pytest.raises(ConfigError, match="'stepwise' decides after a step is written.*Use one of .*threshold"):
        build_strategy("stepwise", First(1))
    with pytest.raises(ConfigError, match="'preroute' chooses before a step is written.*Use one of .*first"):
        build_strategy("preroute", build_policy("threshold", 0.5, 0))
    with pytest.raises(ConfigError, match="Mute has no method choose. Add def choose"):

        @Registry("choosers").register("mute")
        class Mute:
            pass
