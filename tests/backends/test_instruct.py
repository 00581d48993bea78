"""Which replies of a model that is asked for the next step start its solution over."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.backends.http.hostile import Asked
from tests.backends.http.test_faults import PROBLEM, writer_of
from tests.backends.test_openai_server import Canned

from steproute.backends.instruct import restarts
from steproute.core.ports import Continuation
from steproute.core.solution import Outcome
from steproute.engine.episode import Episode
from steproute.engine.roles import Roles
from steproute.evaluation.recordings import load_recorded
from steproute.policies.baselines.random import RandomRouting
from steproute.strategies.stepwise import Stepwise

SOLUTION = [
    "We are told that x + 2 = 5.",
    "So the equation becomes:",
    "x = 5 - 2, that is x = 3.",
    "Put it back to check:",
    "So the equation becomes:",
    "x = 5 - 2, that is x = 3.",
    "3 + 2 = 5, hence \\boxed{3}.",
]


@pytest.mark.parametrize(
    ("reply", "earlier", "again"),
    [
        ("  step 1: SO\nthen", ["Step 1: so then"], True),
        ("Step 1: so then. Step 2: and", ["Step 1: so then.", "x = 2"], True),
        ("Step 2: and so\n\nStep 3: then", ["Step 1: so then", "Step 2: and so"], True),
        ("Step 1: so then\n \nStep 2: and so", ["Step 1: so then", "Step 2: and so", "Step 3: then"], True),
        ("We are given:\n\nx = 2 and y = 3", ["We are given:", "x = 2 and y = 3", "so x + y = 5"], True),
        ("We are given: x = 2 and y = 3", ["We are given:", "x = 2 and y = 3", "so x + y = 5"], True),
        ("x = 2 and y = 3", ["We are given:", "x = 2 and y = 3", "so x + y = 5", "We are given:"], True),
        ("We are given:", ["We are given:", "x = 2 and y = 3", "so x + y = 5"], False),
        ("x = 2 and y = 3", ["We are given:", "x = 2 and y = 3", "so x + y = 5"], False),
        ("Step 2: so then", ["Step 1: so then", "x = 2"], False),
        ("Step 2: and so", ["Step 1: so then", "Step 2: and so", "Step 3: then"], False),
        ("Therefore x = 10 and y = 2.", ["Therefore x = 1"], False),
        ("Case 2: x > 0 gives y = 3.", ["There are cases", "Case 2: x > 0"], False),
        ("By the recurrence relation, a_3 = 8.", ["By the recurrence relation, a_2 = 5."], False),
        ("x = 2", ["x = 2"], False),
        ("We have: 3 + 4 = 7 apples.", ["We have:", "Three and four."], False),
        ("A first step", [], False),
        ("", ["Step 1: so then"], False),
    ],
)
def test_a_reply_starts_over_if_it_begins_with_the_first_steps_or_repeats_the_newest(
    reply: str, earlier: list[str], again: bool
) -> None:
    assert restarts(reply, earlier, "\n\n") is again


STEPS = st.text("abcdefgh ", min_size=15, max_size=30).map(lambda text: f"x{text.strip()}.")


@given(st.lists(STEPS, min_size=3, max_size=8, unique=True), st.data())
def test_any_step_but_the_first_and_the_newest_may_come_back(steps: list[str], data: st.DataObject) -> None:
    back = data.draw(st.integers(1, len(steps) - 2))
    assert not restarts(steps[back], steps, "\n\n")
    assert restarts(steps[0], steps, "\n\n")
    assert restarts(steps[-1], steps, "\n\n")
    assert restarts("\n\n".join(steps), steps, "\n\n")


class Writes(Canned):
    """Writes the solution that it is given, step by step."""

    def __init__(self, steps: list[str]) -> None:
        super().__init__([])
        self.steps = steps

    async def _stream(self, request: Asked, writer: asyncio.StreamWriter, reader: asyncio.StreamReader) -> bool:
        so_far = request.body["messages"][1]["content"].partition("Solution so far:\n")[2]
        done = 0 if so_far.startswith("(nothing") else so_far.count("\n\n")
        delta: dict[str, Any] = {"index": 0, "delta": {"content": self.steps[done]}, "finish_reason": "stop"}
        self.chunks = [{"choices": [delta]}]
        return await super()._stream(request, writer, reader)


def test_a_solution_may_repeat_its_sentences() -> None:
    async def run() -> tuple[Outcome, str | None, int]:
        server = Writes(SOLUTION)
        async with server.running():
            writer = writer_of(server, continuation=Continuation.INSTRUCT, kind="openai")
            episode = Episode(PROBLEM, Roles(models={"weak": writer}), route="t")
            trace = await episode.run(Stepwise(policy=RandomRouting.at(0.0, 0)))
            return trace.outcome, trace.answer, len(server.asked)

    assert asyncio.run(run()) == (Outcome.ANSWERED, "3", len(SOLUTION))


def test_no_step_of_a_recorded_right_solution_starts_over(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEPROUTE_DATA", str(data_folder))
    recorded = load_recorded("qwen3")
    for role in ("weak", "strong"):
        recordings = recorded.roles.models[role].model._recordings._by_problem  # type: ignore[attr-defined]
        for (recording,) in recordings.values():
            if recorded.graded[role, recording.problem_id]:
                steps = recording.steps
                again = [at for at in range(1, len(steps)) if restarts(steps[at], steps[:at], "\n\n")]
                assert again == [], recording.problem_id
