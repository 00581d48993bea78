"""What is remembered of an agent's earlier turns, and what is judged again."""

import asyncio
from typing import Any

from steproute.core.chat import ChatRequest
from steproute.core.decision import Accept
from steproute.core.solution import ENVIRONMENT, Meter, Prefix, Scores, Step
from steproute.core.usage import Usage
from steproute.engine.roles import ScorerRole
from steproute.serve.turn_memory import UNKNOWN, Conversation, TurnMemory
from steproute.serve.turn_scorer import scorer_of_turns

CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
MESSAGES: list[dict[str, Any]] = [
    {"role": "user", "content": "Go."},
    {"role": "assistant", "content": "One."},
    {"role": "user", "content": "On."},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c", "content": "Done."},
]


def conversation(memory: TurnMemory, messages: list[dict[str, Any]] = MESSAGES, owner: str = "us") -> Conversation:
    return Conversation.of(ChatRequest(messages=tuple(messages)), "id", (owner, "agent"), memory)


def test_each_message_after_the_task_is_a_step() -> None:
    steps = conversation(TurnMemory()).steps
    assert [(step.role, step.text) for step in steps] == [
        (UNKNOWN, "One."),
        (ENVIRONMENT, "On."),
        (UNKNOWN, 'f({"a": 1})'),
        (ENVIRONMENT, "Done."),
    ]


def test_a_turn_that_this_process_accepted_has_its_author_and_score() -> None:
    """However the client writes it; not if its conversation is another's or began in another way."""
    memory = TurnMemory()
    key = conversation(memory, MESSAGES[:3]).key_of_next('f({"a": 1})')
    memory.keep_turn(key, Step(role="strong", text='f({"a": 1})', tokens=7, score=0.8, decision=Accept()))
    echoed = {**MESSAGES[3], "content": "", "refusal": None}
    known = conversation(memory, [*MESSAGES[:3], echoed]).steps[2]
    assert known == Step(role="strong", text='f({"a": 1})', tokens=7, score=0.8, decision=Accept())
    assert conversation(memory, owner="them").steps[2].role == UNKNOWN
    assert conversation(memory, [{**MESSAGES[0], "content": "Go!"}, *MESSAGES[1:]]).steps[2].role == UNKNOWN


def test_the_oldest_turns_are_forgotten() -> None:
    memory = TurnMemory(kept=2)
    for number in range(3):
        memory.keep_turn(bytes([number]), Step(role="weak", text="", tokens=1))
        memory.turn(b"\0")
    assert [memory.turn(bytes([number])) is not None for number in range(3)] == [True, False, True]


class Judging:
    """Judges the newest step alone, by a call each."""

    name, judges_newest_alone = "judge", True

    def __init__(self) -> None:
        self.judged: list[str] = []

    async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
        raise NotImplementedError

    async def score_newest(self, prefix: Prefix, meter: Meter) -> Scores:
        self.judged.append(prefix.texts[-1])
        meter.usage = Usage(input_tokens=3, output_tokens=1)
        return Scores(values=(len(prefix.steps) / 10,), model=self.name, usage=meter.usage)


def test_a_judge_of_single_steps_judges_each_turn_once() -> None:
    judge, memory = Judging(), TurnMemory()

    def scored(messages: list[dict[str, Any]], draft: str) -> Scores:
        talk = conversation(memory, messages)
        steps = (*talk.steps, Step(role="weak", text=draft, tokens=1))
        prefix = Prefix(problem=talk.problem, steps=steps).for_scorers
        scorer = scorer_of_turns("prm", ScorerRole(scorer=judge), talk, memory).scorer
        return asyncio.run(scorer.score(prefix))

    first = scored(MESSAGES[:3], 'f({"a": 1})')
    assert (first.values, len(first.calls)) == ((0.1, 0.2), 2)  # the first turn was written elsewhere
    second = scored(MESSAGES, "Bye.")
    assert (second.values, len(second.calls), second.usage.output_tokens) == ((0.1, 0.2, 0.3), 1, 1)
    assert [text.partition("\n")[0] for text in judge.judged] == ["One.", 'f({"a": 1})', "Bye."]
