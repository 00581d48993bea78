import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from statistics import mean
from typing import Any

import pytest
from benchmarks.lockstep import Lockstep

from steproute import Draft, Episode, Limits, Meter, Outcome, Prefix, Purpose, Sampling, Stop
from steproute.core.ports import StepModel, StepScorer, Strategy
from steproute.core.trace import Trace
from steproute.policies.trim.threshold import Threshold, ThresholdTakeover
from steproute.simulation.servers import Generating, GeneratingServer, Reading, ReadingServer
from steproute.simulation.virtual_time import run_virtually
from steproute.simulation.world import SimModel, SimScorer, SimWorld
from steproute.strategies.pipelined import Pipelined
from steproute.strategies.single import Single
from steproute.strategies.stepwise import Stepwise

WORLD = SimWorld()
SPEED = Generating(request_s=0.0, read_s=0.01, token_s=1.0, token_s_per_request=0.5, slots=2)


async def finished_at(calls: list[Coroutine[Any, Any, None]]) -> list[float]:
    async def timed(call: Coroutine[Any, Any, None]) -> float:
        await call
        return asyncio.get_running_loop().time()

    return list(await asyncio.gather(*(timed(call) for call in calls)))


def solve(
    strategy: Strategy[Episode], world: SimWorld = WORLD, count: int = 24, limits: Limits = Limits()
) -> list[Trace]:
    async def all_at_once() -> list[Trace]:
        roles = world.roles()
        episodes = (Episode(problem, roles, route="t", limits=limits) for problem in world.problems(count))
        return await asyncio.gather(*(episode.run(strategy) for episode in episodes))

    return run_virtually(all_at_once())


def test_requests_share_a_server_and_the_third_waits_for_a_slot() -> None:
    async def main() -> list[float]:
        server = GeneratingServer(SPEED)
        return await finished_at([server.generate(tokens, 0, lambda n: None) for tokens in (2, 4, 1)])

    # two at 1.5 s a token: the first ends at 3, the third takes its slot and ends at 4.5; the second has 3 of its 4
    # tokens by then and is alone for the last
    assert run_virtually(main()) == pytest.approx([3.0, 5.5, 4.5])


def test_a_cancelled_request_is_billed_for_its_whole_tokens_and_frees_its_slot() -> None:
    counted: list[int] = []

    async def main() -> list[float]:
        server = GeneratingServer(replace(SPEED, slots=1))
        task = asyncio.create_task(server.generate(100, 100, counted.append))
        other = asyncio.create_task(finished_at([server.generate(2, 0, lambda n: None)]))
        await asyncio.sleep(1.0 + 7.5)
        task.cancel()
        return await other

    assert run_virtually(main()) == pytest.approx([10.5])
    assert counted == [0, 7]


@pytest.mark.parametrize(
    ("batch", "passes", "ends"), [(1, 1, [1.1, 2.2, 3.3]), (1, 2, [1.1, 1.1, 2.2]), (2, 1, [1.1, 2.3, 2.3])]
)
def test_a_reading_server_batches_what_waits(batch: int, passes: int, ends: list[float]) -> None:
    async def main() -> list[float]:
        server = ReadingServer(Reading(request_s=0.0, pass_s=1.0, read_s=0.01, batch=batch, passes=passes))
        return await finished_at([server.read(10) for _ in range(3)])

    assert run_virtually(main()) == pytest.approx(ends)


def test_the_simulated_parts_are_models_and_scorers() -> None:
    roles = WORLD.roles()
    assert isinstance(roles.model("weak").model, StepModel)
    assert isinstance(roles.scorer().scorer, StepScorer)


def test_a_run_repeats_exactly_and_its_traces_carry_virtual_latencies() -> None:
    first, second = (solve(Pipelined(policy=Threshold(0.5), hedge=0.9)) for _ in range(2))
    assert first == second
    assert all(2 < trace.latency_s < 300 for trace in first)
    assert any(line.purpose is Purpose.CANCELLED and 0 < line.latency_s < 60 for t in first for line in t.account)


@pytest.mark.parametrize("hedge", [0.0, 1.01])
def test_drafting_ahead_changes_the_time_and_nothing_else(hedge: float) -> None:
    slow = replace(WORLD, prm=replace(WORLD.prm, request_s=0.4))
    plain = solve(Stepwise(policy=Threshold(0.5)), slow)
    ahead = solve(Pipelined(policy=Threshold(0.5), hedge=hedge), slow)
    assert [(t.steps, t.outcome) for t in ahead] == [(t.steps, t.outcome) for t in plain]
    assert mean(t.latency_s for t in ahead) < 0.9 * mean(t.latency_s for t in plain)
    for role in ("weak", "strong"):
        spent = sum(t.generated_tokens(role) for t in ahead) - sum(t.generated_tokens(role) for t in plain)
        assert spent == sum(t.generated_tokens(role, Purpose.CANCELLED) for t in ahead)


def test_takeover_and_lockstep_have_the_solutions_of_stepwise_too() -> None:
    policy = ThresholdTakeover(0.6)
    plain = solve(Stepwise(policy=policy, takeover_steps=2))
    for strategy in (Pipelined(policy=policy, takeover_steps=2), Lockstep(policy=policy, takeover_steps=2)):
        assert [t.steps for t in solve(strategy)] == [t.steps for t in plain]


def test_lockstep_waits_for_the_slowest() -> None:
    plain, rounds = solve(Stepwise(policy=Threshold(0.5))), solve(Lockstep(policy=Threshold(0.5)))
    assert max(t.latency_s for t in rounds) > max(t.latency_s for t in plain)
    assert min(t.latency_s for t in rounds) > 2 * min(t.latency_s for t in plain)


def test_a_problem_that_fails_does_not_hold_the_others_up() -> None:
    class Refusing(Threshold):
        def decide(self, seen: Any) -> Any:
            if seen.prefix.problem.id == "sim-0-0":
                raise asyncio.CancelledError
            return super().decide(seen)

    async def main() -> list[Trace | BaseException]:
        roles, strategy = WORLD.roles(), Lockstep(policy=Refusing(0.5))
        episodes = [Episode(problem, roles, route="t").run(strategy) for problem in WORLD.problems(3)]
        return await asyncio.gather(*episodes, return_exceptions=True)

    first, *others = run_virtually(main())
    assert isinstance(first, asyncio.CancelledError)
    assert [trace.outcome for trace in others if isinstance(trace, Trace)] == [Outcome.ANSWERED] * 2


def test_steps_follow_the_world() -> None:
    traces = solve(Single("weak"), count=400)
    lengths = [step.tokens for trace in traces for step in trace.steps]
    right = [step.text.startswith("right") for trace in traces for step in trace.steps]
    assert mean(lengths) == pytest.approx(WORLD.step_tokens, rel=0.05)
    assert sorted(lengths)[int(0.95 * len(lengths))] > 2.5 * sorted(lengths)[len(lengths) // 2]
    assert mean(right) == pytest.approx(WORLD.weak_right, abs=0.02)
    assert all(trace.answer == str(int(all(s.text.startswith("right") for s in trace.steps))) for trace in traces)


def test_scores_tell_right_from_wrong_and_stay_with_their_step() -> None:
    traces = solve(Stepwise(policy=Threshold(0.0)), count=60)
    by_state: dict[str, list[float]] = {"right": [], "wrong": [], "later": []}
    for trace in traces:
        lost = False
        for step in trace.steps:
            assert step.score is not None
            by_state["later" if lost else step.text.partition(" ")[0]].append(step.score)
            lost |= step.text.startswith("wrong")
    assert mean(by_state["right"]) > 0.9 > 0.75 > mean(by_state["later"]) > 0.45 > mean(by_state["wrong"])


def drafted(call: Callable[[SimModel, Prefix], Coroutine[Any, Any, list[Draft]]]) -> list[Draft]:
    model = SimModel("m", WORLD, WORLD.weak, 0.9)
    return run_virtually(call(model, Prefix(problem=WORLD.problems(1)[0], session="s")))


@pytest.mark.parametrize("stop", ["\n\n", None])
def test_a_draft_is_cut_at_the_token_limit(stop: str | None) -> None:
    (draft,) = drafted(lambda model, prefix: model.propose(prefix, 1, Sampling(max_tokens=5, stop=stop, seed=1)))
    assert (draft.stop, draft.usage.output_tokens) == (Stop.LENGTH, 5)


def test_several_drafts_are_paid_for_together_and_a_known_prompt_is_cached() -> None:
    meter = Meter()
    first, second = drafted(lambda model, prefix: model.propose(prefix, 2, Sampling(seed=3), meter))
    assert first.text != second.text
    assert (first.usage.input_tokens, second.usage.cache_read_tokens) == (WORLD.problem_tokens, WORLD.problem_tokens)
    assert meter.usage == first.usage + second.usage


def test_scoring_has_its_share_of_the_latency() -> None:
    scorer = SimScorer(replace(WORLD, prm=Reading(request_s=1.0, pass_s=0.5, read_s=0.01)))
    prefix = Prefix(problem=WORLD.problems(1)[0], session="s")
    assert run_virtually(scorer.score(prefix)).latency_s == pytest.approx(1.0 + 0.5 + 0.01 * WORLD.problem_tokens)
