"""Several drafts of one prefix: one call, one line per draft, nested samples, equal ones merged by their votes."""

import asyncio
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engine.scripted import Fail, Say, ScriptedModel
from tests.engine.test_episode import PROBLEM, Stage, check_law

from steproute import Draft, Episode, Limits, Meter, Outcome, Prefix, Problem, Purpose, Roles, Sampling, Step
from steproute.config import lab_roles
from steproute.core.errors import BackendUnavailable
from steproute.core.ports import ModelCapabilities
from steproute.core.trace import Trace
from steproute.core.usage_bounds import most_written
from steproute.engine.candidates import Candidate, Sessions
from steproute.engine.step_tree import StepTree
from steproute.evaluation.datasets import load_problems

ANSWER = Say("so \\boxed{1}", 4)


@dataclass
class Wide:
    """Takes the candidate with the most votes at each step, and keeps what it saw."""

    n: int
    chosen: list[Candidate]
    judged: bool = False

    async def solve(self, episode: Episode) -> None:
        prefix = episode.start()
        while not prefix.finished:
            candidates = await episode.candidates("weak", [prefix], self.n)
            if self.judged:
                await episode.score_candidates(candidates)
            self.chosen.append(max(candidates, key=lambda each: each.votes))
            prefix = await episode.accept(self.chosen[-1].draft)


class OneByOne(ScriptedModel):
    capabilities = ModelCapabilities(several=False)


def test_equal_drafts_are_one_candidate_with_their_votes() -> None:
    stage = Stage([Say("a", 2), Say("b", 3), Say("b", 5), ANSWER, ANSWER, ANSWER])
    trace = stage.solve(Wide(3, []))
    assert [(step.text, step.width, step.votes, step.tokens) for step in trace.steps] == [
        ("b", 3, 2, 3),
        ("so \\boxed{1}", 3, 3, 4),
    ]
    assert len(stage.weak.asked) == 2
    check_law(stage, trace)


def test_each_draft_has_a_line_and_the_first_one_reads_the_prompt() -> None:
    stage = Stage([ANSWER, Say("c \\boxed{2}", 6)])
    trace = stage.solve(Wide(2, []))
    assert [(x.purpose, x.usage.read_tokens, x.usage.output_tokens) for x in trace.account] == [
        (Purpose.ACCEPTED, 10, 4),
        (Purpose.DISCARDED, 0, 6),
    ]


def test_a_model_that_writes_one_draft_per_call_gets_a_seed_for_each() -> None:
    stage = Stage()
    stage.weak = OneByOne("w", [ANSWER, Say("d", 3), ANSWER])
    weak = replace(stage.roles.model("weak"), model=stage.weak)
    stage.roles = replace(stage.roles, models={**stage.roles.models, "weak": weak})
    check_law(stage, stage.solve(Wide(3, [])))
    seeds = [sampling.seed for _, sampling in stage.weak.asked]
    assert seeds == [seeds[0], seeds[0] + 1, seeds[0] + 2]


@pytest.mark.parametrize(
    ("limits", "drafts"),
    [
        (Limits(max_tokens=3 * 2048, retries=0), 3),
        (Limits(max_tokens=2 * 2048 - 1, retries=0), 1),
        (Limits(max_tokens=100, retries=0), 1),
        (Limits(max_calls={"weak": 3}, retries=0), 3),
    ],
)
def test_a_budget_lowers_the_number_of_drafts_before_it_shortens_one(limits: Limits, drafts: int) -> None:
    stage = Stage([ANSWER] * 4)
    trace = stage.solve(Wide(4, []), limits)
    assert (trace.outcome, len(trace.account)) == (Outcome.ANSWERED, drafts)
    assert len(stage.weak.asked) == 1
    assert stage.weak.asked[0][1].max_tokens == (2048 if limits.max_tokens != 100 else 100)


@pytest.mark.parametrize("several", [True, False])
def test_dollars_lower_the_number_of_drafts_by_the_most_that_each_can_cost(several: bool) -> None:
    stage = Stage([ANSWER] * 4)
    stage.weak.capabilities = ModelCapabilities(several=several)
    role, prefix = stage.roles.model("weak"), Prefix(problem=PROBLEM)
    most_usd = role.price.most(most_written(role.model, prefix, 2, role.sampling))
    for usd, drafts in ((most_usd, 2), (most_usd - Decimal("1e-9"), 1)):
        trace = stage.solve(Wide(4, []), Limits(max_cost_usd=usd, retries=0))
        assert (trace.outcome, len(trace.account)) == (Outcome.ANSWERED, drafts)


def test_a_retry_of_several_drafts_is_for_as_many_as_are_left() -> None:
    stage = Stage([Fail(BackendUnavailable("down"), 3), *[ANSWER] * 9])
    trace = stage.solve(Wide(4, []), Limits(max_calls={"weak": 6}))
    assert (trace.outcome, len(trace.steps), trace.steps[0].width) == (Outcome.ANSWERED, 1, 2)
    check_law(stage, trace)


def test_drafts_of_one_call_each_end_where_tries_that_failed_leave_no_call() -> None:
    stage = Stage()
    stage.weak = OneByOne("w", [ANSWER, Fail(BackendUnavailable("down")), ANSWER, ANSWER])
    weak = replace(stage.roles.model("weak"), model=stage.weak)
    stage.roles = replace(stage.roles, models={**stage.roles.models, "weak": weak})
    trace = stage.solve(Wide(4, []), Limits(max_calls={"weak": 4}))
    assert (trace.outcome, trace.steps[0].width, len(stage.weak.asked)) == (Outcome.ANSWERED, 3, 4)


def test_a_degenerate_draft_among_several_is_continued_alone() -> None:
    stage = Stage([Say("---", 1), ANSWER, ANSWER])
    trace = stage.solve(Wide(2, []))
    assert (trace.steps[0].votes, len(trace.account)) == (2, 3)
    check_law(stage, trace)


@pytest.mark.parametrize("texts", [("---", "so \\boxed{1}"), ("so \\boxed{1}", "---")])
def test_a_degenerate_draft_that_cannot_be_continued_leaves_the_others(texts: tuple[str, str]) -> None:
    stage = Stage([Say(text, 1) for text in texts])
    trace = stage.solve(Wide(2, []), Limits(max_calls={"weak": 2}))
    assert (trace.outcome, trace.steps[0].votes, len(trace.account)) == (Outcome.ANSWERED, 1, 2)
    check_law(stage, trace)


def test_degenerate_drafts_that_cannot_be_continued_end_the_problem() -> None:
    trace = Stage([Say("---", 1), Say("---", 1)]).solve(Wide(2, []), Limits(max_calls={"weak": 2}))
    assert (trace.outcome, trace.steps) == (Outcome.CALL_BUDGET, ())


@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(st.sampled_from(["a", "b", "---", "", "\\boxed{1}"]), max_size=12),
    n=st.integers(1, 4),
    most=st.none() | st.integers(1, 9000),
)
def test_every_token_of_every_candidate_is_on_one_line(texts: list[str], n: int, most: int | None) -> None:
    stage = Stage([Say(text, index % 7 + 1) for index, text in enumerate(texts)])
    trace = stage.solve(Wide(n, [], judged=True), Limits(max_tokens=most, retries=1))
    check_law(stage, trace)


def test_branches_continue_the_sessions_that_they_grew_from() -> None:
    sessions, root = Sessions(), Prefix(problem=Problem.ask("How many?"), session="s")
    one, other, third = (root.extended(*map(step, texts)) for texts in ("a", "b", "c"))
    assert [each.session for each in sessions.apart([root])] == ["s"]
    assert [each.session for each in sessions.apart([one, other, third])] == ["s", "s/1", "s/2"]
    longer = [branch.extended(step(text)) for branch, text in ((other, "d"), (one, "d"), (other, "e"))]
    assert [each.session for each in sessions.apart(longer)] == ["s/1", "s", "s/2"]
    assert sessions.of(longer[0].extended(step("e"))).session == "s/1"


def step(text: str) -> Step:
    return Step(role="weak", text=text, tokens=1)


PROBLEMS = load_problems("lab:validation", 8, 3)
SAMPLING = Sampling(temperature=1.4, top_p=1.0, top_k=0)


def lab_at(temperature: float) -> Roles:
    lab = lab_roles()
    weak = replace(lab.model("weak"), sampling=replace(lab.model("weak").sampling, temperature=temperature))
    return replace(lab, models={**lab.models, "weak": weak})


@dataclass(frozen=True)
class SmallBeam:
    async def solve(self, episode: Episode) -> None:
        beams = [episode.start()]
        while not all(beam.finished for beam in beams):
            open_beams = [beam for beam in beams if not beam.finished]
            candidates = await episode.candidates("weak", open_beams, 3)
            scores = await episode.score_candidates(candidates)
            ranked = sorted(range(len(candidates)), key=lambda i: scores[i] or (), reverse=True)
            longer = [await episode.extend(candidates[i].prefix, candidates[i].draft) for i in ranked[:3]]
            beams = [*(beam for beam in beams if beam.finished), *longer][:3]
        episode.commit(beams[0])


def solved(roles: Roles, in_flight: int) -> list[Trace]:
    async def work() -> list[Trace]:
        slots = asyncio.Semaphore(in_flight)

        async def one(problem: Problem) -> Trace:
            async with slots:
                return await Episode(problem, roles, route="t").run(SmallBeam())

        return await asyncio.gather(*map(one, PROBLEMS))

    traces = asyncio.run(work())
    return [
        replace(trace, latency_s=0.0, account=tuple(replace(line, latency_s=0.0, wait_s=0.0) for line in trace.account))
        for trace in traces
    ]


@pytest.mark.parametrize("through_a_tree", [False, True])
def test_a_search_leaves_equal_traces_with_1_and_64_in_flight(tmp_path: Path, through_a_tree: bool) -> None:
    if not through_a_tree:
        assert solved(lab_at(1.4), 1) == solved(lab_at(1.4), 64)
        return
    with StepTree(tmp_path / "one", 2**32) as tree:
        alone = solved(tree.roles(lab_at(1.4)), 1)
    with StepTree(tmp_path / "many", 2**32) as tree:
        assert solved(tree.roles(lab_at(1.4)), 64) == alone
        assert solved(tree.roles(lab_at(1.4), grow=False), 64) == alone


@pytest.mark.parametrize("width", [None, 8])
def test_the_first_of_eight_samples_are_those_of_fewer(tmp_path: Path, width: int | None) -> None:
    async def texts(n: int, model: object) -> list[Draft]:
        start = Prefix(problem=PROBLEMS[0], session=f"nested/{n}/{width}")
        return await model.propose(start, n, replace(SAMPLING, seed=11, stop=None), Meter())  # type: ignore[attr-defined, no-any-return]

    roles = lab_roles()
    with StepTree(tmp_path / "tree", width or 1) as tree:
        model = (roles if width is None else tree.roles(roles)).model("weak").model
        drafts = {n: asyncio.run(texts(n, model)) for n in (1, 2, 4, 8)}
    for n, some in drafts.items():
        assert [draft.text for draft in some] == [draft.text for draft in drafts[8][:n]]
        assert [draft.usage.read_tokens > 0 for draft in some] == [True] + [False] * (n - 1)
    assert len({draft.text for draft in drafts[8]}) > 1
