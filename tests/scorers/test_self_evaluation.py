"""A language model as the judge, over a server on loopback."""

import asyncio
from typing import Any

import pytest
from tests.backends.http.hostile import Asked, Fault
from tests.backends.http.judging import JudgingServer

from steproute.backends.http.server import Server
from steproute.core.errors import BackendError, BackendUnavailable, ConfigError, ScorerError
from steproute.core.problem import Problem
from steproute.core.solution import Meter, Prefix, Scores, Step
from steproute.core.usage import Usage
from steproute.scorers import step_by_step
from steproute.scorers.self_evaluation import SelfEvaluationScorer, SelfEvaluationSettings

RIGHT, WRONG = pytest.approx(0.9 / 0.99), pytest.approx(0.2 / 0.92)


def healthy(**settings: Any) -> JudgingServer:
    return JudgingServer(lambda request: None, **settings)


def prefix_of(*steps: str, session: str = "s") -> Prefix:
    done = tuple(Step(role="weak", text=text, tokens=0) for text in steps)
    return Prefix(problem=Problem.ask(id="p", text="A riddle."), steps=done, session=session)


def scorer_of(server: JudgingServer, **settings: Any) -> SelfEvaluationScorer:
    return SelfEvaluationScorer(
        "judge", SelfEvaluationSettings(model="m", server=Server(base_url=server.url), **settings)
    )


def score(server: JudgingServer, *prefixes: Prefix, **settings: Any) -> list[Scores]:
    async def run() -> list[Scores]:
        async with server.running():
            judge = scorer_of(server, **settings)
            return [await judge.score(prefix) for prefix in prefixes]

    return asyncio.run(run())


def test_every_spelling_of_yes_and_no_counts() -> None:
    (scores,) = score(healthy(), prefix_of("fine", "wrong", "fine"))
    assert scores.values == (RIGHT, WRONG, RIGHT)


def test_a_digit_is_a_share_of_nine() -> None:
    (scores,) = score(healthy(), prefix_of("fine", "wrong"), mode="digit")
    assert scores.values == (pytest.approx(8 / 9), pytest.approx(1 / 9))


def test_a_judge_that_may_think_by_a_further_field_is_billed_for_all_that_is_reported() -> None:
    class Thinking(JudgingServer):
        def _usage(self, request: Asked) -> dict[str, int]:
            return {"prompt_tokens": request.prompt_tokens, "completion_tokens": 312}

    for extra, counted in (({"max_tokens": 400}, 312), ({}, 1)):
        (scores,) = score(Thinking(lambda request: None), prefix_of("a"), mode="digit", extra=extra)
        assert (scores.usage.output_tokens, scores.usage.estimated) == (counted, counted == 1)


@pytest.mark.parametrize("mode", ["yes-no", "digit"])
def test_a_filtered_verdict_is_no_score_and_is_not_retried(mode: str) -> None:
    class Filtering(JudgingServer):
        def _ending(self, request: Asked, reason: str, stopped_at: str | None) -> list[bytes]:
            return super()._ending(request, "content_filter", stopped_at)

    with pytest.raises(BackendError, match="judge: the server's content filter stopped the answer") as caught:
        score(Filtering(lambda request: None), prefix_of("a"), mode=mode)
    assert type(caught.value) is BackendError


@pytest.mark.parametrize("count", [0, None])
def test_a_verdict_without_reported_tokens_counts(count: int | None) -> None:
    class Uncounted(JudgingServer):
        def _usage(self, request: Asked) -> dict[str, Any]:
            return {"prompt_tokens": request.prompt_tokens, "completion_tokens": count}

    (scores,) = score(Uncounted(lambda request: None), prefix_of("a"))
    assert scores.values == (RIGHT,)
    assert (scores.usage.output_tokens, scores.usage.estimated) == (1, True)


def test_only_new_steps_cost_a_call_and_each_call_is_billed_alone() -> None:
    server = healthy()
    one, two, other, again, elsewhere = score(
        server,
        prefix_of("a"),
        prefix_of("a", "b"),
        prefix_of("a", "c wrong", "d"),
        prefix_of("a", "c wrong", "d"),
        prefix_of("a", session="t"),
    )
    assert [len(each.calls) for each in (one, two, other, again, elsewhere)] == [1, 1, 2, 0, 1]
    assert other.values == again.values == (RIGHT, WRONG, RIGHT)
    assert again.usage == Usage()
    assert other.usage == sum((call.usage for call in other.calls), Usage())
    assert other.usage.output_tokens == 2
    assert len(server.asked) == 5


def test_a_step_that_two_calls_want_at_once_is_judged_once() -> None:
    server = healthy(token_s=0.05)

    async def run() -> list[Scores]:
        async with server.running():
            judge = scorer_of(server)
            return list(await asyncio.gather(judge.score(prefix_of("a")), judge.score(prefix_of("a", "b"))))

    one, two = asyncio.run(run())
    assert two.values == (*one.values, RIGHT)
    assert [len(each.calls) for each in (one, two)] == [1, 1]
    assert len(server.asked) == 2


def test_a_cancelled_judgement_is_made_by_the_next_waiter() -> None:
    server = healthy(token_s=0.05)

    async def run() -> Scores:
        async with server.running():
            judge = scorer_of(server)
            first = asyncio.create_task(judge.score(prefix_of("a")))
            second = asyncio.create_task(judge.score(prefix_of("a", "b")))
            while not server.asked:
                await asyncio.sleep(0.001)
            first.cancel()
            return await second

    scores = asyncio.run(run())
    assert scores.values == (RIGHT, RIGHT)
    assert len(scores.calls) == 2


def test_a_step_is_judged_once_though_the_first_to_ask_is_cancelled() -> None:
    server = healthy(token_s=0.05)

    async def run() -> None:
        async with server.running():
            judge = scorer_of(server)
            first = asyncio.create_task(judge.score(prefix_of("a")))
            second = asyncio.create_task(judge.score(prefix_of("a")))
            while not server.asked:
                await asyncio.sleep(0.001)
            first.cancel()
            await asyncio.wait([first])
            await asyncio.gather(second, judge.score(prefix_of("a")))

    asyncio.run(run())
    assert len(server.asked) == 2


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_by_step, "_KEPT", 2)
    server = healthy()
    scores = score(server, prefix_of("a", "b", "c"), prefix_of("a", "b", "c"))
    assert scores[0].values == scores[1].values
    assert len(scores[1].calls) == 1


def test_a_step_is_read_at_the_end_of_what_was_read_before() -> None:
    server = healthy()
    score(server, prefix_of("a"), prefix_of("a", "b"))
    first, second = (request.body["messages"][0]["content"] for request in server.asked)
    question = first.partition("</step>")[2]
    assert second.startswith(first.removesuffix(question))
    assert second.endswith("<step>b</step>" + question)


@pytest.mark.parametrize(
    ("server", "settings", "message"),
    [
        ({"gives_logprobs": False}, {}, "no log-probabilities. Use mode = 'digit'"),
        ({"words": ("Let", "Hmm")}, {}, "yes and no have 0.030 of its first token's probability, 'Let' has more"),
        ({"words": ("seven", "none")}, {"mode": "digit"}, "'seven' is no digit from 0 to 9"),
        ({"words": ("7 of 9", "")}, {"mode": "digit"}, "'7 of 9' is no digit"),
        ({"words": ("12", "")}, {"mode": "digit"}, "'12' is no digit"),
        ({"words": ("7.5", "")}, {"mode": "digit"}, "'7.5' is no digit"),
    ],
)
def test_what_is_no_judgement_is_never_made_into_a_score(
    server: dict[str, Any], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ScorerError, match=message):
        score(healthy(**server), prefix_of("fine"), **settings)


@pytest.mark.parametrize("logprobs", [1, 21])
def test_impossible_numbers_of_alternatives_are_rejected(logprobs: int) -> None:
    with pytest.raises(ConfigError, match="logprobs"):
        SelfEvaluationSettings(model="m", server=Server(base_url="http://127.0.0.1:1"), logprobs=logprobs)


@pytest.mark.parametrize(("kind", "limit"), [("vllm", "max_tokens"), ("openai", "max_completion_tokens")])
def test_a_request_is_in_the_words_of_its_server(kind: str, limit: str) -> None:
    server = healthy()
    score(server, prefix_of("a"), kind=kind, extra={"reasoning_effort": "none"}, question="Well?")
    body = server.asked[0].body
    assert body[limit] == 1
    assert (body["logprobs"], body["top_logprobs"], body["reasoning_effort"]) == (True, 20, "none")
    assert body["messages"][0]["content"].endswith("\n\nWell?")


def test_a_call_that_is_cancelled_in_its_middle_has_used_what_had_come() -> None:
    server, meter = healthy(), Meter()

    async def run() -> None:
        async with server.running():
            judge = scorer_of(server)
            await judge.score(prefix_of("a"), meter)
            server.token_s = 5.0
            task = asyncio.create_task(judge.score(prefix_of("a", "b"), meter))
            while meter.total.output_tokens < 2:
                await asyncio.sleep(0.001)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())
    assert [(usage.output_tokens, usage.estimated) for usage in meter.calls] == [(1, False), (1, True)]


class Counting(JudgingServer):
    """Knows how many requests there were at once."""

    now = most = 0

    async def _stream(self, request: Asked, writer: asyncio.StreamWriter, reader: asyncio.StreamReader) -> bool:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(0.005)
            return await super()._stream(request, writer, reader)
        finally:
            self.now -= 1


def test_the_steps_of_one_score_are_judged_one_after_the_other() -> None:
    server = Counting(lambda request: None)
    (scores,) = score(server, prefix_of("a", "b wrong", "c", "d"))
    assert scores.values == (RIGHT, WRONG, RIGHT, RIGHT)
    assert (server.most, len(server.asked), len(scores.calls)) == (1, 4, 4)


def test_a_failure_ends_the_scoring_and_earlier_judgements_are_kept() -> None:
    faults = iter([None, None, Fault.EARLY_END])
    server, meter = JudgingServer(lambda request: next(faults, None)), Meter()

    async def run() -> Scores:
        async with server.running():
            judge, prefix = scorer_of(server), prefix_of("a", "b", "c", "d")
            with pytest.raises(BackendUnavailable, match="judge: "):
                await judge.score(prefix, meter)
            assert len(server.asked) == 3
            return await judge.score(prefix)

    scores = asyncio.run(run())
    assert [usage.output_tokens for usage in meter.calls] == [1, 1, 1]
    assert [usage.estimated for usage in meter.calls] == [False, False, True]
    assert (len(scores.values), len(scores.calls), len(server.asked)) == (4, 2, 5)
