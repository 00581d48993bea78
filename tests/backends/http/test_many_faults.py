"""TRIM over a weak, a strong and a reward model that all go wrong at every fifth call: nothing lost, nothing twice."""

import asyncio
import re
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from typing import Final

import pytest
from tests.backends.http.hostile import Asked, Fault, HostileServer

from steproute.backends.http.server import Server
from steproute.backends.openai.model import OpenAiModel
from steproute.backends.openai.settings import OpenAiSettings
from steproute.core.problem import Problem
from steproute.core.solution import Sampling
from steproute.core.trace import Trace, total_usage
from steproute.core.usage import Price, Purpose
from steproute.engine import metering
from steproute.engine.episode import Episode
from steproute.engine.limiter import Limiter, LimiterSettings
from steproute.engine.limits import Limits
from steproute.engine.roles import ModelRole, Roles, ScorerRole
from steproute.policies.trim.threshold import Threshold
from steproute.scorers.vllm_pooling import PoolingSettings, VllmPoolingScorer
from steproute.strategies.pipelined import Pipelined
from steproute.strategies.stepwise import Stepwise

PRICES: Final = {
    "weak": Price(input=Decimal(1), output=Decimal(10)),
    "strong": Price(input=Decimal(7), output=Decimal(70)),
    "prm": Price(input=Decimal(3), output=Decimal(0)),
}
WRITING: Final = [fault for fault in Fault if fault not in (Fault.NOT_TLS, Fault.HANG, Fault.WRONG_COUNTS)]
PASSING: Final = [fault for fault in WRITING if fault is not Fault.DUPLICATED_CHUNK]  # of a scorer that stays sound


class EveryFifth(HostileServer):
    """Every fifth call of each role is at fault; odd riddles have a first step that scores badly."""

    def __init__(self) -> None:
        super().__init__(self.fault_of)
        self.calls: Counter[str] = Counter()

    def fault_of(self, request: Asked) -> Fault | None:
        role = "prm" if "pooling" in request.path else request.body["model"]
        self.calls[role] += 1
        kinds = PASSING if role == "prm" else WRITING
        return None if self.calls[role] % 5 else kinds[self.calls[role] // 5 % len(kinds)]

    async def _pool(self, request: Asked, writer: asyncio.StreamWriter) -> bool:
        found = re.search(r"Riddle (\d+)\.", request.body["input"])
        if found and int(found.group(1)) % 2 and not request.fault:
            request.prompt_tokens = len(request.body["input"].split())
            pairs = [[0.8, 0.2]] + [[0.1, 0.9]] * (request.body["input"].count("<extra_0>") - 1)
            usage = {"prompt_tokens": request.prompt_tokens}
            return await self._send(writer, 200, {"data": [{"index": 0, "data": pairs}], "usage": usage})
        return await super()._pool(request, writer)


def solve(strategy: Stepwise, count: int, at_once: int = 1000) -> tuple[list[Trace], EveryFifth]:
    async def run() -> tuple[list[Trace], EveryFifth]:
        async with EveryFifth().running() as server:
            address = Server(base_url=server.url, read_s=20.0, total_s=60.0)
            limiters = {role: Limiter(LimiterSettings(failures_to_open=10**6)) for role in PRICES}
            room = asyncio.Semaphore(at_once)
            writers = {
                role: ModelRole(
                    model=OpenAiModel(role, OpenAiSettings(model=role, server=address, template="none")),
                    price=PRICES[role],
                    sampling=Sampling(max_tokens=64),
                    limiter=limiters[role],
                )
                for role in ("weak", "strong")
            }
            scorer = VllmPoolingScorer("prm", PoolingSettings(model="prm", server=address))
            judge = ScorerRole(scorer=scorer, price=PRICES["prm"], limiter=limiters["prm"])
            roles = Roles(models=writers, scorers={"prm": judge})

            async def solved(episode: Episode) -> Trace:
                async with room:
                    return await episode.run(strategy)

            episodes = [
                Episode(Problem.ask(id=str(n), text=f"Riddle {n}."), roles, route="t", limits=Limits(retries=20))
                for n in range(count)
            ]
            return list(await asyncio.gather(*map(solved, episodes))), server

    return asyncio.run(run())


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metering, "_BACKOFF_S", 0.01)


@pytest.mark.parametrize("problems", [250, pytest.param(1000, marks=pytest.mark.long)])
def test_problems_solved_at_once_lose_nothing_and_pay_for_each_token_once(problems: int) -> None:
    traces, server = solve(Stepwise(policy=Threshold(0.5)), problems)
    assert [trace.answer for trace in traces] == ["42"] * problems
    lines = [line for trace in traces for line in trace.account]
    for role in ("weak", "strong"):
        own = total_usage(line for line in lines if line.role == role)
        assert own.output_tokens == sum(x.generated for x in server.asked if x.body.get("model") == role) > 0
    kept = [line for line in lines if line.purpose in (Purpose.ACCEPTED, Purpose.DISCARDED, Purpose.SCORE)]
    sound = [request for request in server.asked if request.fault is None]
    assert len(kept) == len(sound)
    assert total_usage(kept).read_tokens == sum(request.prompt_tokens for request in sound)
    assert sum(trace.cost_usd for trace in traces) == sum(PRICES[line.role].cost(line.usage) for line in lines)
    assert {step.role for trace in traces for step in trace.steps[:1]} == {"weak", "strong"}
    faults = sum(request.fault is not None for request in server.asked)
    assert faults == pytest.approx(0.2 * len(server.asked), rel=0.01)


def test_drafting_ahead_survives_the_same_faults_with_the_same_solutions() -> None:
    plain, _ = solve(Stepwise(policy=Threshold(0.5)), 80)
    ahead, _ = solve(Pipelined(policy=Threshold(0.5), hedge=1.0), 80, at_once=4)  # so that turns are free
    assert [replace(trace, account=(), latency_s=0.0) for trace in ahead] == [
        replace(trace, account=(), latency_s=0.0) for trace in plain
    ]
    kept = (Purpose.ACCEPTED, Purpose.DISCARDED)
    for role in ("weak", "strong"):
        assert [t.generated_tokens(role, *kept) for t in ahead] == [t.generated_tokens(role, *kept) for t in plain]
    cancelled = {line.role for trace in ahead for line in trace.account if line.purpose is Purpose.CANCELLED}
    assert cancelled == {"weak", "strong", "prm"}, "drafts, hedges and scorings ahead came to nothing"
