"""Every fault of a server against a model as the judge: what a user sees, what the trace says, what was paid."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Literal

import pytest
from tests.backends.http.hostile import Asked, Fault
from tests.backends.http.judging import JudgingServer
from tests.backends.http.refusing import RefusingServer

from steproute.backends.http.server import Server
from steproute.backends.openai.model import OpenAiModel
from steproute.backends.openai.settings import OpenAiSettings
from steproute.core.events import Event, Finished
from steproute.core.ports import StepScorer
from steproute.core.problem import Problem
from steproute.core.recording import estimated_tokens
from steproute.core.solution import Outcome, Sampling
from steproute.core.trace import Trace, total_usage
from steproute.core.usage import Price, Purpose, Usage
from steproute.engine import metering
from steproute.engine.episode import Episode
from steproute.engine.limits import Limits
from steproute.engine.roles import ModelRole, Roles, ScorerRole
from steproute.policies.trim.threshold import Threshold
from steproute.scorers.self_evaluation import SelfEvaluationScorer, SelfEvaluationSettings
from steproute.scorers.vllm_pooling import PoolingSettings, VllmPoolingScorer
from steproute.strategies.specreason import SpecReason
from steproute.strategies.stepwise import Stepwise

PRICE, JUDGE_PRICE = Price(input=Decimal(1), output=Decimal(10)), Price(input=Decimal(3), output=Decimal(70))
MODES = ("yes-no", "digit")
UNPAID = {Fault.RATE_LIMITED, Fault.RATE_LIMITED_WITH_WAIT, Fault.SERVER_ERROR, Fault.ERROR_BODY}
SEEN = {
    Fault.RATE_LIMITED: "RateLimited: judge: status 429: slow down",
    Fault.RATE_LIMITED_WITH_WAIT: "RateLimited: judge: status 429: slow down",
    Fault.SERVER_ERROR: "BackendUnavailable: judge: status 500: oops",
    Fault.RESET: "BackendUnavailable: judge: ",
    Fault.EARLY_END: "BackendUnavailable: judge: ",
    Fault.CLEAN_END: "BackendUnavailable: judge: the stream broke off before the answer was complete",
    Fault.HANG: "BackendTimeout: judge: ",
    Fault.TRUNCATED_JSON: "BackendUnavailable: judge: its answer is damaged",
    Fault.INVALID_UTF8: "BackendUnavailable: judge: its answer is damaged",
    Fault.DUPLICATED_CHUNK: "BackendUnavailable: judge: a piece came twice",
    Fault.ERROR_BODY: "BackendUnavailable: judge: status 503: worker died",
    Fault.NOT_TLS: "BackendUnavailable: judge: ",
}
FAULTS = [fault for fault in Fault if fault is not Fault.NOT_TLS]


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metering, "_BACKOFF_S", 0.01)


def solve(
    decide: Callable[[Asked], Fault | None], mode: str, limits: Limits = Limits(), tls: bool = False
) -> tuple[Trace, list[Asked]]:
    """A riddle by SpecReason, and what the judge was asked; `decide` is about the judge's requests alone."""

    async def run() -> tuple[Trace, list[Asked]]:
        hostile = JudgingServer(lambda request: decide(request) if hostile.judges(request) else None)
        async with hostile.running():
            here = Server(base_url=hostile.url, read_s=0.25, total_s=5.0)
            there = Server(base_url=hostile.url.replace("http:", "https:"), read_s=0.25) if tls else here
            judge = SelfEvaluationScorer("judge", SelfEvaluationSettings(model="m", server=there, mode=mode))  # type: ignore[arg-type]
            model = OpenAiModel("m", OpenAiSettings(model="m", server=here, template="none"))
            writer = ModelRole(model=model, price=PRICE, sampling=Sampling(max_tokens=64))
            roles = Roles(
                models={"weak": writer, "strong": writer},
                scorers={"strong": ScorerRole(scorer=judge, price=JUDGE_PRICE)},
            )
            episode = Episode(Problem.ask(id="p", text="A riddle."), roles, route="t", limits=limits)
            trace = await episode.run(SpecReason(policy=Threshold(0.5)))
            return trace, [request for request in hostile.asked if hostile.judges(request)]

    return asyncio.run(run())


def once(fault: Fault) -> Callable[[Asked], Fault | None]:
    """At the second request."""
    hits: Iterator[Fault | None] = iter([None, fault])
    return lambda request: next(hits, None)


def judged(trace: Trace) -> list[tuple[Purpose, int]]:
    """Purpose and output tokens of each line at the judge's price."""
    lines = [line for line in trace.account if line.model == "judge"]
    assert all(line.cost_usd == JUDGE_PRICE.cost(line.usage) for line in lines)
    return [(line.purpose, line.usage.output_tokens) for line in lines]


@pytest.mark.parametrize("mode", MODES)
def test_a_sound_judge_costs_one_line_a_step_to_the_token(mode: str) -> None:
    trace, asked = solve(lambda request: None, mode)
    assert trace.answer == "42"
    assert [step.score for step in trace.steps] == [pytest.approx({"yes-no": 0.9 / 0.99, "digit": 8 / 9}[mode])] * 4
    assert judged(trace) == [(Purpose.SCORE, 1)] * 4
    lines = [line for line in trace.account if line.model == "judge"]
    assert [line.usage.input_tokens for line in lines] == [request.prompt_tokens for request in asked]
    assert not total_usage(lines).estimated
    assert trace.generated_tokens("strong") == 0


def test_verdicts_are_paid_for_but_do_not_use_up_the_writers_token_budget() -> None:
    trace, _ = solve(lambda request: None, "digit")
    written = trace.generated_tokens("weak")
    bound, _ = solve(lambda request: None, "digit", Limits(max_tokens=written))
    assert bound.outcome is Outcome.ANSWERED
    assert bound.cost_usd == trace.cost_usd
    short, _ = solve(lambda request: None, "digit", Limits(max_tokens=written - 1))
    assert short.outcome is Outcome.TOKEN_BUDGET


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_passing_fault_costs_a_retry_and_no_score(mode: str, fault: Fault) -> None:
    trace, asked = solve(once(fault), mode)
    assert trace.answer == "42"
    assert len({step.score for step in trace.steps}) == 1
    scored = [purpose for purpose, _ in judged(trace)]
    if fault is Fault.WRONG_COUNTS:
        assert scored == [Purpose.SCORE] * 4
        assert any(line.usage.estimated for line in trace.account)
        return
    assert len(asked) == 5
    assert Counter(scored) == Counter({Purpose.SCORE: 4, Purpose.RETRY: 0 if fault in UNPAID else 1})


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fault", SEEN)
def test_a_lasting_fault_fails_the_problem_with_its_reason_and_is_paid_for(mode: str, fault: Fault) -> None:
    tls = fault is Fault.NOT_TLS
    trace, asked = solve(lambda request: fault, mode, tls=tls)
    assert trace.outcome is Outcome.FAILED
    assert (trace.error or "").startswith(SEEN[fault])
    assert len(asked) == (0 if tls else 3)
    paid = [] if tls or fault in UNPAID else [Purpose.RETRY] * 3
    assert [purpose for purpose, _ in judged(trace)] == paid


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault is not Fault.WRONG_COUNTS])
def test_a_dead_judge_does_what_the_route_declares(fault: Fault) -> None:
    accepted, _ = solve(lambda request: fault, "yes-no", Limits(retries=0, on_scorer_failure="accept"))
    assert accepted.answer == "42"
    assert {step.role for step in accepted.steps} == {"weak"}
    regenerated, _ = solve(lambda request: fault, "yes-no", Limits(retries=0, on_scorer_failure="regenerate"))
    assert {step.role for step in regenerated.steps} == {"strong"}
    assert len(regenerated.notes) == 4
    assert "the scorer failed" in regenerated.notes[0]


@pytest.mark.parametrize("fault", [Fault.WRONG_COUNTS, Fault.DUPLICATED_CHUNK])
def test_a_reward_model_that_gives_a_wrong_number_of_scores_is_paid_for(fault: Fault) -> None:
    async def run() -> tuple[Trace, Asked]:
        async with JudgingServer(lambda request: fault if "pooling" in request.path else None).running() as hostile:
            here = Server(base_url=hostile.url)
            judge = VllmPoolingScorer("prm", PoolingSettings(model="m", server=here))
            model = OpenAiModel("m", OpenAiSettings(model="m", server=here, template="none"))
            roles = Roles(
                models={"weak": ModelRole(model=model)}, scorers={"prm": ScorerRole(scorer=judge, price=JUDGE_PRICE)}
            )
            episode = Episode(Problem.ask(id="p", text="A riddle."), roles, route="t")
            return await episode.run(Stepwise(policy=Threshold(0.5))), hostile.asked[-1]

    trace, asked = asyncio.run(run())
    assert "pairs for 1 steps" in (trace.error or "")
    (line,) = [line for line in trace.account if line.role == "prm"]
    assert line.usage.input_tokens == asked.prompt_tokens
    assert line.cost_usd == JUDGE_PRICE.cost(line.usage)


def test_a_judgement_that_is_cancelled_is_paid_for() -> None:
    events: list[Event] = []

    async def run() -> Asked:
        hostile = JudgingServer(lambda request: Fault.HANG if "pooling" in request.path else None)
        async with hostile.running():
            here = Server(base_url=hostile.url)
            judge = VllmPoolingScorer("prm", PoolingSettings(model="m", server=here))
            model = OpenAiModel("m", OpenAiSettings(model="m", server=here, template="none"))
            roles = Roles(
                models={"weak": ModelRole(model=model)}, scorers={"prm": ScorerRole(scorer=judge, price=JUDGE_PRICE)}
            )
            episode = Episode(Problem.ask(id="p", text="A riddle."), roles, route="t", on_event=events.append)
            solving = asyncio.create_task(episode.run(Stepwise(policy=Threshold(0.5))))
            while not hostile.asked or "pooling" not in hostile.asked[-1].path:
                await asyncio.sleep(0.001)
            solving.cancel()
            await asyncio.gather(solving, return_exceptions=True)
            return hostile.asked[-1]

    asked = asyncio.run(run())
    assert isinstance(events[-1], Finished)
    (line,) = [line for line in events[-1].trace.account if line.role == "prm"]
    assert line.purpose is Purpose.CANCELLED
    assert line.usage == Usage(input_tokens=estimated_tokens(asked.body["input"]), estimated=True)
    assert line.cost_usd == JUDGE_PRICE.cost(line.usage)


@pytest.mark.parametrize("backend", ["vllm-pooling", "self-evaluation"])
@pytest.mark.parametrize("declared", ["fail", "accept", "regenerate"])
def test_a_judge_whose_context_is_too_small_is_a_scorer_that_failed(
    backend: str, declared: Literal["fail", "accept", "regenerate"]
) -> None:
    def judges(request: Asked) -> bool:
        return "pooling" in request.path or "<step>" in str(request.body)

    async def run() -> Trace:
        full = {"error": {"message": "This model's maximum context length is 8 tokens", "code": 400}}
        async with RefusingServer(body=full, refuses=judges).running() as server:
            here = Server(base_url=server.url)
            judge: StepScorer = VllmPoolingScorer("judge", PoolingSettings(model="m", server=here))
            if backend == "self-evaluation":
                judge = SelfEvaluationScorer("judge", SelfEvaluationSettings(model="m", server=here))
            writer = ModelRole(model=OpenAiModel("m", OpenAiSettings(model="m", server=here, template="none")))
            roles = Roles(models={"weak": writer, "strong": writer}, scorers={"prm": ScorerRole(scorer=judge)})
            limits = Limits(on_scorer_failure=declared)
            episode = Episode(Problem.ask(id="p", text="A riddle."), roles, route="t", limits=limits)
            return await episode.run(Stepwise(policy=Threshold(0.5)))

    trace = asyncio.run(run())
    said = "judge: step 1 does not fit into its context (judge: status 400: This model's maximum context length is 8"
    assert not [line for line in trace.account if line.role == "prm"]
    if declared == "fail":
        assert trace.outcome is Outcome.FAILED
        assert (trace.error or "").startswith(f"ScorerError: {said}")
        return
    assert trace.answer == "42"
    assert {step.role for step in trace.steps} == {"weak" if declared == "accept" else "strong"}
    assert said in trace.notes[0]
