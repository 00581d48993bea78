"""A model that starts its solution over: its reply is sent back, and each of the two calls is a line of the account."""

import asyncio
import re
from typing import Any

from tests.backends.http.hostile import HostileServer
from tests.backends.http.test_faults import PROBLEM, writer_of

from steproute.core.ports import Continuation
from steproute.core.solution import Outcome
from steproute.core.trace import Trace
from steproute.core.usage import Purpose
from steproute.engine.episode import Episode
from steproute.engine.roles import Roles
from steproute.policies.baselines.random import RandomRouting
from steproute.strategies.stepwise import Stepwise


class StartsOver(HostileServer):
    """Writes the next step only once it is told that the first one is there, and not even then where it is stubborn."""

    stubborn = False

    def _pieces(self, said: str, stops: bool, one_step: bool) -> list[str | None]:
        there = len(set(re.findall(r"Step \d", said)))
        told = "there already" in said and not self.stubborn
        return super()._pieces("Step" * there if told else "", stops, one_step)


def solve(stubborn: bool = False, **settings: Any) -> tuple[Trace, StartsOver]:
    async def run() -> tuple[Trace, StartsOver]:
        server = StartsOver(lambda request: None)
        server.stubborn = stubborn
        async with server.running():
            writer = writer_of(server, continuation=Continuation.INSTRUCT, kind="openai", **settings)
            episode = Episode(PROBLEM, Roles(models={"weak": writer}), route="t")
            return await episode.run(Stepwise(policy=RandomRouting.at(0.0, 0))), server

    return asyncio.run(run())


def test_a_reply_that_is_sent_back_has_a_line_of_its_own() -> None:
    trace, server = solve()
    assert (trace.outcome, trace.answer) == (Outcome.ANSWERED, "42")
    assert len(server.asked) == 7, "one for the first step, and two for each of the others"
    purposes = [line.purpose for line in trace.account]
    assert purposes == [Purpose.ACCEPTED, *([Purpose.RETRY, Purpose.ACCEPTED] * 3)]
    assert [line.usage.output_tokens for line in trace.account] == [request.generated for request in server.asked]
    assert [line.usage.read_tokens for line in trace.account] == [request.prompt_tokens for request in server.asked]
    assert sum(step.tokens for step in trace.steps) == trace.generated_tokens("weak", Purpose.ACCEPTED)


def test_a_second_reply_that_starts_over_fails_the_problem_with_both_paid_for() -> None:
    trace, server = solve(stubborn=True)
    assert trace.failed
    assert "starts the solution over" in (trace.error or "")
    assert [line.purpose for line in trace.account] == [Purpose.ACCEPTED, Purpose.RETRY, Purpose.RETRY]
    assert [line.usage.output_tokens for line in trace.account] == [request.generated for request in server.asked]
