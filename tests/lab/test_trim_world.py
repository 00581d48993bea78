"""TRIM's world draws what its parameters say, always the same, and the engine's laws hold in it.

Statistical tests have fixed seeds and a stated tolerance: z-scores below 4, and χ² below its mean plus 4 deviations.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from steproute import Draft, Episode, Limits, Prefix, Problem, Purpose, Rewrite, Sampling, Step
from steproute.config import embedded_roles, trim_world_roles
from steproute.core.errors import BackendError, ConfigError, DatasetError, ScorerError
from steproute.core.ports import StepModel, StepScorer, Strategy
from steproute.core.trace import Trace
from steproute.engine.roles import ModelRole, Roles, ScorerRole
from steproute.engine.runner import Route, RunSettings, run
from steproute.engine.trace_file import TraceFile
from steproute.evaluation.datasets import load_problems
from steproute.lab.checker import StepLabel
from steproute.lab.oracle import Oracle
from steproute.lab.trim_world.checker import check_drawn
from steproute.lab.trim_world.expected import expected_threshold
from steproute.lab.trim_world.models import SAMPLING, DrawingModel, DrawingPrm
from steproute.lab.trim_world.parameters import STRONG, WEAK, WorldParameters, load_parameters
from steproute.learn.plan import plan
from steproute.policies.baselines.random import RandomRouting
from steproute.policies.trim.pomdp_model import Rewriter, StepPomdp
from steproute.policies.trim.pomdp_policy import Pomdp
from steproute.policies.trim.threshold import Threshold
from steproute.strategies.pipelined import Pipelined
from steproute.strategies.single import Single
from steproute.strategies.stepwise import Stepwise

WORLD = load_parameters()
PROBLEMS = load_problems("trim-world", 150)
TO_END = replace(SAMPLING, stop=None)
STATES = {StepLabel.CORRECT: 0, StepLabel.AFTER_ERROR: 1, StepLabel.FIRST_ERROR: 2}


def chi_square_holds(counts: np.ndarray, expected: np.ndarray) -> bool:
    """χ² over the cells that expect at least 5, the others pooled, within 4 deviations above its mean."""
    rare = expected < 5
    counts, expected = (np.append(x[~rare], x[rare].sum()) for x in (counts, expected))
    kept = expected > 0
    statistic = ((counts[kept] - expected[kept]) ** 2 / expected[kept]).sum()
    degrees = kept.sum() - 1
    return bool(statistic < degrees + 4 * np.sqrt(2 * degrees) and counts[~kept].sum() == 0)


def z_score(count: int, total: int, share: float) -> float:
    return float((count - total * share) / np.sqrt(total * share * (1 - share)))


def solve(
    strategy: Strategy[Episode], problems: Sequence[Problem] = PROBLEMS, roles: Roles | None = None
) -> list[Trace]:
    async def all_of_them() -> list[Trace]:
        return [await Episode(problem, roles or trim_world_roles(), route="t").run(strategy) for problem in problems]

    return asyncio.run(all_of_them())


def write(model: StepModel, prefix: Prefix, seed: int, sampling: Sampling = SAMPLING, n: int = 1) -> list[Draft]:
    return asyncio.run(model.propose(prefix, n, replace(sampling, seed=seed)))


def extended(prefix: Prefix, draft: Draft) -> Prefix:
    return prefix.extended(Step(role="weak", text=draft.text, tokens=draft.usage.output_tokens))


def scores(prefix: Prefix) -> tuple[float, ...]:
    return asyncio.run(DrawingPrm().score(prefix)).values


def accuracy(traces: Sequence[Trace], problems: Sequence[Problem] = PROBLEMS) -> float:
    return float(np.mean([trace.answer == problem.answer for trace, problem in zip(traces, problems, strict=True)]))


@cache
def solutions(name: str, data: str = "trim-world:train", count: int = 1500) -> list[tuple[Problem, list[str], Draft]]:
    """One whole solution per problem, by the model alone."""
    model, problems = DrawingModel(name), load_problems(data, count, 7)

    async def draw() -> list[Draft]:
        return [
            (await model.propose(Prefix(problem=problem), 1, replace(TO_END, seed=seed)))[0]
            for seed, problem in enumerate(problems)
        ]

    return [(p, draft.text.split("\n\n"), draft) for p, draft in zip(problems, asyncio.run(draw()), strict=True)]


def solved(name: str, data: str) -> np.ndarray:
    return np.array([f"boxed{{{problem.answer}}}" in texts[-1] for problem, texts, _ in solutions(name, data)])


def test_the_parts_are_models_and_scorers() -> None:
    roles = trim_world_roles()
    assert isinstance(roles.model("strong").model, StepModel)
    assert isinstance(roles.scorer().scorer, StepScorer)


@pytest.mark.parametrize("name", [WEAK, STRONG])
def test_steps_are_correct_ended_and_as_long_as_the_parameters_say(name: str) -> None:
    own, drawn = WORLD.models[name], solutions(name)
    verdicts = [check_drawn(problem, texts) for problem, texts, _ in drawn]
    seen = Counter(verdict for each in verdicts for verdict in each)
    on_track = seen[StepLabel.CORRECT] + seen[StepLabel.FIRST_ERROR]
    assert abs(z_score(seen[StepLabel.CORRECT], on_track, own.step_accuracy)) < 4

    lengths = np.bincount([len(texts) for _, texts, _ in drawn], minlength=len(own.hazard))
    survival = np.cumprod([1.0, *(1 - h for h in own.hazard[:-1])])
    assert chi_square_holds(lengths, len(drawn) * survival * np.array(own.hazard))

    tokens = np.array([n for _, _, draft in drawn for n in draft.step_tokens or ()])
    assert abs(tokens.mean() - own.step_tokens) < 4 * tokens.std() / np.sqrt(len(tokens))
    quartiles = np.quantile(np.log(tokens), [0.25, 0.75])
    assert np.diff(quartiles)[0] / 1.349 == pytest.approx(WORLD.token_spread, rel=0.05)


@pytest.mark.parametrize("name", [WEAK, STRONG])
def test_an_answer_is_correct_iff_every_step_is(name: str) -> None:
    for problem, texts, draft in solutions(name):
        right = all(verdict is StepLabel.CORRECT for verdict in check_drawn(problem, texts))
        assert (f"\\boxed{{{problem.answer}}}" in draft.text) == right


def test_nothing_is_correct_after_the_first_error() -> None:
    for problem, texts, _ in solutions(WEAK):
        verdicts = check_drawn(problem, texts)
        right = verdicts.index(StepLabel.FIRST_ERROR) if StepLabel.FIRST_ERROR in verdicts else len(verdicts)
        errors = [StepLabel.FIRST_ERROR, *[StepLabel.AFTER_ERROR] * len(verdicts)]
        assert verdicts == ([StepLabel.CORRECT] * right + errors)[: len(verdicts)]


def scored_solutions() -> list[tuple[Problem, list[str], tuple[float, ...]]]:
    async def score() -> list[tuple[float, ...]]:
        prm = DrawingPrm()
        prefixes = (
            Prefix(problem=problem, steps=tuple(Step(role="weak", text=text, tokens=50) for text in texts))
            for problem, texts, _ in solutions(WEAK)
        )
        return [(await prm.score(prefix)).values for prefix in prefixes]

    return [(p, texts, values) for (p, texts, _), values in zip(solutions(WEAK), asyncio.run(score()), strict=True)]


def test_scores_follow_the_observation_model() -> None:
    bins = WORLD.observations.shape[2]
    counts, within = np.zeros_like(WORLD.observations), {True: list[float](), False: list[float]()}
    for problem, texts, values in scored_solutions():
        least = 1.0
        for verdict, value in zip(check_drawn(problem, texts), values, strict=True):
            column, fraction = divmod(value * bins, 1)
            counts[STATES[verdict], min(int(least * bins), bins - 1), int(column)] += 1
            within[column < bins - 1].append(fraction)
            least = min(least, value)
    expected = WORLD.observations / WORLD.observations.sum(2, keepdims=True) * counts.sum(2, keepdims=True)
    for state in range(3):
        assert chi_square_holds(counts[state].ravel(), expected[state].ravel())
    for fractions in within.values():  # of the highest bin, and of the others
        ordered = np.sort(fractions)
        kolmogorov_smirnov = np.abs(ordered - (np.arange(len(ordered)) + 0.5) / len(ordered)).max()
        assert kolmogorov_smirnov < 1.95 / np.sqrt(len(ordered))  # the 0.1 % point


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("sampling", [SAMPLING, TO_END])
def test_a_draft_depends_on_seed_problem_place_and_index_alone(n: int, sampling: Sampling) -> None:
    start, model = Prefix(problem=PROBLEMS[0]), DrawingModel(WEAK)
    first = write(model, start, 5, sampling, n)
    assert write(DrawingModel(WEAK), start, 5, sampling, n) == first
    others = [
        write(model, start, 6, sampling),
        write(model, Prefix(problem=PROBLEMS[1]), 5, sampling),
        write(model, extended(start, write(model, start, 1)[0]), 5, sampling),
        write(DrawingModel(STRONG), start, 5, sampling),
    ]
    texts = [draft.text for draft in first] + [other[0].text for other in others[:1] + others[2:]]
    assert len(set(texts)) == len(texts)
    assert others[1][0].usage != first[0].usage


def test_a_score_stays_as_steps_are_added_and_changes_with_its_step() -> None:
    prefix, model, earlier = Prefix(problem=PROBLEMS[3]), DrawingModel(WEAK), ()
    for seed in range(12):
        candidates = [extended(prefix, draft) for draft in write(model, prefix, seed, n=2)]
        first, second = (scores(candidate) for candidate in candidates)
        assert first[:-1] == second[:-1] == earlier
        assert first[-1] != second[-1]
        prefix, earlier = candidates[0], first


def test_a_draft_is_cut_at_its_limit() -> None:
    for seed in range(50):
        for limit in (1, 20, 100):
            (draft,) = write(DrawingModel(WEAK), Prefix(problem=PROBLEMS[0]), seed, replace(TO_END, max_tokens=limit))
            assert draft.usage.output_tokens == sum(draft.step_tokens or ()) <= limit
            if draft.stop.value == "length":
                assert draft.usage.output_tokens == limit
            else:
                assert "boxed" in draft.text


@pytest.mark.parametrize("assumption", sorted(WORLD.assumptions))
def test_assumptions_reach_their_anchors(assumption: str) -> None:
    """Always-weak and always-strong of the published run, or what the published step accuracies come to."""
    anchors = {WEAK: 0.367, STRONG: 0.776} if assumption == "published" else {WEAK: 0.364, STRONG: 0.73}
    for name, share in anchors.items():
        right = solved(name, f"trim-world:test/{assumption}")
        assert abs(z_score(int(right.sum()), len(right), share)) < 4


def test_a_spread_makes_both_models_fail_on_the_same_problems() -> None:
    def gather_or_cancel(assumption: str) -> float:
        data = f"trim-world:test/{assumption}"
        return float(np.corrcoef(solved(WEAK, data), solved(STRONG, data))[0, 1])

    assert abs(gather_or_cancel("anchored")) < 4 / np.sqrt(1500)
    assert 0.2 < gather_or_cancel("spread-llama") < gather_or_cancel("spread-qwen3")


def test_always_weak_in_one_call_and_step_by_step_have_one_law() -> None:
    whole, by_step = solve(Single("weak")), solve(Stepwise(policy=Threshold(0.0)))
    both = np.array([[len(t.steps) for t in each] for each in (whole, by_step)])
    assert abs(np.diff(both.mean(1))[0]) < 4 * both.std() * np.sqrt(2 / both.shape[1])
    assert abs(accuracy(whole) - accuracy(by_step)) < 4 * np.sqrt(0.5 / len(PROBLEMS))


@pytest.mark.parametrize("interrupted_after", [1, 7, 40])
def test_a_resumed_run_equals_an_undisturbed_one(interrupted_after: int, tmp_path: Path) -> None:
    class Interrupted(Exception):
        pass

    routes = [
        Route(name="thr", strategy=Stepwise(policy=Threshold(0.5))),
        Route(name="random", strategy=Stepwise(policy=RandomRouting(0.4))),
        Route(name="lookahead", strategy=Pipelined(policy=Threshold(0.5))),
    ]
    work = [(route, problem) for problem in PROBLEMS[:20] for route in routes]

    def attempt(name: str, stop_after: int | None) -> list[Trace]:
        done: list[Trace] = []

        def count(trace: Trace) -> None:
            done.append(trace)
            if len(done) == stop_after:
                raise Interrupted

        with TraceFile(tmp_path / name) as traces:
            asyncio.run(run(work, trim_world_roles(), RunSettings(in_flight=4), traces, count))
        plain = [
            replace(t, latency_s=0.0, account=tuple(replace(line, latency_s=0.0, wait_s=0.0) for line in t.account))
            for t in done
        ]
        return sorted(plain, key=lambda trace: (trace.route, trace.problem_id))

    undisturbed = attempt("whole", None)
    with pytest.raises(Interrupted):
        attempt("cut", interrupted_after)
    resumed = attempt("cut", None)
    assert [(t.route, t.problem_id, t.steps) for t in resumed] == [
        (t.route, t.problem_id, t.steps) for t in undisturbed
    ]
    assert [t for t in resumed if t.route != "lookahead"] == [t for t in undisturbed if t.route != "lookahead"]


@pytest.mark.parametrize(
    "strategy",
    [
        Single("strong"),
        *(Stepwise(policy=Threshold(knob)) for knob in (0.0, 0.3, 0.95, 1.0)),
        Stepwise(policy=Oracle()),
        Pipelined(policy=Threshold(0.6), hedge=0.9),
    ],
    ids=lambda strategy: type(strategy).__name__,
)
def test_the_account_adds_up(strategy: Strategy[Episode]) -> None:
    for trace in solve(strategy, PROBLEMS[:40]):
        for role in ("weak", "strong"):
            parts = [trace.generated_tokens(role, purpose) for purpose in Purpose if purpose is not Purpose.SCORE]
            assert trace.generated_tokens(role) == sum(parts)
        accepted = trace.generated_tokens("weak", Purpose.ACCEPTED) + trace.generated_tokens("strong", Purpose.ACCEPTED)
        assert accepted == sum(step.tokens for step in trace.steps)
        replaced = sum(step.decision == Rewrite("strong") for step in trace.steps)
        discarded = [line for line in trace.account if line.purpose is Purpose.DISCARDED]
        assert len(discarded) == replaced
        prices = {line.role: line.price_table for line in trace.account}
        assert set(prices.values()) == {"trim-world, assumed"}


def test_the_oracle_beats_every_threshold() -> None:
    traces = solve(Stepwise(policy=Oracle()))
    best, spent = accuracy(traces), sum(trace.generated_tokens("strong") for trace in traces)
    for knob in (0.05, 0.9, 1.0):
        others = solve(Stepwise(policy=Threshold(knob)))
        assert accuracy(others) < best
        if accuracy(others) > 0.9 * best:
            assert sum(trace.generated_tokens("strong") for trace in others) > spent


@pytest.mark.parametrize(
    ("assumption", "bins"),
    [("published", 0), ("published", 19), ("spread-qwen3", 7), ("spread", 20)],
)
def test_the_loop_agrees_with_the_exact_expectation(assumption: str, bins: int) -> None:
    """The twin walks distributions instead of drawing, and shares no code with the models and the PRM."""
    problems = load_problems(f"trim-world:validation/{assumption}", 250)
    traces = solve(Stepwise(policy=Threshold(bins / 20)), problems)
    expected = expected_threshold(WORLD, assumption, bins)
    assert abs(z_score(round(accuracy(traces, problems) * 250), 250, expected.accuracy)) < 4
    for mean, drawn in (
        (expected.strong_steps, [sum(line.role == "strong" for line in trace.account) for trace in traces]),
        (expected.strong_tokens, [trace.generated_tokens("strong") for trace in traces]),
    ):
        assert abs(np.mean(drawn) - mean) <= 4 * np.std(drawn) / np.sqrt(250)


def test_the_twin_remembers_the_minimum() -> None:
    """Once a score has been low, no later one is: at most one step of a solution is kept or replaced at a low score."""
    grid = np.zeros((3, 4, 4))
    grid[:, 3, [0, 3]] = 0.5
    grid[:, :3, 3] = 1.0
    world = replace(WORLD, observations=grid)
    roles = roles_of(world)
    traces = solve(Stepwise(policy=Threshold(0.5)), PROBLEMS, roles)
    drawn = [sum(line.role == "strong" for line in trace.account) for trace in traces]
    expected = expected_threshold(world, "published", 2)
    assert abs(np.mean(drawn) - expected.strong_steps) < 4 * np.std(drawn) / np.sqrt(len(drawn))
    assert expected.strong_steps < 2  # a regenerated step scores low half the time, which ends it


def test_the_twin_knows_the_anchors() -> None:
    weak, strong = (expected_threshold(WORLD, "anchored", bins) for bins in (0, 20))
    assert (weak.accuracy, strong.accuracy) == pytest.approx((0.364, 0.73), abs=1e-6)
    assert weak.strong_tokens == 0


def roles_of(world: WorldParameters) -> Roles:
    return Roles(
        models={
            role: ModelRole(model=DrawingModel(name, world), sampling=SAMPLING)
            for role, name in (("weak", WEAK), ("strong", STRONG))
        },
        scorers={"prm": ScorerRole(scorer=DrawingPrm(world))},
    )


def perfect_world(strong_accuracy: float) -> tuple[WorldParameters, StepPomdp]:
    """A world whose scores tell the state: above 0.75 on track, 0.25 to 0.5 derailed, below 0.25 the first error."""
    grid = np.zeros((3, 4, 4))
    grid[[0, 1, 2], :, [3, 1, 0]] = 0.25
    models = {
        WEAK: replace(WORLD.models[WEAK], step_accuracy=0.7),
        STRONG: replace(WORLD.models[STRONG], step_accuracy=strong_accuracy),
    }
    model = StepPomdp(
        weak_accuracy=0.7,
        rewriters=(Rewriter("strong", strong_accuracy),),
        hazard=np.array(WORLD.models[WEAK].hazard),
        observations=grid,
    )
    return replace(WORLD, models=models, observations=grid), model


@pytest.mark.parametrize("strong_accuracy", [0.8, 0.97, 1.0])
def test_with_a_perfect_prm_threshold_and_pomdp_are_the_oracle(strong_accuracy: float) -> None:
    world, model = perfect_world(strong_accuracy)
    roles = roles_of(world)
    tags = {WEAK: "0.7", STRONG: repr(strong_accuracy)}
    problems = [replace(problem, tags=tags) for problem in PROBLEMS[:60]]
    policies = (Oracle(), Threshold(0.25), Pomdp(plan(model, [0.001], 41), 0.001))
    oracle, *others = (
        [(t.answer, [step.text for step in t.steps]) for t in solve(Stepwise(policy=policy), problems, roles)]
        for policy in policies
    )
    assert others == [oracle, oracle]
    if strong_accuracy == 1.0:
        assert [answer for answer, _ in oracle] == [problem.answer for problem in problems]


@pytest.mark.parametrize("text", ["", "x = 3", "Step 1 by trim-weak.", "Step 1 by trim-weak, draw 0123.", "\\boxed{3}"])
def test_foreign_steps_are_refused(text: str) -> None:
    prefix = Prefix(problem=PROBLEMS[0], steps=(Step(role="weak", text=text, tokens=1),))
    with pytest.raises(BackendError, match=r"not a step of TRIM's world"):
        write(DrawingModel(WEAK), prefix, 0)
    with pytest.raises(ScorerError, match=r"not a step of TRIM's world"):
        scores(prefix)


@pytest.mark.parametrize(
    "problem", [Problem.ask(id="x", text="1 + 1?"), Problem.ask(id="x", text="1 + 1?", tags={"level": "2"})]
)
def test_foreign_problems_are_refused(problem: Problem) -> None:
    (trace,) = solve(Single("weak"), [problem])
    assert trace.failed
    assert "--data trim-world" in (trace.error or "")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("trim-world:dev", "no split 'dev'"),
        ("trim-world:test/easy", "no assumption 'easy'"),
        ("trim-worlds", "unknown"),
    ],
)
def test_unknown_names_are_refused(spec: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        load_problems(spec)


def test_splits_and_seeds_share_no_problem_and_assumptions_share_all() -> None:
    ids = [
        {problem.id for problem in load_problems(f"trim-world:{split}", 50, seed)}
        for split in ("train", "validation", "test")
        for seed in (0, 1)
    ]
    assert len(set().union(*ids)) == 300
    assert {p.id for p in load_problems("trim-world:test/spread", 50)} == ids[4]


def test_the_world_takes_no_calibration_of_the_labs_scorer() -> None:
    with pytest.raises(ConfigError, match=r"scorer: 'runs/map'"):
        embedded_roles("trim-world:test", "runs/map")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"observations": np.zeros((3, 4, 4))}, "without probability"),
        ({"models": {WEAK: replace(WORLD.models[WEAK], hazard=(0.5, 0.9))}}, "end with 1"),
        ({"models": {WEAK: replace(WORLD.models[WEAK], step_accuracy=1.5)}}, r"step_accuracy: 1\.5"),
    ],
)
def test_parameters_that_define_no_world_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(WORLD, **change)


def test_budgets_and_horizons_bind_here_too() -> None:
    limits = Limits(max_steps=3, max_tokens=120)

    async def bounded() -> list[Trace]:
        strategy = Stepwise(policy=Threshold(0.9))
        roles = trim_world_roles()
        return [await Episode(p, roles, route="t", limits=limits).run(strategy) for p in PROBLEMS[:50]]

    traces = asyncio.run(bounded())
    assert all(len(trace.steps) <= 3 for trace in traces)
    assert all(trace.generated_tokens("weak") + trace.generated_tokens("strong") <= 120 for trace in traces)
    assert {trace.outcome.value for trace in traces} == {"answered", "max_steps", "token_budget"}
