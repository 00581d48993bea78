"""Hard caps: whatever fails, is cancelled or is speculated, no problem makes or pays for more calls than it may."""

import asyncio
import random
from dataclasses import dataclass
from decimal import Decimal

import pytest
from tests.engine.scripted import Fail, Say
from tests.engine.test_episode import Chaos, Stage, check_law, stepwise

from steproute import (
    Draft,
    Episode,
    Limits,
    Meter,
    ModelRole,
    Outcome,
    Prefix,
    Price,
    Problem,
    Roles,
    Sampling,
    ScorerRole,
    Scores,
    Stop,
    Strategy,
    Usage,
)
from steproute.core.errors import BackendError, BackendUnavailable, ConfigError, ScorerError
from steproute.core.ports import Continuation, ModelCapabilities
from steproute.core.solution import ModelCall
from steproute.policies.choosers import First, Mixing
from steproute.policies.modes import Modes
from steproute.policies.trim.ladder import LadderThreshold
from steproute.policies.trim.threshold import Threshold, ThresholdTakeover
from steproute.simulation.virtual_time import run_virtually
from steproute.strategies.beam import Beam
from steproute.strategies.pipelined import Pipelined
from steproute.strategies.planned import Planned
from steproute.strategies.preroute import Preroute
from steproute.strategies.second_chances import SecondChances
from steproute.strategies.single import Single
from steproute.strategies.stepwise import Stepwise
from steproute.strategies.vote import Vote
from steproute.strategies.widened import BestOfN, Widened

EPISODES = 10_000
PROBLEM = Problem.ask("How many?", id="p", answer="1")


class Unreliable:
    """Uses any part of what it may, and fails, hangs, sends replies back or writes, as its random numbers say.

    The drafts of one request share its reading of the prompt. made: drafts that were asked for, in whatever requests;
    most_drafts: of one call; paid: what they used, whether they return or not.
    """

    def __init__(self, name: str, rng: random.Random, *, instructed: bool, several: bool = True) -> None:
        self.name, self.rng = name, rng
        mode = Continuation.INSTRUCT if instructed else Continuation.COMPLETIONS
        self.capabilities = ModelCapabilities(continuations=(mode,), several=several)
        self.instructed, self.made, self.most_drafts, self.paid = instructed, 0, 0, Usage()

    def most_usage(self, prefix: Prefix, n: int, sampling: Sampling) -> Usage:
        requests = 2 if self.instructed else 1
        return Usage(input_tokens=requests * (40 + len(prefix.text)), output_tokens=n * sampling.max_tokens)

    async def propose(
        self, prefix: Prefix, n: int = 1, sampling: Sampling = Sampling(), meter: Meter | None = None
    ) -> list[Draft]:
        assert meter is not None
        assert n == 1 or self.capabilities.several
        self.most_drafts = max(n, self.most_drafts)
        first = await self._request(prefix, n, sampling.max_tokens, meter.part())
        left = sampling.max_tokens - max(usage.output_tokens for usage in first)
        if not (self.instructed and left and self.rng.random() < 0.3):
            return [self._draft(usage, sampling) for usage in first]
        second = await self._request(prefix, n, left, meter.part())
        return [self._draft(new, sampling, ModelCall(usage=old)) for old, new in zip(first, second, strict=True)]

    async def _request(self, prefix: Prefix, n: int, most: int, meter: Meter) -> list[Usage]:
        self.made += n
        whole = 40 + len(prefix.text)
        cached = self.rng.choice([0, 0, whole // 2])
        tokens = [self.rng.choice([1, most, self.rng.randint(1, most)]) for _ in range(n)]
        first = Usage(input_tokens=whole - cached, cache_read_tokens=cached, output_tokens=tokens[0])
        used = [first, *(Usage(output_tokens=each) for each in tokens[1:])]
        meter.usage = sum(used, Usage())
        self.paid = self.paid + meter.usage
        await asyncio.sleep(self.rng.choice([0.0, 0.1, 1.0]))
        fate = self.rng.random()
        if fate < 0.15:
            raise BackendUnavailable("down")
        if fate < 0.16:
            raise BackendError("bad")
        if fate < 0.18:
            await asyncio.Event().wait()
        return used

    def _draft(self, usage: Usage, sampling: Sampling, *sent_back: ModelCall) -> Draft:
        text = self.rng.choice(["a step", "a step", "b step", "---", "so \\boxed{1}"])
        stop = Stop.LENGTH if usage.output_tokens == sampling.max_tokens < 9 else Stop.SEPARATOR
        return Draft(model=self.name, text=text, stop=stop, usage=usage, sent_back=sent_back)


class UnreliablePrm:
    """A scorer of each step by a call of its own, or of all by one, that fails sometimes."""

    name = "prm"

    def __init__(self, rng: random.Random) -> None:
        self.rng, self.paid = rng, Usage()

    def most_usage(self, prefix: Prefix) -> Usage:
        return Usage(input_tokens=20 + len(prefix.text))

    async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
        assert meter is not None
        meter.usage = self.most_usage(prefix)
        self.paid = self.paid + meter.usage
        await asyncio.sleep(self.rng.choice([0.0, 0.5]))
        if self.rng.random() < 0.1:
            raise ScorerError("down")
        values = tuple(self.rng.random() for _ in prefix.steps)
        return Scores(values=values, model=self.name, usage=meter.usage)


@dataclass(frozen=True)
class Branching:
    """Grows up to three branches by several drafts of each, by any role, with and without the end in one call."""

    seed: int

    async def solve(self, episode: Episode) -> None:
        rng, branches = random.Random(self.seed), [episode.start()]
        while not branches[0].finished:
            role, n = rng.choice(["weak", "strong"]), rng.randint(1, 4)
            found = await episode.propose_many(role, branches, n, to_end=rng.random() < 0.2)
            assert all(1 <= len(drafts) <= n for drafts in found)
            longer = [
                await episode.extend(branch, draft)
                for branch, drafts in zip(branches, found, strict=True)
                for draft in drafts
            ]
            if rng.random() < 0.5:
                await episode.score_many(longer)
            kept = rng.sample(longer, min(3, len(longer)))
            branches = [each for each in kept if not each.finished] or kept[:1]
        episode.commit(branches[0])


class ManyAtOnce:
    """Asks both roles for drafts at the same time, whatever the limits say."""

    async def solve(self, episode: Episode) -> None:
        prefix = episode.start()
        while not prefix.finished:
            drafts = await asyncio.gather(
                *(episode.propose(role, prefix) for role in ("weak", "strong", "weak")), return_exceptions=True
            )
            failure = next((each for each in drafts if isinstance(each, BaseException)), None)
            if failure is not None:
                raise failure
            prefix = await episode.accept(drafts[0])  # type: ignore[arg-type]


def any_strategy(rng: random.Random) -> Strategy[Episode]:
    strategies: list[Strategy[Episode]] = [
        Preroute(chooser=First(rng.randint(0, 5))),
        Preroute(chooser=Mixing(rng.random(), rng.randint(0, 99))),
        Stepwise(policy=Threshold(rng.random())),
        Stepwise(policy=ThresholdTakeover(rng.random()), takeover_steps=rng.randint(1, 3)),
        Pipelined(policy=Threshold(rng.random()), lookahead=rng.randint(1, 3), hedge=rng.choice([0.0, 0.5])),
        Single("strong"),
        Chaos(rng.randint(0, 2**32)),
        ManyAtOnce(),
        Branching(rng.randint(0, 2**32)),
        Beam(
            policy=Threshold(rng.random()),
            width=rng.randint(1, 3),
            samples=rng.randint(1, 3),
            temperature=rng.choice([0.0, 1.0]),
            vote=rng.random() < 0.3,
        ),
        Widened(policy=Modes(rng.uniform(-3, 3)), ladder="weak-1/weak-3/strong-2", by=rng.choice(["judge", "votes"])),
        BestOfN(policy=Threshold(rng.random()), width=rng.randint(1, 5)),
        Vote(policy=Threshold(rng.random()), samples=rng.randint(2, 6), weights=rng.choice(["one", "min", "last"])),
        Planned(
            policy=Threshold(rng.random()),
            plans=rng.randint(2, 4),
            merge=rng.choice(["write", "vote", "judge"]),
            aggregator=rng.choice(["weak", "strong"]),
        ),
        SecondChances(policy=LadderThreshold((rng.random(),)), width=rng.randint(1, 4)),
    ]
    return rng.choice(strategies)


def any_limits(rng: random.Random) -> Limits:
    calls = {role: rng.choice([0, 1, 2, 3, 5, 8, 400]) for role in ("weak", "strong") if rng.random() < 0.6}
    return Limits(
        max_steps=rng.randint(1, 6),
        max_calls=calls or rng.choice([None, {}]),
        max_tokens=None if rng.random() < 0.7 else rng.choice([20, 200, 1000]),
        max_cost_usd=None if rng.random() < 0.4 else Decimal(f"{10 ** rng.uniform(-5, -2.7):.9f}"),
        deadline_s=rng.choice([1.0, 20.0, 200.0]),
        retries=rng.randint(0, 2),
        on_scorer_failure=rng.choice(["fail", "accept", "regenerate"]),
        on_strong_failure=rng.choice(["fail", "accept"]),
        on_weak_failure=rng.choice(["fail", "strong"]),
    )


def any_price(rng: random.Random) -> Price:
    numbers = [Decimal(rng.randint(0, 2000)) / 1000 for _ in range(4)]
    reads = dict(zip(("input", "cache_read", "cache_write"), numbers, strict=False))
    return Price(**reads, output=numbers[3] * 4)


def check_episode(seed: int) -> tuple[Outcome, int]:
    """Solve by any strategy within any limits. What the backends were asked and used is within them, exactly.

    Returns the outcome and the most drafts of one call.
    """
    rng = random.Random(seed)
    models = {
        role: Unreliable(role, rng, instructed=rng.random() < 0.3, several=rng.random() < 0.7)
        for role in ("weak", "strong")
    }
    prices = {role: any_price(rng) for role in (*models, "prm")}
    sampling, prm = Sampling(max_tokens=rng.choice([8, 50])), UnreliablePrm(rng)
    roles = Roles(
        models={role: ModelRole(model=model, price=prices[role], sampling=sampling) for role, model in models.items()},
        scorers={"prm": ScorerRole(scorer=prm, price=prices["prm"])},
    )
    limits, strategy = any_limits(rng), any_strategy(rng)
    trace = run_virtually(Episode(PROBLEM, roles, route="t", limits=limits, seed=seed).run(strategy))
    for role, most in (limits.max_calls or {}).items():
        assert models[role].made <= most, (seed, role)
    paid = {role: prices[role].cost(model.paid) for role, model in models.items()}
    paid["prm"] = prices["prm"].cost(prm.paid)
    assert sum(paid.values()) == trace.cost_usd, seed
    assert limits.max_cost_usd is None or trace.cost_usd <= limits.max_cost_usd, seed
    generated = sum(model.paid.output_tokens for model in models.values())
    assert limits.max_tokens is None or generated <= limits.max_tokens, seed
    return trace.outcome, max(model.most_drafts for model in models.values())


def test_no_cap_is_exceeded_whatever_fails() -> None:
    solved = [check_episode(seed) for seed in range(400)]
    limits = {Outcome.CALL_BUDGET, Outcome.TOKEN_BUDGET, Outcome.MONEY_BUDGET, Outcome.DEADLINE}
    assert {Outcome.ANSWERED, *limits} <= {outcome for outcome, _ in solved}
    assert sum(drafts > 1 for _, drafts in solved) > 50


@pytest.mark.long
def test_no_cap_is_exceeded_in_ten_thousand_episodes() -> None:
    for seed in range(EPISODES):
        check_episode(seed)


def test_calls_at_the_same_time_share_the_tokens_that_are_left() -> None:
    stage = Stage([Say("w1", 40), Say("w2", 40)], [Say("s1", 40)])
    trace = stage.solve(ManyAtOnce(), Limits(max_tokens=100, retries=0))
    assert trace.outcome is Outcome.TOKEN_BUDGET
    assert sum(line.usage.output_tokens for line in trace.account) <= 100
    check_law(stage, trace)


def test_a_retry_counts_as_a_call() -> None:
    stage = Stage([Fail(BackendUnavailable("down")), Fail(BackendUnavailable("down")), Say("\\boxed{1}")])
    trace = stage.solve(Single("weak"), Limits(max_calls={"weak": 2}, retries=5))
    assert (trace.outcome, len(stage.weak.asked)) == (Outcome.CALL_BUDGET, 2)
    check_law(stage, trace)


def test_a_policy_whose_role_has_no_call_left_ends_the_problem() -> None:
    stage = Stage([Say("a"), Say("b")], [Say("s")], [0.1, 0.1])
    trace = stage.solve(stepwise(), Limits(max_calls={"strong": 1}, retries=0))
    assert (trace.outcome, [step.role for step in trace.steps]) == (Outcome.CALL_BUDGET, ["strong"])


def test_a_chooser_gives_way_to_the_weak_model_if_no_strong_call_is_left() -> None:
    stage = Stage([Say("w2"), Say("w3 \\boxed{1}")], [Say("s1")])
    trace = stage.solve(Preroute(chooser=First(9)), Limits(max_calls={"strong": 1}, retries=0))
    assert [step.role for step in trace.steps] == ["strong", "weak", "weak"]
    assert trace.outcome is Outcome.ANSWERED


def test_a_chooser_gives_way_if_a_retry_uses_up_the_last_strong_call() -> None:
    stage = Stage([Say("w1 \\boxed{1}")], [Fail(BackendUnavailable("down"), 3)])
    trace = stage.solve(Preroute(chooser=First(9)), Limits(max_calls={"strong": 1}, retries=2))
    assert ([step.role for step in trace.steps], trace.outcome) == (["weak"], Outcome.ANSWERED)
    check_law(stage, trace)


@pytest.mark.parametrize(
    ("limits", "outcome"),
    [
        (Limits(max_calls={"weak": 0, "strong": 0}), Outcome.CALL_BUDGET),
        (Limits(max_cost_usd=Decimal("0.0000001")), Outcome.MONEY_BUDGET),
    ],
)
def test_a_solution_ends_by_the_limit_if_no_role_can_be_paid(limits: Limits, outcome: Outcome) -> None:
    stage = Stage([Say("w1")], [Say("s1")])
    trace = stage.solve(Preroute(chooser=First(1)), limits)
    assert (trace.outcome, trace.cost_usd, trace.steps) == (outcome, 0, ())


def test_an_instructed_model_is_asked_only_if_its_reply_could_be_sent_back() -> None:
    rng = random.Random(0)
    model = Unreliable("weak", rng, instructed=True)
    roles = Roles(models={"weak": ModelRole(model=model), "strong": ModelRole(model=model)})
    episode = Episode(PROBLEM, roles, route="t", limits=Limits(max_calls={"weak": 1}))
    assert not episode.affordable("weak")
    assert episode.affordable("strong")


@pytest.mark.parametrize(
    ("calls", "message"), [({"stong": 3}, "max_calls.stong: there is no model"), ({"weak": -1}, "-1 is negative")]
)
def test_caps_of_roles_that_there_are_not_are_refused(calls: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Stage().solve(Single("weak"), Limits(max_calls=calls))
