import asyncio

import pytest
from tests.engine.scripted import Say, ScriptedModel

from steproute import Limits, Outcome, Problem, Stop, Trace
from steproute.core.errors import ConfigError
from steproute.core.usage import Purpose
from steproute.engine.episode import Episode
from steproute.engine.roles import ModelRole, Roles
from steproute.strategies.deli import Deli


def say(text: str) -> Say:
    return Say(text, stop=Stop.END)


def solved(replies: list[Say], strategy: Deli = Deli(), limits: Limits = Limits()) -> tuple[Trace, ScriptedModel]:
    model = ScriptedModel("weak", replies)
    roles = Roles(models={"weak": ModelRole(model=model)})
    episode = Episode(Problem.ask("What is 2 + 3 * 4?", answer="14"), roles, route="deli", limits=limits)
    return asyncio.run(episode.run(strategy)), model


def action(call: str) -> Say:
    return Say(f"Action: {call}")


WRONG = say("2 + 3 * 4 = 20, so \\boxed{20}")
RIGHT = say("2 + 3 * 4 = 14, so \\boxed{14}")
FINAL = say("Final Answer: \\boxed{14}")
CALCULATE = action('calculate("2 + 3 \\cdot 4")')


def test_it_ends_once_words_and_tools_agree() -> None:
    trace, model = solved([WRONG, CALCULATE, FINAL, RIGHT])
    assert (trace.outcome, trace.answer) == (Outcome.ANSWERED, "14")
    assert [(use.output, use.by) for use in trace.tools] == [("14", "tool")]
    assert len(model.asked) == 4
    assert trace.generated_tokens("weak", Purpose.ACCEPTED) == 5
    assert trace.generated_tokens("weak") == 20


def test_the_model_sees_outputs_trial_and_verification() -> None:
    _, model = solved([WRONG, CALCULATE, FINAL, RIGHT])
    asked = [prefix.problem.text for prefix, _ in model.asked]
    assert "\\boxed{20}" in asked[1]
    assert "Output: 14" not in asked[1]
    assert "Output: 14" in asked[2]
    assert "Verification:\nAction: calculate" in asked[3]
    assert [sampling.stop for _, sampling in model.asked] == [None, "\nOutput:", "\nOutput:", None]


def test_the_model_gives_the_output_of_an_action_that_fails() -> None:
    trace, model = solved([WRONG, action('think("product first")'), Say(" 3 * 4 is 12"), CALCULATE, FINAL, RIGHT])
    assert [(use.output, use.by) for use in trace.tools] == [("3 * 4 is 12", "model"), ("14", "tool")]
    assert model.asked[2][1].stop == "\nAction:"


def test_a_tool_that_hangs_is_stopped_and_the_episode_continues() -> None:
    hanging = action('calculate("9^{9^{9^{9^9}}}")')
    trace, _ = solved([WRONG, hanging, Say("a large number"), CALCULATE, FINAL, RIGHT], Deli(tool_s=1.0))
    assert [use.by for use in trace.tools] == ["model", "tool"]
    assert trace.answer == "14"


def test_no_more_actions_are_taken_than_allowed() -> None:
    trace, _ = solved([WRONG, *[CALCULATE] * 15, RIGHT])
    assert len(trace.tools) == 15
    assert trace.answer == "14"


def test_it_stops_if_neither_changes() -> None:
    trace, model = solved([WRONG, *[CALCULATE, FINAL, WRONG] * 3])
    assert len(model.asked) == 7
    assert trace.answer == "14"


def test_the_last_answer_of_the_tools_counts_if_the_rounds_are_over() -> None:
    changing = [say(f"I think \\boxed{{{number}}}") for number in (20, 21, 22)]
    trace, model = solved([WRONG, *[reply for words in changing for reply in (CALCULATE, FINAL, words)]])
    assert len(model.asked) == 10
    assert (trace.outcome, trace.answer) == (Outcome.ANSWERED, "14")


def test_a_budget_ends_it() -> None:
    trace, _ = solved([WRONG, CALCULATE, FINAL, RIGHT], limits=Limits(max_tokens=12))
    assert trace.outcome is Outcome.TOKEN_BUDGET
    assert trace.generated_tokens("weak") <= 12


def test_fewer_than_one_round_is_refused() -> None:
    with pytest.raises(ConfigError, match="too few"):
        Deli(rounds=0)
