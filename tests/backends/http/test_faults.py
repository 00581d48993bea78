"""Every fault of a server against every way to talk to one: what a user sees, what the trace says, what was paid."""

import asyncio
from collections import Counter
from collections.abc import Callable
from decimal import Decimal

import pytest
from tests.backends.http.hostile import Asked, Fault, HostileServer
from tests.backends.http.hostile_anthropic import HostileAnthropic

from steproute.backends.anthropic.model import AnthropicModel, AnthropicSettings
from steproute.backends.http.server import Server
from steproute.backends.openai.model import OpenAiModel
from steproute.backends.openai.settings import OpenAiSettings
from steproute.core.ports import Continuation, StepModel
from steproute.core.problem import Problem
from steproute.core.solution import Outcome, Sampling
from steproute.core.trace import Trace
from steproute.core.usage import Price, Purpose
from steproute.engine import metering
from steproute.engine.episode import Episode
from steproute.engine.limits import Limits
from steproute.engine.roles import ModelRole, Roles, ScorerRole
from steproute.policies.baselines.random import RandomRouting
from steproute.policies.trim.threshold import Threshold
from steproute.scorers.vllm_pooling import PoolingSettings, VllmPoolingScorer
from steproute.strategies.stepwise import Stepwise

PROBLEM = Problem.ask(id="p", text="A riddle.")
PRICE = Price(input=Decimal(1), output=Decimal(10))
MODES: dict[str, dict[str, object]] = {
    "completions": {"template": "none"},
    "completions, rendered by the server": {},
    "completions, cut by the client": {"template": "none", "stop": "client"},
    "continue_final_message": {"continuation": Continuation.CONTINUE_FINAL_MESSAGE},
    "instruct": {"continuation": Continuation.INSTRUCT, "kind": "openai"},
    "prefill": {"continuation": Continuation.PREFILL, "kind": "llama.cpp", "stop": "client"},
    "Messages API, instruct": {"api": "anthropic"},
    "Messages API, prefill": {"api": "anthropic", "continuation": Continuation.PREFILL},
}
COUNTED_ONLY_AT_THE_END = (
    "completions, cut by the client",
    "prefill",
    "Messages API, instruct",
    "Messages API, prefill",
)
REFUSALS = {Fault.RATE_LIMITED, Fault.RATE_LIMITED_WITH_WAIT, Fault.SERVER_ERROR, Fault.ERROR_BODY}
SEEN = {
    Fault.RATE_LIMITED: "RateLimited: m: status 429: slow down",
    Fault.RATE_LIMITED_WITH_WAIT: "RateLimited: m: status 429: slow down",
    Fault.SERVER_ERROR: "BackendUnavailable: m: status 500: oops",
    Fault.RESET: "BackendUnavailable: m: ",
    Fault.EARLY_END: "BackendUnavailable: m: ",
    Fault.CLEAN_END: "BackendUnavailable: m: the stream broke off before the answer was complete",
    Fault.HANG: "BackendTimeout: m: ",
    Fault.TRUNCATED_JSON: "BackendUnavailable: m: its answer is damaged",
    Fault.INVALID_UTF8: "BackendUnavailable: m: its answer is damaged",
    Fault.DUPLICATED_CHUNK: "BackendUnavailable: m: a piece came twice",
    Fault.ERROR_BODY: "BackendUnavailable: m: status 503: worker died",
    Fault.NOT_TLS: "BackendUnavailable: m: ",
}
UNNOTICED = {
    (mode, Fault.DUPLICATED_CHUNK): "no counts come with the pieces"
    for mode in ("instruct", "prefill", "Messages API, instruct", "Messages API, prefill")
}


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metering, "_BACKOFF_S", 0.01)


def server_of(hostile: HostileServer, tls: bool = False) -> Server:
    return Server(base_url=hostile.url.replace("http:", "https:") if tls else hostile.url, read_s=0.25, total_s=5.0)


def writer_of(hostile: HostileServer, tls: bool = False, api: str = "openai", **settings: object) -> ModelRole:
    model: StepModel
    if api == "anthropic":
        model = AnthropicModel("m", AnthropicSettings(model="m", server=server_of(hostile, tls), **settings))  # type: ignore[arg-type]
    else:
        model = OpenAiModel("m", OpenAiSettings(model="m", server=server_of(hostile, tls), **settings))  # type: ignore[arg-type]
    return ModelRole(model=model, price=PRICE, sampling=Sampling(max_tokens=64))


def solve(decide: Callable[[Asked], Fault | None], tls: bool = False, **settings: object) -> tuple[Trace, list[Asked]]:
    async def run() -> tuple[Trace, list[Asked]]:
        server = HostileAnthropic if settings.get("api") == "anthropic" else HostileServer
        async with server(decide).running() as hostile:
            roles = Roles(models={"weak": writer_of(hostile, tls, **settings)})  # type: ignore[arg-type]
            episode = Episode(PROBLEM, roles, route="t", limits=Limits(retries=2))
            return await episode.run(Stepwise(policy=RandomRouting.at(0.0, 0))), hostile.asked

    return asyncio.run(run())


def generates(asked: Asked) -> bool:
    return "completions" in asked.path or "messages" in asked.path


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.NOT_TLS])
def test_a_passing_fault_costs_a_retry_and_no_answer(mode: str, fault: Fault) -> None:
    hit = iter([None, fault])
    trace, asked = solve(lambda request: next(hit, None) if generates(request) else None, **MODES[mode])
    assert trace.outcome is Outcome.ANSWERED
    if (mode, fault) in UNNOTICED:
        return
    assert trace.answer == "42"
    assert [step.text for step in trace.steps] == [
        *(f"Step {n}: so then" for n in (1, 2, 3)),
        "Step 4: so \\boxed{42}",
    ]
    retried = trace.generated_tokens("weak", Purpose.RETRY)
    if fault is Fault.WRONG_COUNTS:
        assert retried == 0
        assert any(line.usage.estimated for line in trace.account)
        return
    assert len([request for request in asked if request.fault]) == 1
    assert (retried > 0) == (fault not in REFUSALS | {Fault.HANG})
    if mode not in COUNTED_ONLY_AT_THE_END:
        assert trace.generated_tokens("weak") == sum(request.generated for request in asked)
    elif mode == "Messages API, instruct":
        whole = [request.generated for request in asked if not request.fault]
        assert trace.generated_tokens("weak", Purpose.ACCEPTED) == sum(whole)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fault", SEEN)
def test_a_lasting_fault_fails_the_problem_with_its_reason_and_is_paid_for(mode: str, fault: Fault) -> None:
    if (mode, fault) in UNNOTICED:
        pytest.skip(UNNOTICED[mode, fault])
    tls = fault is Fault.NOT_TLS
    trace, asked = solve(lambda request: fault if generates(request) and not tls else None, tls, **MODES[mode])
    assert trace.outcome is Outcome.FAILED
    assert trace.failed
    assert (trace.error or "").startswith(SEEN[fault])
    assert len([request for request in asked if request.fault]) == (0 if tls else 3)
    assert Counter(line.purpose for line in trace.account) == ({} if fault in REFUSALS or tls else {Purpose.RETRY: 3})
    assert all(line.usage.input_tokens for line in trace.account)


def scored(decide: Callable[[Asked], Fault | None], limits: Limits, tls: bool = False) -> Trace:
    async def run() -> Trace:
        async with HostileServer(decide).running() as hostile:
            judge = VllmPoolingScorer("m", PoolingSettings(model="m", server=server_of(hostile, tls)))
            writer = writer_of(hostile, template="none")
            roles = Roles(
                models={"weak": writer, "strong": writer}, scorers={"prm": ScorerRole(scorer=judge, price=PRICE)}
            )
            return await Episode(PROBLEM, roles, route="t", limits=limits).run(Stepwise(policy=Threshold(0.5)))

    return asyncio.run(run())


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.NOT_TLS])
def test_a_scorer_that_fails_once_is_asked_again_unless_it_is_plainly_wrong(fault: Fault) -> None:
    hit = iter([None, fault])
    trace = scored(lambda request: next(hit, None) if "pooling" in request.path else None, Limits())
    if fault in (Fault.WRONG_COUNTS, Fault.DUPLICATED_CHUNK):
        assert trace.outcome is Outcome.FAILED
        assert "pairs for 2 steps" in (trace.error or "")
        return
    assert trace.answer == "42"
    assert [step.score for step in trace.steps] == [0.9] * 4
    assert len([line for line in trace.account if line.purpose is Purpose.SCORE]) == 4


@pytest.mark.parametrize("fault", [fault for fault in SEEN if fault not in (Fault.DUPLICATED_CHUNK, Fault.CLEAN_END)])
def test_a_scorer_that_took_the_request_is_paid_for_though_no_answer_came(fault: Fault) -> None:
    tls = fault is Fault.NOT_TLS
    trace = scored(lambda request: fault if "pooling" in request.path else None, Limits(retries=1), tls)
    assert (trace.error or "").startswith(SEEN[fault])
    lines = [line for line in trace.account if line.role == "prm"]
    assert [line.purpose for line in lines] == ([] if tls or fault in REFUSALS else [Purpose.RETRY] * 2)
    assert all(line.usage.estimated and line.usage.input_tokens > 20 for line in lines)
    assert all(line.cost_usd == PRICE.cost(line.usage) > 0 for line in lines)


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.NOT_TLS])
def test_a_dead_scorer_does_what_the_route_declares(fault: Fault) -> None:
    def dead(request: Asked) -> Fault | None:
        return fault if "pooling" in request.path else None

    accepted = scored(dead, Limits(retries=0, on_scorer_failure="accept"))
    assert accepted.answer == "42"
    assert {step.role for step in accepted.steps} == {"weak"}
    regenerated = scored(dead, Limits(retries=0, on_scorer_failure="regenerate"))
    assert {step.role for step in regenerated.steps} == {"strong"}
    assert len(regenerated.notes) == 4
    assert "the scorer failed" in regenerated.notes[0]


def test_a_dead_strong_leaves_weaks_step_where_the_route_says_so() -> None:
    async def run() -> Trace:
        def decide(request: Asked) -> Fault | None:
            return Fault.SERVER_ERROR if request.body.get("model") == "strong" else None

        async with HostileServer(decide).running() as hostile:
            settings = OpenAiSettings(model="strong", server=server_of(hostile), template="none")
            strong = ModelRole(model=OpenAiModel("strong", settings), price=PRICE, sampling=Sampling(max_tokens=64))
            judge = VllmPoolingScorer("prm", PoolingSettings(model="m", server=server_of(hostile)))
            roles = Roles(
                models={"weak": writer_of(hostile, template="none"), "strong": strong},
                scorers={"prm": ScorerRole(scorer=judge)},
            )
            limits = Limits(retries=0, on_strong_failure="accept")
            return await Episode(PROBLEM, roles, route="t", limits=limits).run(Stepwise(policy=Threshold(0.95)))

    trace = asyncio.run(run())
    assert trace.answer == "42"
    assert {step.role for step in trace.steps} == {"weak"}
    assert len(trace.notes) == 4
