import asyncio
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from decimal import Decimal
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engine.test_episode import PROBLEM, WEAK_PRICE, Fail, Hang, Say, Stage, check_law, limits, replies

from steproute import Draft, Episode, Limits, Meter, Outcome, Prefix, Problem, Purpose, Sampling, Scores, Stop, Usage
from steproute.config import build_strategy, lab_roles
from steproute.core.errors import BackendError, BackendUnavailable, ConfigError, ContextOverflow
from steproute.core.events import Accepted, Decided, Drafted, Event, Finished
from steproute.core.ports import Policy
from steproute.core.trace import Trace
from steproute.engine import metering
from steproute.engine.limiter import Limiter, LimiterSettings
from steproute.engine.roles import ModelRole, Roles, ScorerRole
from steproute.lab.story import generate
from steproute.policies.baselines.random import RandomRouting
from steproute.policies.trim.threshold import Threshold, ThresholdTakeover
from steproute.simulation.virtual_time import run_virtually
from steproute.strategies.pipelined import Pipelined
from steproute.strategies.stepwise import Stepwise


def pipelined(threshold: float = 0.5, hedge: float = 0.0, lookahead: int = 1) -> Pipelined:
    return Pipelined(policy=Threshold(threshold), hedge=hedge, lookahead=lookahead)


def solution(trace: Trace) -> tuple[object, ...]:
    """All that a strategy decides, and nothing of what it cost."""
    return trace.steps, trace.answer, trace.outcome, trace.error, trace.notes


class SeededModel:
    """Writes what its seed says: a step of some length, sometimes empty of meaning, sometimes the last."""

    def __init__(self, name: str) -> None:
        self.name, self.generated = name, 0

    async def propose(
        self, prefix: Prefix, n: int = 1, sampling: Sampling = Sampling(), meter: Meter | None = None
    ) -> list[Draft]:
        kind, tokens, waits = sampling.seed % 11, 1 + sampling.seed // 11 % 9, sampling.seed // 100 % 7
        for token in range(min(tokens, sampling.max_tokens)):
            self.generated += 1
            if meter is not None:
                meter.usage = Usage(input_tokens=3, output_tokens=token + 1)
            if token <= waits:
                await asyncio.sleep(0)
        text = "---" if kind < 2 else f"{self.name} {sampling.seed}" + (" \\boxed{1}" if kind == 10 else "")
        stop = Stop.SEPARATOR if tokens <= sampling.max_tokens else Stop.LENGTH
        stop = Stop.END if sampling.stop is None else stop
        used = Usage(input_tokens=3, output_tokens=min(tokens, sampling.max_tokens))
        return [Draft(model=self.name, text=text, stop=stop, usage=used)]


class SeededScorer:
    """Scores a step by its text, after so many turns of the loop."""

    name = "seeded"

    async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
        values = tuple((sum(map(ord, step.text)) * 37 % 101) / 100 for step in prefix.steps)
        for _ in range(int(values[-1] * 12)):
            await asyncio.sleep(0)
        return Scores(values=values, model=self.name, usage=Usage(input_tokens=5))


def seeded(
    strategy: Stepwise, limits: Limits, seed: int, on_event: Callable[[Event], None] = lambda event: None
) -> tuple[Trace, SeededModel, SeededModel]:
    weak, strong = SeededModel("w"), SeededModel("s")
    sampling = Sampling(max_tokens=20)
    roles = Roles(
        models={
            "weak": ModelRole(model=weak, sampling=sampling),
            "strong": ModelRole(model=strong, sampling=sampling),
        },
        scorers={"prm": ScorerRole(scorer=SeededScorer())},
    )
    episode = Episode(PROBLEM, roles, route="t", limits=limits, seed=seed, on_event=on_event)
    return asyncio.run(alone(episode.run(strategy))), weak, strong


async def alone(running: object) -> Trace:
    """The trace, where no task is left behind."""
    trace: Trace = await running  # type: ignore[misc]
    assert asyncio.all_tasks() == {asyncio.current_task()}
    return trace


policies = st.one_of(
    st.builds(Threshold, st.floats(0, 1)),
    st.builds(ThresholdTakeover, st.floats(0, 1)),
    st.builds(RandomRouting, st.floats(0, 1)),
)


@settings(max_examples=200, deadline=None)
@given(
    policy=policies,
    hedge=st.sampled_from([0.0, 0.5, 1.0]),
    lookahead=st.integers(1, 5),
    takeover_steps=st.none() | st.integers(1, 3),
    max_steps=st.integers(1, 12),
    max_tokens=st.none() | st.integers(1, 60) | st.integers(1000, 20_000),
    seed=st.integers(0, 2**32),
)
def test_whatever_is_drafted_ahead_the_solution_is_that_of_stepwise(
    policy: Policy,
    hedge: float,
    lookahead: int,
    takeover_steps: int | None,
    max_steps: int,
    max_tokens: int | None,
    seed: int,
) -> None:
    limits = Limits(max_steps=max_steps, max_tokens=max_tokens)
    plain, *_ = seeded(Stepwise(policy=policy, takeover_steps=takeover_steps), limits, seed)
    strategy = Pipelined(policy=policy, takeover_steps=takeover_steps, hedge=hedge, lookahead=lookahead)
    trace, weak, strong = seeded(strategy, limits, seed)
    assert solution(trace) == solution(plain)
    for role, model in (("weak", weak), ("strong", strong)):
        assert model.generated == trace.generated_tokens(role)
        kept = (Purpose.ACCEPTED, Purpose.DISCARDED)
        assert trace.generated_tokens(role, *kept) == plain.generated_tokens(role, *kept)
    if max_tokens is not None:
        assert weak.generated + strong.generated <= max_tokens


@settings(max_examples=150, deadline=None)
@given(
    weak=replies,
    strong=replies,
    scores=st.lists(st.none() | st.floats(0, 1)),
    policy=policies,
    hedge=st.sampled_from([0.0, 1.0]),
    lookahead=st.integers(1, 4),
    limits=limits,
)
def test_every_token_is_on_one_line_and_no_task_is_left_whatever_fails_or_hangs(
    weak: list[Say | Fail | Hang],
    strong: list[Say | Fail | Hang],
    scores: list[float | None],
    policy: Policy,
    hedge: float,
    lookahead: int,
    limits: Limits,
) -> None:
    stage = Stage(weak, strong, scores)
    episode = Episode(PROBLEM, stage.roles, route="t", limits=limits, on_event=stage.events.append)
    trace = asyncio.run(
        alone(episode.run(Pipelined(policy=policy, takeover_steps=2, hedge=hedge, lookahead=lookahead)))
    )
    check_law(stage, trace)
    if limits.max_tokens is not None:
        assert stage.weak.generated + stage.strong.generated <= limits.max_tokens


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(("threshold", "hedge", "lookahead"), [(0.3, 0.0, 1), (0.7, 0.9, 2), (0.95, 1.0, 4)])
def test_the_labs_solutions_are_those_of_stepwise_to_the_bit(
    seed: int, threshold: float, hedge: float, lookahead: int
) -> None:
    problems, roles = list(islice(generate("test", seed=seed), 12)), lab_roles()

    async def solve(strategy: Stepwise) -> list[Trace]:
        episodes = (Episode(problem, roles, route="t", seed=seed) for problem in problems)
        return await asyncio.gather(*(episode.run(strategy) for episode in episodes))

    plain = asyncio.run(solve(Stepwise(policy=Threshold(threshold))))
    sooner = asyncio.run(solve(pipelined(threshold, hedge, lookahead)))
    assert [solution(trace) for trace in sooner] == [solution(trace) for trace in plain]
    assert threshold < 0.5 or any(trace.generated_tokens("weak", Purpose.CANCELLED) for trace in sooner)


def test_weak_writes_the_next_step_while_this_one_is_scored() -> None:
    stage = Stage([Say("a", 3), Say("\\boxed{1}", 4)])
    asked: list[int] = []

    class Watching(SeededScorer):
        async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
            await asyncio.sleep(0)
            asked.append(len(stage.weak.asked))
            return Scores(values=(0.9,) * len(prefix.steps), model="w", usage=Usage())

    stage.roles = Roles(models=stage.roles.models, scorers={"prm": ScorerRole(scorer=Watching())})
    trace = stage.solve(pipelined())
    assert asked == [2, 2]  # and nothing after the answer
    assert [step.text for step in trace.steps] == ["a", "\\boxed{1}"]
    assert trace.generated_tokens("weak", Purpose.CANCELLED) == 0


class Slow(SeededScorer):
    """Gives the newest step its place's score, 1 where there is none, after a few turns of the loop."""

    def __init__(self, scores: Iterable[float]) -> None:
        self.scores = list(scores)

    async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
        for _ in range(5):
            await asyncio.sleep(0)
        place = len(prefix.steps) - 1
        newest = self.scores[place] if place < len(self.scores) else 1.0
        return Scores(values=(*[0.4] * (len(prefix.steps) - 1), newest), model="slow", usage=Usage())


def slow(stage: Stage, *scores: float) -> Stage:
    stage.roles = Roles(models=stage.roles.models, scorers={"prm": ScorerRole(scorer=Slow(scores))})
    return stage


@pytest.mark.parametrize(("lookahead", "tokens"), [(Hang(3), 3), (Say("next", 7), 7)])
def test_a_rejection_bills_the_draft_ahead_as_cancelled_half_written_or_whole(
    lookahead: Say | Hang, tokens: int
) -> None:
    stage = slow(Stage([Say("bad", 4), lookahead, Say("\\boxed{1}", 6)], [Say("good", 5)]), 0.1)
    trace = stage.solve(pipelined())
    assert [step.text for step in trace.steps] == ["good", "\\boxed{1}"]
    assert trace.generated_tokens("weak", Purpose.CANCELLED) == tokens
    assert trace.generated_tokens("weak", Purpose.DISCARDED) == 4
    check_law(stage, trace)


class Gated(SeededScorer):
    """Scores nothing until it is let; a step that says bad is bad."""

    def __init__(self) -> None:
        self.let, self.asked = asyncio.Event(), list[int]()

    async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
        self.asked.append(len(prefix.steps))
        if meter is not None:
            meter.usage = Usage(input_tokens=5)
        await self.let.wait()
        values = tuple(0.1 if "bad" in step.text else 0.9 for step in prefix.steps)
        return Scores(values=values, model="gated", usage=Usage(input_tokens=5))


def gated(stage: Stage, lookahead: int, turns: int = 40) -> tuple[Trace, Gated]:
    """Solve with the scorer shut until everything else has come to rest."""

    async def solve() -> tuple[Trace, Gated]:
        scorer = Gated()
        stage.roles = Roles(models=stage.roles.models, scorers={"prm": ScorerRole(scorer=scorer, price=WEAK_PRICE)})
        episode = Episode(PROBLEM, stage.roles, route="t", on_event=stage.events.append)
        solving = asyncio.create_task(episode.run(pipelined(lookahead=lookahead)))
        for _ in range(turns):
            await asyncio.sleep(0)
        assert len(stage.weak.asked) == 1 + lookahead
        assert scorer.asked == list(range(1, 2 + lookahead))
        scorer.let.set()
        return await solving, scorer

    return asyncio.run(solve())


@pytest.mark.parametrize("lookahead", [1, 2, 4])
def test_weak_runs_so_many_steps_ahead_and_each_is_scored_once_as_soon_as_it_is_written(lookahead: int) -> None:
    stage = Stage([*(Say(f"step {n}") for n in range(6)), Say("\\boxed{1}")])
    trace, scorer = gated(stage, lookahead)
    assert [step.text for step in trace.steps] == [*(f"step {n}" for n in range(6)), "\\boxed{1}"]
    assert scorer.asked == list(range(1, 8))
    assert {line.purpose for line in trace.account} == {Purpose.ACCEPTED, Purpose.SCORE}
    check_law(stage, trace)


def test_a_rejection_cancels_all_that_was_written_and_speculative_scores_of_it() -> None:
    ahead = [Say("a", 2), Say("b", 3), Say("c", 4)]
    stage = Stage([Say("bad", 4), *ahead, Say("\\boxed{1}", 6)], [Say("good", 5)])
    trace, scorer = gated(stage, 3)
    assert [step.text for step in trace.steps] == ["good", "\\boxed{1}"]
    assert scorer.asked == [1, 2, 3, 4, 2]
    assert trace.generated_tokens("weak", Purpose.CANCELLED) == 2 + 3 + 4
    cancelled = [line for line in trace.account if line.role == "prm" and line.purpose is Purpose.CANCELLED]
    assert [line.usage.input_tokens for line in cancelled] == [5, 5, 5]
    assert trace.scored_tokens() == 2 * 5
    check_law(stage, trace)


class LastFirst(SeededScorer):
    """The fewer steps, the longer it takes; a step that says bad is bad."""

    async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
        await asyncio.sleep(9.0 - len(prefix.steps))
        values = tuple(0.1 if "bad" in step.text else 0.9 for step in prefix.steps)
        return Scores(values=values, model="last first", usage=Usage(input_tokens=5))


def test_a_scoring_ahead_that_has_ended_is_cancelled_on_the_account_where_its_step_is_thrown_away() -> None:
    stage = Stage([Say("bad"), Say("a"), Say("b"), Say("\\boxed{1}")], [Say("good")])
    stage.roles = Roles(models=stage.roles.models, scorers={"prm": ScorerRole(scorer=LastFirst(), price=WEAK_PRICE)})
    episode = Episode(PROBLEM, stage.roles, route="t", on_event=stage.events.append)
    trace = run_virtually(episode.run(pipelined(lookahead=2)))
    assert [step.text for step in trace.steps] == ["good", "\\boxed{1}"]
    purposes = [line.purpose for line in trace.account if line.role == "prm"]
    assert purposes == [Purpose.CANCELLED, Purpose.CANCELLED, Purpose.SCORE, Purpose.SCORE]
    assert trace.scored_tokens() == 2 * 5
    check_law(stage, trace)


@pytest.mark.parametrize(("crowded", "drafts", "scorings"), [("weak", 1, 1), ("prm", 4, 1), ("neither", 4, 2)])
def test_nothing_is_started_ahead_for_which_a_gate_has_no_turn_free(crowded: str, drafts: int, scorings: int) -> None:
    async def solve() -> Trace:
        stage, scorer = Stage([*(Say(f"step {n}") for n in range(4)), Say("\\boxed{1}")]), Gated()
        limiters = {role: Limiter(LimiterSettings(in_flight=2)) for role in ("weak", "prm", "neither")}
        weak = ModelRole(model=stage.weak, limiter=limiters["weak"])
        roles = Roles(models={"weak": weak}, scorers={"prm": ScorerRole(scorer=scorer, limiter=limiters["prm"])})
        episode = Episode(PROBLEM, roles, route="t")
        solving = asyncio.create_task(episode.run(pipelined(lookahead=3)))
        async with AsyncExitStack() as elsewhere:
            if crowded == "prm":
                await elsewhere.enter_async_context(limiters["prm"].slot(Meter()))
            while not stage.weak.asked:
                await asyncio.sleep(0)
            if crowded == "weak":
                await elsewhere.enter_async_context(limiters["weak"].slot(Meter()))
                await elsewhere.enter_async_context(limiters["weak"].slot(Meter()))
            for _ in range(60):
                await asyncio.sleep(0)
            assert (len(stage.weak.asked), len(scorer.asked)) == (drafts, scorings)
        for _ in range(60):
            await asyncio.sleep(0)
        assert (len(stage.weak.asked), len(scorer.asked)) == (drafts, scorings), "none of them waited for a turn"
        scorer.let.set()
        return await solving

    assert asyncio.run(solve()).answer == "1"


def test_a_scoring_ahead_that_fails_is_made_again() -> None:
    stage = Stage([Say("a"), Say("b"), Say("\\boxed{1}")], scores=[0.9, None, 0.9, 0.9, 0.9])
    trace = stage.solve(pipelined(lookahead=2))
    assert (trace.answer, trace.notes) == ("1", ())
    assert len([line for line in trace.account if line.purpose is Purpose.RETRY]) == 1
    check_law(stage, trace)


def test_the_live_view_sees_what_it_sees_of_stepwise() -> None:
    def told(strategy: Stepwise) -> list[object]:
        events: list[Event] = []
        seeded(strategy, Limits(), 3, events.append)
        told: list[object] = [(each.decision, each.score) for each in events if isinstance(each, Decided)]
        told += [event for event in events if isinstance(event, Accepted)]
        return told + [event.draft.text for event in events if isinstance(event, Drafted)]

    assert told(pipelined(hedge=1.0)) == told(Stepwise(policy=Threshold(0.5)))


def test_a_hedge_is_the_rejected_steps_replacement_and_is_cancelled_where_the_step_is_kept() -> None:
    stage = slow(Stage([Say("a"), Say("b"), Say("bad")], [Hang(3), Say("good \\boxed{1}", 8)]), 0.6, 0.7, 0.1)
    stage.weak.replies.append(Hang(0))
    trace = stage.solve(pipelined(hedge=0.8))
    assert [step.text for step in trace.steps] == ["a", "b", "good \\boxed{1}"]
    assert trace.generated_tokens("strong", Purpose.CANCELLED) == 3
    assert trace.generated_tokens("strong", Purpose.ACCEPTED) == 8
    assert len(stage.strong.asked) == 2
    check_law(stage, trace)


@pytest.mark.parametrize("failure", [BackendUnavailable("down"), BackendError("bad"), ContextOverflow("full")])
def test_a_draft_ahead_that_fails_is_made_again_with_the_same_seed(failure: BackendError) -> None:
    stage = slow(Stage([Say("a"), Fail(failure, 2), Say("\\boxed{1}")]), 0.9)
    trace = stage.solve(pipelined())
    assert trace.outcome is Outcome.ANSWERED
    assert trace.generated_tokens("weak", Purpose.RETRY) == 2
    first, ahead, again = (sampling.seed for _, sampling in stage.weak.asked)
    assert ahead == again != first
    check_law(stage, trace)


def test_a_draft_ahead_that_fails_and_is_not_needed_is_forgotten() -> None:
    stage = slow(Stage([Say("bad"), Fail(BackendError("bad"), 2)], [Say("\\boxed{1}")]), 0.1)
    trace = stage.solve(pipelined())
    assert (trace.outcome, trace.notes, trace.error) == (Outcome.ANSWERED, (), None)
    check_law(stage, trace)


def test_a_hedge_that_fails_twice_leaves_the_draft_where_the_route_says_so() -> None:
    strong = [Fail(BackendError("bad")), Fail(BackendError("worse"))]
    stage = slow(Stage([Say("a"), Say("b \\boxed{1}")], strong), 0.6, 0.1)
    trace = stage.solve(pipelined(hedge=0.8), Limits(retries=0, on_strong_failure="accept"))
    assert (trace.answer, len(trace.notes)) == ("1", 1)
    assert "worse" in trace.notes[0]


@pytest.mark.parametrize(
    "limits",
    [Limits(max_tokens=200), Limits(max_cost_usd=Decimal("0.5"))],
)
def test_nothing_is_drafted_ahead_under_a_budget_that_could_bind(limits: Limits) -> None:
    stage = slow(Stage([Say("bad"), Say("\\boxed{1}")], [Say("good")]), 0.1)
    trace = stage.solve(pipelined(hedge=1.0), limits)
    assert (len(stage.weak.asked), len(stage.strong.asked)) == (2, 1)
    assert not any(line.purpose is Purpose.CANCELLED for line in trace.account)


def test_a_budget_that_cannot_bind_changes_nothing() -> None:
    stage = slow(Stage([Say("bad"), Say("never"), Say("\\boxed{1}")], [Say("good")]), 0.1)
    stage.solve(pipelined(), Limits(max_tokens=10**7))
    assert len(stage.weak.asked) == 3


@pytest.mark.parametrize(
    "last",
    [Say("\\boxed{1}"), Say("a", stop=Stop.END), Say("a", stop=Stop.LENGTH), Say("a", stop=Stop.CONTEXT)],
)
def test_nothing_is_drafted_past_the_end(last: Say) -> None:
    stage = slow(Stage([last]), 0.9)
    stage.solve(pipelined())
    assert len(stage.weak.asked) == 1


def test_nothing_is_drafted_past_the_last_step_allowed() -> None:
    stage = slow(Stage([Say("a"), Say("b"), Say("c")]), 0.9, 0.9)
    assert stage.solve(pipelined(), Limits(max_steps=2)).outcome is Outcome.MAX_STEPS
    assert len(stage.weak.asked) == 2


def test_without_scores_there_is_nothing_to_wait_for_and_nothing_is_drafted_ahead() -> None:
    stage = Stage([Say("a"), Say("\\boxed{1}")])
    stage.solve(Pipelined(policy=RandomRouting(0.0), hedge=1.0))
    assert len(stage.weak.asked) == 2


@pytest.mark.parametrize("turns", range(24))
def test_a_cancellation_at_any_moment_leaves_no_task_and_bills_every_token(turns: int) -> None:
    stage = slow(Stage([Say("a"), Say("b"), Say("bad"), Hang(4)], [Hang(2), Hang(3)]), 0.6, 0.7, 0.1)

    async def cancel() -> None:
        episode = Episode(PROBLEM, stage.roles, route="t", on_event=stage.events.append)
        task = asyncio.create_task(episode.run(pipelined(hedge=0.8)))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(cancel())
    finished = [event.trace for event in stage.events if isinstance(event, Finished)]
    if turns:
        (trace,) = finished
        assert trace.outcome is Outcome.CANCELLED
        check_law(stage, trace)


def test_a_deadline_ends_the_drafts_ahead() -> None:
    stage = slow(Stage([Say("a"), Hang(4)]), 0.9)
    trace = stage.solve(pipelined(), Limits(deadline_s=0.02))
    assert trace.outcome is Outcome.DEADLINE
    assert trace.generated_tokens("weak", Purpose.CANCELLED) == 4
    check_law(stage, trace)


def test_an_answer_that_is_there_counts_however_long_a_hedge_takes_to_be_cancelled() -> None:
    class Reluctant(SeededModel):
        async def propose(self, *rest: object, **named: object) -> list[Draft]:  # type: ignore[override]
            try:
                await asyncio.sleep(30)
            finally:
                await asyncio.sleep(0.1)
            raise AssertionError

    stage = slow(Stage([Say("\\boxed{1}")]), 0.9)
    stage.roles = Roles(
        models={**stage.roles.models, "strong": ModelRole(model=Reluctant("s"))}, scorers=stage.roles.scorers
    )
    trace = stage.solve(pipelined(hedge=2.0), Limits(deadline_s=0.05))
    assert (trace.outcome, trace.answer) == (Outcome.ANSWERED, "1")


def test_a_call_ahead_is_not_tried_again_before_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metering, "_BACKOFF_S", 0.001)
    stage = slow(Stage([Say("a"), *[Fail(BackendUnavailable("down"), 1) for _ in range(9)]]), 0.9)
    trace = stage.solve(pipelined(), Limits(retries=2))
    assert trace.outcome is Outcome.FAILED
    assert len(stage.weak.asked) == 1 + 1 + 3
    check_law(stage, trace)


@pytest.mark.parametrize("hedge", [-0.1, float("nan"), float("inf")])
def test_a_hedge_that_is_no_score_is_refused(hedge: float) -> None:
    with pytest.raises(ConfigError, match="hedge: "):
        pipelined(hedge=hedge)
    with pytest.raises(ConfigError, match="takeover_steps: 0 is below 1"):
        Pipelined(policy=Threshold(0.5), takeover_steps=0)


def test_a_scorer_that_is_down_ends_the_drafts_ahead() -> None:
    stage = Stage([Say("a"), Hang(4)], [], [None])
    trace = stage.solve(pipelined())
    assert trace.outcome is Outcome.FAILED
    check_law(stage, trace)


def test_a_fault_of_the_program_in_a_draft_ahead_is_not_hidden() -> None:
    class Broken(SeededModel):
        async def propose(self, prefix: Prefix, *rest: object, **named: object) -> list[Draft]:  # type: ignore[override]
            if prefix.steps:
                raise ZeroDivisionError
            return [Draft(model="w", text="bad", stop=Stop.SEPARATOR, usage=Usage(output_tokens=1))]

    stage = slow(Stage(strong=[Say("\\boxed{1}")]), 0.1)
    stage.roles = Roles(
        models={**stage.roles.models, "weak": ModelRole(model=Broken("w"))}, scorers=stage.roles.scorers
    )
    with pytest.raises(ZeroDivisionError):
        stage.solve(pipelined())


def test_it_is_a_strategy_by_name_with_takeover() -> None:
    strategy = build_strategy("pipelined", ThresholdTakeover(0.5), {"takeover_steps": 2})
    assert strategy == Pipelined(policy=ThresholdTakeover(0.5), takeover_steps=2)


def test_two_problems_of_one_run_do_not_meet() -> None:
    first, second = Problem.ask(id="a", text="?"), Problem.ask(id="b", text="?")
    roles = Roles(
        models={"weak": ModelRole(model=SeededModel("w")), "strong": ModelRole(model=SeededModel("s"))},
        scorers={"prm": ScorerRole(scorer=SeededScorer())},
    )

    async def both() -> list[Trace]:
        runs = (Episode(problem, roles, route="t").run(pipelined(hedge=1.0)) for problem in (first, second))
        return await asyncio.gather(*runs)

    alone_too = [asyncio.run(Episode(p, roles, route="t").run(pipelined())) for p in (first, second)]
    assert [solution(trace) for trace in asyncio.run(both())] == [solution(trace) for trace in alone_too]


class Ticking:
    """A token a second, so many of them for each call in turn."""

    def __init__(self, name: str, *tokens: int) -> None:
        self.name, self._tokens = name, list(tokens)

    async def propose(
        self, prefix: Prefix, n: int = 1, sampling: Sampling = Sampling(), meter: Meter | None = None
    ) -> list[Draft]:
        assert meter is not None
        for token in range(self._tokens.pop(0)):
            await asyncio.sleep(1)
            meter.usage = Usage(output_tokens=token + 1)
        text = "so \\boxed{1}" if self.name == "strong" else "step"
        return [Draft(model=self.name, text=text, stop=Stop.SEPARATOR, usage=meter.usage)]


@pytest.mark.parametrize(("scoring_s", "written"), [(0.5, 0), (3.5, 3), (20.5, 20)])
@pytest.mark.parametrize("lookahead", [1, 3])
def test_what_is_rejected_is_cancelled_before_strong_begins(scoring_s: float, written: int, lookahead: int) -> None:
    """While strong writes its 500 tokens, weak writes none that nobody wants."""

    class Slow:
        name = "slow"

        async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
            await asyncio.sleep(scoring_s)
            return Scores(values=(0.1,) * len(prefix.steps), model="slow", usage=Usage(input_tokens=1))

    roles = Roles(
        models={"weak": ModelRole(model=Ticking("weak", 2, 1000)), "strong": ModelRole(model=Ticking("strong", 500))},
        scorers={"prm": ScorerRole(scorer=Slow())},
    )
    trace = run_virtually(Episode(PROBLEM, roles, route="t").run(pipelined(0.5, lookahead=lookahead)))
    assert trace.generated_tokens("weak", Purpose.CANCELLED) == written
    assert trace.outcome is Outcome.ANSWERED


def test_a_hedge_is_cancelled_as_soon_as_the_step_is_kept() -> None:
    """While weak writes the 100 tokens of the next step, strong writes none."""

    class Rising:
        name = "rising"

        async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
            count = len(prefix.steps)
            await asyncio.sleep(0.3 * count)
            return Scores(values=(0.8, 0.95, 0.95)[:count], model="rising", usage=Usage(input_tokens=1))

    roles = Roles(
        models={
            "weak": ModelRole(model=Ticking("weak", 2, 10, 100)),
            "strong": ModelRole(model=Ticking("strong", 500)),
        },
        scorers={"prm": ScorerRole(scorer=Rising())},
    )
    episode = Episode(PROBLEM, roles, route="t", limits=Limits(max_steps=3))
    trace = run_virtually(episode.run(pipelined(0.5, lookahead=1, hedge=0.9)))
    assert [step.role for step in trace.steps] == ["weak"] * 3
    assert trace.generated_tokens("strong", Purpose.CANCELLED) == 10
