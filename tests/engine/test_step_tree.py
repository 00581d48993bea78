import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.backends.http.hostile import Fault
from tests.backends.http.judging import JudgingServer

from steproute.backends.http.server import Server
from steproute.config import lab_roles
from steproute.core.answer_rule import BOXED, FINAL_LINE
from steproute.core.decision import Rewrite
from steproute.core.errors import BackendError, BackendUnavailable, ConfigError, DatasetError
from steproute.core.ports import StepScorer
from steproute.core.solution import Meter, ModelCall, Prefix, Scores, Step
from steproute.core.trace import Trace, total_usage
from steproute.core.usage import Usage
from steproute.engine.episode import Episode
from steproute.engine.limiter import Limiter, LimiterSettings
from steproute.engine.limits import Limits
from steproute.engine.roles import Roles, ScorerRole
from steproute.engine.spending import SpendingLimit, limited
from steproute.engine.step_tree import StepTree, TreeScorer
from steproute.evaluation.datasets import load_problems
from steproute.lab.models import LAB_SAMPLING
from steproute.policies.trim.threshold import Threshold
from steproute.scorers.calibrated import CalibratedScorer, Temperature
from steproute.scorers.self_evaluation import SelfEvaluationScorer, SelfEvaluationSettings
from steproute.strategies.stepwise import Stepwise

PROBLEMS = load_problems("lab:validation", 6, 3)


def solve(roles: Roles, *, seed: int = 0, threshold: float = 0.5, limits: Limits = Limits()) -> list[Trace]:
    async def all_problems() -> list[Trace]:
        episodes = [Episode(p, roles, route="t", limits=limits, seed=seed) for p in PROBLEMS]
        return await asyncio.gather(*(e.run(Stepwise(policy=Threshold(threshold))) for e in episodes))

    return asyncio.run(all_problems())


def steps(traces: list[Trace]) -> list[tuple[Step, ...]]:
    return [trace.steps for trace in traces]


def test_a_second_run_over_a_tree_calls_no_model(tmp_path: Path) -> None:
    with StepTree(tmp_path / "tree", 2) as tree:
        first = solve(tree.roles(lab_roles()))
        called, asked = tree.computations, tree.requests
        assert called > 0
        second = solve(tree.roles(lab_roles()))
        assert tree.computations == called
        assert tree.requests == 2 * asked
    assert steps(second) == steps(first)
    assert [t.cost_usd for t in second] == [t.cost_usd for t in first]


@pytest.mark.parametrize("role", ["weak", "strong", "prm"])
def test_only_what_a_tree_does_not_hold_takes_a_turn_at_a_gate(tmp_path: Path, role: str) -> None:
    limiter, roles = Limiter(LimiterSettings(failures_to_open=1), role), lab_roles()
    if role == "prm":
        roles = replace(roles, scorers={role: replace(roles.scorer(role), limiter=limiter)})
    else:
        roles = replace(roles, models={**roles.models, role: replace(roles.model(role), limiter=limiter)})

    async def break_down() -> None:
        with pytest.raises(BackendUnavailable, match="down"):
            async with limiter.slot(Meter()):
                raise BackendUnavailable("down")

    with StepTree(tmp_path / "tree", 2) as tree:
        grown = solve(tree.roles(roles))
        asyncio.run(break_down())
        assert steps(solve(tree.roles(roles))) == steps(grown)
        others = solve(tree.roles(roles), seed=1, threshold=0.9, limits=Limits(retries=0))
    assert any(f"{role}: circuit open" in (trace.error or "") for trace in others)


def test_at_a_limiter_before_a_tree_calls_wait_but_speculative_ones_do_not(tmp_path: Path) -> None:
    limiter, lab = Limiter(LimiterSettings(in_flight=1), "weak"), lab_roles()
    writers = {**lab.models, "weak": replace(lab.model("weak"), limiter=limiter)}
    problem, meter = PROBLEMS[0], Meter()

    async def run(roles: Roles) -> Trace:
        model = roles.model("weak").model
        async with limiter.slot(Meter()):
            with pytest.raises(BackendUnavailable, match="no slot is free"):
                await model.propose(Prefix(problem=problem), 1, LAB_SAMPLING, Meter(speculative=True))
            waiting = asyncio.create_task(model.propose(Prefix(problem=problem), 1, LAB_SAMPLING, meter))
            solving = asyncio.create_task(Episode(problem, roles, route="t").run(Stepwise(policy=Threshold(0.5))))
            await asyncio.sleep(0.02)
        await waiting
        return await solving

    with StepTree(tmp_path / "tree", 2) as tree:
        trace = asyncio.run(run(tree.roles(replace(lab, models=writers))))
    assert meter.total_wait_s > 0
    assert max(line.wait_s for line in trace.account if line.role == "weak") > 0


def test_a_tree_bills_as_the_models_themselves_would(tmp_path: Path) -> None:
    lab = lab_roles()
    greedy = {
        role: replace(writer, sampling=replace(writer.sampling, temperature=0.0)) for role, writer in lab.models.items()
    }
    roles = replace(lab, models=greedy)
    direct = solve(roles, threshold=0.9)
    with StepTree(tmp_path / "tree", 2) as tree:
        solve(tree.roles(roles), threshold=0.5)
        through = solve(tree.roles(roles), threshold=0.9)
    taken, own = ([(s.role, s.text) for t in traces for s in t.steps] for traces in (through, direct))
    assert taken == own

    def used(traces: list[Trace], role: str) -> Usage:
        return total_usage(line for trace in traces for line in trace.account if line.role == role)

    assert used(through, "strong") == used(direct, "strong")
    for role in ("weak", "prm"):
        assert used(through, role).output_tokens == used(direct, role).output_tokens
        assert used(through, role).read_tokens == pytest.approx(used(direct, role).read_tokens, rel=0.02)


def test_what_a_tree_holds_does_not_depend_on_who_grew_it(tmp_path: Path) -> None:
    with StepTree(tmp_path / "a", 2) as tree:
        alone = solve(tree.roles(lab_roles()), seed=5)
    with StepTree(tmp_path / "b", 2) as tree:
        for seed in range(3):
            solve(tree.roles(lab_roles()), seed=seed, threshold=0.8)
        after_others = solve(tree.roles(lab_roles()), seed=5)
    assert steps(after_others) == steps(alone)


def test_a_tree_read_back_holds_all_and_a_torn_tail_is_grown_again(tmp_path: Path) -> None:
    path = tmp_path / "tree"
    with StepTree(path, 2) as tree:
        first, size = solve(tree.roles(lab_roles())), len(tree)
    path.write_bytes(path.read_bytes()[:-7])
    with StepTree(path, 2) as tree:
        assert len(tree) == size - 1
        assert steps(solve(tree.roles(lab_roles()))) == steps(first)
        assert tree.computations == 1


def test_a_prefix_has_no_more_samples_than_the_width(tmp_path: Path) -> None:
    async def texts(tree: StepTree) -> set[str]:
        model = tree.roles(lab_roles()).model("weak").model
        drafts = await model.propose(Prefix(problem=PROBLEMS[0], session="s"), 12, replace(LAB_SAMPLING, seed=9))
        return {draft.text for draft in drafts}

    with StepTree(tmp_path / "tree", 3) as tree:
        asyncio.run(texts(tree))
        assert tree.computations == 3


def test_another_answer_rule_has_nodes_of_its_own(tmp_path: Path) -> None:
    """Its models are told something else."""
    with StepTree(tmp_path / "tree", 1) as tree:
        weak = tree.roles(lab_roles()).model("weak").model
        called = []
        for rule in (BOXED, FINAL_LINE, BOXED):
            asyncio.run(weak.propose(Prefix(problem=replace(PROBLEMS[0], rule=rule))))
            called.append(tree.computations)
    assert called == [1, 2, 2]


def test_two_who_ask_at_once_compute_once(tmp_path: Path) -> None:
    async def both(tree: StepTree) -> None:
        model = tree.roles(lab_roles()).model("weak").model
        prefix = Prefix(problem=PROBLEMS[0], session="s")
        await asyncio.gather(*(model.propose(prefix, 1, LAB_SAMPLING) for _ in range(4)))

    with StepTree(tmp_path / "tree", 1) as tree:
        asyncio.run(both(tree))
        assert (tree.computations, tree.requests) == (1, 4)


def test_a_node_is_computed_once_though_the_first_to_ask_is_cancelled(tmp_path: Path) -> None:
    async def run(tree: StepTree) -> None:
        go = asyncio.Event()

        async def compute() -> Scores:
            await go.wait()
            return Scores(values=(), model="m", usage=Usage())

        def ask() -> "asyncio.Task[Scores]":
            return asyncio.create_task(tree.get("key", Scores, compute))

        first, second = ask(), ask()
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait([first])
        third = ask()
        await asyncio.sleep(0)
        go.set()
        await asyncio.gather(second, third)

    with StepTree(tmp_path / "tree", 1) as tree:
        asyncio.run(run(tree))
        assert (tree.computations, tree.requests) == (2, 3)


def test_a_tree_that_must_not_grow_says_so_at_an_unseen_branch(tmp_path: Path) -> None:
    async def ask(tree: StepTree) -> None:
        model = tree.roles(lab_roles(), grow=False).model("strong").model
        await model.propose(Prefix(problem=PROBLEMS[0], session="s"), 1, LAB_SAMPLING)

    with StepTree(tmp_path / "tree", 1) as tree, pytest.raises(BackendError, match="lab-strong has no step 1 here"):
        asyncio.run(ask(tree))


def test_rejected_drafts_are_kept_beside_those_that_replaced_them(tmp_path: Path) -> None:
    with StepTree(tmp_path / "tree", 1) as tree:
        routed = solve(tree.roles(lab_roles()), threshold=1)
        called = tree.computations
        assert any(step.decision == Rewrite("strong") for trace in routed for step in trace.steps)
        solve(tree.roles(lab_roles(), grow=False), threshold=1)
        assert tree.computations == called


def prefix_of(*texts: str, session: str = "s") -> Prefix:
    steps = tuple(Step(role="weak", text=text, tokens=0) for text in texts)
    return Prefix(problem=PROBLEMS[0], steps=steps, session=session)


def judge_of(server: JudgingServer) -> SelfEvaluationScorer:
    return SelfEvaluationScorer("judge", SelfEvaluationSettings(model="m", server=Server(base_url=server.url)))


ASKED = [
    *(prefix_of(*("abcd"[:n])) for n in range(1, 5)),
    prefix_of("a", "b", "wrong", session="t"),
    prefix_of("a", "b", "wrong", "d", session="t"),
    prefix_of("a", "b", "wrong", "d", session="t"),
]


@pytest.mark.parametrize("calibrated", [False, True])
def test_a_judge_of_single_steps_is_billed_through_a_tree_as_it_is_alone(tmp_path: Path, calibrated: bool) -> None:
    async def run(tree: StepTree | None) -> tuple[list[Scores], int]:
        async with JudgingServer(lambda request: None).running() as server:
            judge: StepScorer = judge_of(server)
            judge = CalibratedScorer(judge, Temperature(0.5)) if calibrated else judge
            judge = TreeScorer(tree, judge) if tree is not None else judge
            return [await judge.score(prefix) for prefix in ASKED], len(server.asked)

    alone, requests = asyncio.run(run(None))
    assert [len(scores.calls) for scores in alone] == [1, 1, 1, 1, 3, 1, 0]
    with StepTree(tmp_path / "tree", 1) as tree:
        through, fewer = asyncio.run(run(tree))
        again, none = asyncio.run(run(tree))
        assert (requests, fewer, none, tree.computations) == (8, 6, 0, 6)
    for scores in (through, again):
        assert [each.values for each in scores] == [each.values for each in alone]
        assert [[call.usage for call in each.billed] for each in scores] == [
            [call.usage for call in each.billed] for each in alone
        ]
        assert [each.usage for each in scores] == [each.usage for each in alone]


def test_a_tree_read_back_goes_on_where_a_judge_of_single_steps_had_stopped(tmp_path: Path) -> None:
    async def run(tree: StepTree, prefix: Prefix) -> int:
        async with JudgingServer(lambda request: None).running() as server:
            await TreeScorer(tree, judge_of(server)).score(prefix)
            return len(server.asked)

    for prefix, requests in ((prefix_of("a", "b", "c"), 3), (prefix_of("a", "b", "c", "d"), 1)):
        with StepTree(tmp_path / "tree", 1) as tree:
            assert asyncio.run(run(tree, prefix)) == requests


def test_judgements_from_a_tree_that_came_before_a_failure_are_paid_for_once(tmp_path: Path) -> None:
    faults = iter([None, None, Fault.SERVER_ERROR])

    async def run(tree: StepTree) -> tuple[Meter, Scores]:
        async with JudgingServer(lambda request: next(faults, None)).running() as server:
            await TreeScorer(tree, judge_of(server)).score(prefix_of("a", "b"))
            judge, meter = TreeScorer(tree, judge_of(server)), Meter()
            with pytest.raises(BackendUnavailable, match="status 500"):
                await judge.score(prefix_of("a", "b", "c"), meter)
            return meter, await judge.score(prefix_of("a", "b", "c"))

    with StepTree(tmp_path / "tree", 1) as tree:
        meter, scores = asyncio.run(run(tree))
    assert [usage.output_tokens for usage in meter.calls] == [1, 1]
    assert [call.usage.output_tokens for call in scores.billed] == [1]


def test_a_scorer_that_tells_its_calls_has_a_line_for_each_when_they_come_from_a_tree(tmp_path: Path) -> None:
    class Two:
        name = "two"

        async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
            calls = tuple(ModelCall(usage=Usage(input_tokens=n)) for n in (3, 4))
            return Scores(values=(0.5,), model=self.name, usage=Usage(input_tokens=7), calls=calls)

    async def run(tree: StepTree) -> list[Scores]:
        judge = TreeScorer(tree, Two())
        return [await judge.score(prefix_of("a", session=session)) for session in "st"]

    with StepTree(tmp_path / "tree", 1) as tree:
        first, replayed = asyncio.run(run(tree))
        assert tree.computations == 1
    assert first == replayed
    assert [call.usage.input_tokens for call in replayed.billed] == [3, 4]


@pytest.mark.parametrize(
    ("width", "error", "match"), [(0, ConfigError, "width: 0"), (3, ConfigError, "holds 2 samples")]
)
def test_a_wrong_width_is_refused(tmp_path: Path, width: int, error: type[Exception], match: str) -> None:
    with StepTree(tmp_path / "tree", 2):
        pass
    with pytest.raises(error, match=match):
        StepTree(tmp_path / "tree", width)


def test_a_file_that_is_no_tree_is_refused(tmp_path: Path) -> None:
    from steproute.engine.frame_file import FrameFile

    frames = FrameFile(tmp_path / "tree", "tree nodes")
    list(frames.scan())
    frames.append(b'{"type":"draft"}')
    frames.close()
    with pytest.raises(DatasetError, match="node 1"):
        StepTree(tmp_path / "tree", 2)


@dataclass
class AuthorReader:
    """Scores a step by its author; counts its calls."""

    name: str = "router"
    reads_authors: bool = True
    calls: int = 0

    async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
        self.calls += 1
        values = tuple(float(step.role == "weak") for step in prefix.steps)
        return Scores(values=values, model=self.name, usage=Usage(input_tokens=1))


@pytest.mark.parametrize("wrap", [lambda scorer: scorer, lambda scorer: CalibratedScorer(scorer, Temperature(1.0))])
def test_a_scorer_that_reads_authors_has_a_node_for_each_authorship(
    tmp_path: Path, wrap: Callable[[StepScorer], StepScorer]
) -> None:
    reader = AuthorReader()
    roles = limited(Roles(models={}, scorers={"router": ScorerRole(scorer=wrap(reader))}), SpendingLimit(None))
    prefixes = [
        Prefix(problem=PROBLEMS[0], steps=(Step(role=role, text="the same", tokens=1),)) for role in ("weak", "strong")
    ]
    with StepTree(tmp_path / "tree", 2) as tree:
        scorer = tree.roles(roles).scorer("router").scorer
        values = [asyncio.run(scorer.score(prefix)).values[0] for prefix in (*prefixes, *prefixes)]
    assert values == pytest.approx([1.0, 0.0, 1.0, 0.0], abs=1e-5)
    assert reader.calls == 2
