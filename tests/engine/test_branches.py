"""Branches: proposals from any prefix, several at a time; what is committed is accepted, the rest discarded."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engine.test_episode import Say, Stage, check_law, limits, replies

from steproute import Draft, Episode, Limits, Outcome, Prefix, Purpose
from steproute.core.events import Accepted
from steproute.core.trace import Trace


class RandomSearch:
    """A search that proposes, extends, scores and commits whatever it has, in any order."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    async def solve(self, episode: Episode) -> None:
        branches: list[Prefix] = [episode.start()]
        drafts: list[tuple[Prefix, Draft]] = []
        for _ in range(12):
            verb = self.random.choice(["propose", "propose", "extend", "extend", "score", "commit", "restart"])
            prefixes = self.random.choices(branches, k=self.random.randint(1, 3))
            if verb == "propose":
                role, n = self.random.choice(["weak", "strong"]), self.random.randint(1, 3)
                found = await episode.propose_many(role, prefixes, n)
                drafts += [(prefix, draft) for prefix, some in zip(prefixes, found, strict=True) for draft in some]
            elif verb == "extend" and drafts:
                branches.append(await episode.extend(*drafts.pop(self.random.randrange(len(drafts)))))
            elif verb == "score":
                await episode.score_many([prefix for prefix in prefixes if prefix.steps])
            elif verb == "restart":
                branches.append(episode.restart())
            elif verb == "commit":
                episode.commit(prefixes[0])
        episode.commit(max(branches, key=lambda prefix: (prefix.finished, len(prefix.steps))))


@settings(max_examples=150, deadline=None)
@given(
    weak=replies,
    strong=replies,
    scores=st.lists(st.none() | st.floats(0, 1)),
    seed=st.integers(0, 2**32),
    bounds=limits,
)
def test_whatever_a_search_does_every_token_is_on_one_line(
    weak: list[object], strong: list[object], scores: list[float | None], seed: int, bounds: Limits
) -> None:
    stage = Stage(weak, strong, scores)  # type: ignore[arg-type]
    trace = stage.solve(RandomSearch(seed), bounds)
    check_law(stage, trace)
    if bounds.max_tokens is not None:
        assert stage.weak.generated + stage.strong.generated <= bounds.max_tokens
    if bounds.max_cost_usd is not None:
        written = sum(line.usage.output_tokens for line in trace.account if line.role in ("weak", "strong"))
        assert written == stage.weak.generated + stage.strong.generated


def search(stage: Stage, work: Callable[[Episode], object], bounds: Limits = Limits(retries=0)) -> Trace:
    class Strategy:
        async def solve(self, episode: Episode) -> None:
            await work(episode)  # type: ignore[misc]

    return stage.solve(Strategy(), bounds)


def test_the_committed_branch_is_the_solution_and_all_else_is_discarded() -> None:
    stage = Stage([Say("a", 2), Say("b", 3), Say("a2 \\boxed{1}", 4), Say("b2 \\boxed{2}", 5)], [], [0.1, 0.9])

    async def work(episode: Episode) -> None:
        root = episode.start()
        ((first, second),) = await episode.propose_many("weak", [root], 2)
        branches = [await episode.extend(root, draft) for draft in (first, second)]
        scores = await episode.score_many(branches)
        assert scores == [(0.1,), (0.9,)]
        ((low,), (high,)) = await episode.propose_many("weak", branches)
        assert (await episode.extend(branches[0], low)).outcome is Outcome.ANSWERED
        episode.commit(await episode.extend(branches[1], high))

    trace = search(stage, work)
    assert (trace.answer, trace.outcome) == ("2", Outcome.ANSWERED)
    assert trace.generated_tokens("weak", Purpose.ACCEPTED) == 3 + 5
    assert trace.generated_tokens("weak", Purpose.DISCARDED) == 2 + 4
    assert [event.step.text for event in stage.events if isinstance(event, Accepted)] == ["b", "b2 \\boxed{2}"]


def test_a_commit_to_another_branch_takes_the_first_one_back() -> None:
    stage = Stage([Say("a", 2), Say("b \\boxed{1}", 3)], [])

    async def work(episode: Episode) -> None:
        root = episode.start()
        ((first, second),) = await episode.propose_many("weak", [root], 2)
        episode.commit(await episode.extend(root, first))
        episode.commit(await episode.extend(root, second))

    trace = search(stage, work)
    assert [step.text for step in trace.steps] == ["b \\boxed{1}"]
    assert trace.generated_tokens("weak", Purpose.ACCEPTED) == 3
    assert trace.generated_tokens("weak", Purpose.DISCARDED) == 2


@pytest.mark.parametrize("shuffled", [False, True])
def test_seeds_depend_on_the_branch_and_not_on_the_order_of_asking(shuffled: bool) -> None:
    stage = Stage([Say("a"), Say("b"), *(Say("c \\boxed{1}") for _ in range(4))], [])

    async def work(episode: Episode) -> None:
        root = episode.start()
        ((first, second),) = await episode.propose_many("weak", [root], 2)
        branches = [await episode.extend(root, first), await episode.extend(root, second)]
        found = await episode.propose_many("weak", branches[::-1] if shuffled else branches, 2)
        episode.commit(await episode.extend(branches[0], found[-1 if shuffled else 0][0]))

    search(stage, work)
    seeds: dict[tuple[str, ...], list[int]] = {}
    for prefix, sampling in stage.weak.asked:
        seeds.setdefault(prefix.texts, []).append(sampling.seed)
    assert {texts: len(own) for texts, own in seeds.items()} == {(): 1, ("a",): 1, ("b",): 1}
    assert seeds[("a",)] == seeds[("b",)] != seeds[()]
