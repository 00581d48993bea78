"""What is remembered of an agent's earlier turns, and what is judged again."""

import asyncio
from typing import Any

from steproute.core.chat import ChatRequest
from steproute.core.decision import Accept
from steproute.core.solution import ENVIRONMENT, Meter, Prefix, Scores, Step
from steproute.core.usage import Usage
from steproute.core.usage_bounds import most_scored
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


def scored(
    judge: Judging, memory: TurnMemory, messages: list[dict[str, Any]], draft: str
) -> tuple[Scores, Conversation]:
    """The scores of a conversation with a draft, which is then accepted."""
    talk = conversation(memory, messages)
    step = Step(role="weak", text=draft, tokens=1)
    prefix = Prefix(problem=talk.problem, steps=(*talk.steps, step)).for_scorers
    scorer = scorer_of_turns("prm", ScorerRole(scorer=judge), talk, memory).scorer
    scores = asyncio.run(scorer.score(prefix))
    memory.keep_turn(talk.key_of_next(draft), step)
    return scores, talk


def test_a_judge_of_single_steps_judges_each_turn_once() -> None:
    """Not those of other processes, of which nothing is known: they count as if they were not there."""
    judge, memory = Judging(), TurnMemory()
    first, _ = scored(judge, memory, MESSAGES[:3], 'f({"a": 1})')
    assert (first.values, len(first.calls)) == ((1.0, 0.2), 1)
    second, _ = scored(judge, memory, MESSAGES, "Bye.")
    assert (second.values, len(second.calls), second.usage.output_tokens) == ((1.0, 0.2, 0.3), 1, 1)
    assert [text.partition("\n")[0] for text in judge.judged] == ['f({"a": 1})', "Bye."]


def test_a_turn_that_was_accepted_unjudged_is_judged_with_the_next() -> None:
    """As what a stronger model wrote: a policy never saw its score."""
    judge, memory = Judging(), TurnMemory()
    talk = conversation(memory, MESSAGES[:3])
    memory.keep_turn(talk.key_of_next('f({"a": 1})'), Step(role="strong", text="", tokens=1))
    scores, _ = scored(judge, memory, MESSAGES, "Bye.")
    assert (scores.values, len(scores.calls)) == ((1.0, 0.2, 0.3), 2)


def test_a_long_conversation_that_no_process_remembers_is_judged_once() -> None:
    """What is reserved for it is one reading, so a restart does not make a conversation unaffordable."""
    judge, memory = Judging(), TurnMemory()
    messages = [*MESSAGES[:1], *(MESSAGES[1:3] * 200)]
    scores, talk = scored(judge, memory, messages, "Bye.")
    assert (len(scores.values), scores.values[-2:], len(judge.judged)) == (201, (1.0, 20.1), 1)
    role = scorer_of_turns("prm", ScorerRole(scorer=judge), talk, TurnMemory())
    prefix = Prefix(problem=talk.problem, steps=talk.steps).for_scorers
    assert most_scored(role.scorer, prefix) == most_scored(judge, prefix)


def test_memory_is_bounded_by_turns_however_many_conversations_there_are() -> None:
    memory = TurnMemory(kept=1000)
    for number in range(10_000):
        talk = conversation(memory, [{**MESSAGES[0], "content": f"Task {number}: " + "long " * 100}, *MESSAGES[1:3]])
        key = talk.key_of_next("Bye.")
        memory.keep_turn(key, Step(role="weak", text="long " * 100, tokens=1, rejected="long"))
        memory.keep_score(key, "prm", 0.5)
    assert [len(table) for table in (memory._turns, memory._scores)] == [1000, 1000]
    assert conversation(memory, [*MESSAGES[:3], {"role": "assistant", "content": "Bye."}]).steps[-1].role == UNKNOWN
    known = memory.turn(key)
    assert known is not None
    assert (known.text, known.rejected) == ("", None)
