"""R2-Reasoner on the lab: sub-tasks allocated with and without the cost of switching, against whole-problem routers.

    python benchmarks/r2_lab.py runs/r2 --train 200 --validation 80 --test 200 --seeds 3

Every stage is kept below the folder and not repeated, so the same command goes on where it stopped. The plan is the
oracle's unless a row says otherwise. In the mode `once` an allocation decides a solution, so each is
written once, however many prices and fits choose it. Whole dollars hold all reads,
output dollars only what was written.
"""

import argparse
import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import numpy as np

from steproute.artifacts import write_artifact
from steproute.config.embedded import lab_roles
from steproute.core.arrays import F64
from steproute.core.errors import DatasetError
from steproute.core.ports import Strategy
from steproute.core.problem import Problem
from steproute.core.solution import Draft, Meter, Prefix, Sampling, Stop
from steproute.core.trace import Trace
from steproute.core.usage import FREE, Price, Usage
from steproute.engine.episode import Episode
from steproute.engine.roles import ModelRole, Roles
from steproute.lab.checker import StepLabel
from steproute.lab.labels import step_labels
from steproute.lab.planner import OraclePlanner
from steproute.lab.story import Story, generate
from steproute.learn.allocation_fit import Attempt, fit_allocation, log_loss
from steproute.learn.allocation_runs import explored
from steproute.learn.query_fit import fit_classifier
from steproute.learn.rollouts import solve_all
from steproute.policies.allocation import Allocator, Outline, Tariff, chance_of, most_valuable
from steproute.policies.allocation_model import AllocationModel, allocation_artifact, load_allocation, masked
from steproute.policies.trim.threshold import Threshold
from steproute.strategies.r2_reasoner import R2Reasoner
from steproute.strategies.single import Single
from steproute.strategies.stepwise import Stepwise

ROLES: Final = ("weak", "mid", "strong")
PRICES: Final = (0.03, 0.12, 0.3, 0.45, 0.65, 1.3)
UNREAD: Final = (0.12, 1.3, 3.0)  # for allocations that think reading is free
FEW: Final = (0.12, 0.3, 0.65)
THRESHOLDS: Final = (0.02, 0.3, 0.95)
LEVELS: Final = (0.1, 0.2, 0.3, 0.5, 0.7)
RESAMPLES: Final = 2000
_MISSING: Final = 0.1  # of the resamples, at most
CORRECT, SOUND, WHOLE, OUTPUT, SWITCHES = range(5)

Rows = F64
"""(problem, figure): correct answer, all steps correct, whole dollars, output dollars, changes of author."""
Curve = Sequence[Rows]


async def grade(problem: Problem, trace: Trace) -> bool:
    """Whether the answer is the gold one."""
    return trace.answer == problem.answer


@dataclass(frozen=True)
class Rival:
    """An allocation with the same fitted chances."""

    model: AllocationModel
    price: float

    @property
    def roles(self) -> tuple[str, ...]:
        """The model's."""
        return self.model.roles


@dataclass(frozen=True)
class Separable(Rival):
    """The same chances without the price of reading: each sub-task takes its own argmax."""

    def allocate(self, outline: Outline) -> tuple[str, ...]:
        """The most valuable allocation if reading were free."""
        chances, tariff = priced(self.model, outline)
        unread = replace(tariff, keeping=0 * tariff.keeping, switching=0 * tariff.switching)
        worth = 1 - self.model.recovery
        return tuple(self.roles[i] for i in most_valuable(np.log(chances), unread, worth, self.price))


@dataclass(frozen=True)
class OneRole(Rival):
    """The same chances, but one role writes the whole problem."""

    def allocate(self, outline: Outline) -> tuple[str, ...]:
        """The most valuable role."""
        chances, tariff = priced(self.model, outline)
        alone = [(index,) * len(chances) for index in range(len(self.roles))]
        worth = 1 - self.model.recovery
        values = [worth * chance_of(np.log(chances), each) - self.price * tariff.cost(each) for each in alone]
        return (self.roles[int(np.argmax(values))],) * len(chances)


def true_plan(text: str) -> list[str]:
    """The sentences of a story that need a step."""
    return [f"({sentence.label}) {sentence.text}" for sentence in Story.parse(text).relevant]


def priced(model: AllocationModel, outline: Outline) -> tuple[F64, Tariff]:
    """Chances and costs of all sub-tasks."""
    return model.chances(model.features(outline.subtasks)), model.tariff(outline)


class LearntPlanner:
    """Tells sentences that need a step from asides by their masked words, as learnt from training stories."""

    capabilities = OraclePlanner.capabilities
    name = "lab-learnt-planner"

    def __init__(self, problems: Sequence[Problem]) -> None:
        from sklearn.feature_extraction.text import CountVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline

        stories = [Story.parse(problem.text) for problem in problems]
        labelled = [(s.text, s in story.relevant) for story in stories for s in story.sentences]
        self.model: Any = make_pipeline(CountVectorizer(ngram_range=(1, 2)), LogisticRegression(C=10, max_iter=2000))
        self.model.fit([masked(text) for text, _ in labelled], [label for _, label in labelled])

    def plan(self, text: str) -> list[str]:
        """The sentences that need a step."""
        sentences = Story.parse(text).sentences  # splits by the labels
        needed = self.model.predict([masked(sentence.text) for sentence in sentences])
        return [f"({s.label}) {s.text}" for s, keep in zip(sentences, needed, strict=True) if keep]

    async def propose(
        self, prefix: Prefix, n: int = 1, sampling: Sampling = Sampling(), meter: Meter | None = None
    ) -> list[Draft]:
        """The plan of a story."""
        text = prefix.problem.text
        lines = self.plan(text[text.find("(1) ") :])
        plan = "\n".join(f"{number}. {line}" for number, line in enumerate(lines, start=1))
        return [Draft(model=self.name, text=plan, stop=Stop.END, usage=Usage(output_tokens=len(plan.split())))] * n


def roles_with(planner: Any) -> Roles:
    """The lab's roles and a planner that costs nothing."""
    lab = lab_roles()
    return replace(lab, models={**lab.models, "planner": ModelRole(model=planner, price=FREE)})


def unread(roles: Roles) -> dict[str, Price]:
    """The roles' prices if reading cost nothing."""
    nothing = Decimal(0)
    return {role: replace(roles.model(role).price, input=nothing, cache_read=nothing) for role in ROLES}


@dataclass(frozen=True)
class Fixed:
    """Allocations by problem."""

    allocations: Mapping[str, tuple[str, ...]]
    roles: tuple[str, ...] = ROLES

    def allocate(self, outline: Outline) -> tuple[str, ...]:
        """The problem's."""
        return self.allocations[outline.problem]


def by(allocator: Allocator, mode: Literal["once", "online"] = "once") -> R2Reasoner:
    """The strategy with an allocator of one's own."""
    strategy = R2Reasoner(allocation=ROLES[-1], mode=mode)
    object.__setattr__(strategy, "allocator", allocator)
    return strategy


def figures(problem: Problem, trace: Trace, roles: Roles) -> list[float]:
    """One row."""
    labels = step_labels(problem, [step.text for step in trace.steps])
    output = sum(
        float(roles.models[line.role].price.output) * line.usage.output_tokens / 1e6
        for line in trace.account
        if line.role in roles.models
    )
    authors = [step.role for step in trace.steps]
    correct = trace.answer == problem.answer
    sound = correct and all(label is StepLabel.CORRECT for label in labels)
    switches = sum(first != second for first, second in pairwise(authors))
    return [float(correct), float(sound), float(trace.cost_usd), output, float(switches)]


@dataclass(frozen=True)
class Bench:
    """Problems, and the folder that keeps what is done."""

    folder: Path
    test: Sequence[Problem]

    async def rows(self, name: str, strategy: Strategy[Episode], roles: Roles) -> Rows:
        """Of a strategy on the test problems; `name` is that of the file that keeps them."""
        return await self.kept(name, self.test, strategy, roles)

    async def allocated(self, allocations: Sequence[tuple[str, ...]], roles: Roles) -> Rows:
        """Of an allocation for each test problem."""
        path = self.folder / "allocated.json"
        found = msgspec.json.decode(path.read_bytes(), type=dict[str, list[float]]) if path.exists() else {}
        keys = [f"{problem.id} {' '.join(each)}" for problem, each in zip(self.test, allocations, strict=True)]
        missing = [place for place, key in enumerate(keys) if key not in found]
        if missing:
            problems = [self.test[place] for place in missing]
            fixed = Fixed({self.test[place].text: allocations[place] for place in missing})
            traces = await solve_all(problems, roles, by(fixed))
            for place, trace in zip(missing, traces, strict=True):
                found[keys[place]] = figures(self.test[place], trace, roles)
            path.write_bytes(msgspec.json.encode(found))
            print(f"{len(missing)} allocations: done", flush=True)
        return np.array([found[key] for key in keys])

    async def chosen(self, allocator: Allocator, roles: Roles, prices: Mapping[str, Price] | None = None) -> Rows:
        """Of an allocator's choices, with the true plan, at the prices that it is shown."""
        return await self.allocated(self.choices(allocator, roles, prices), roles)

    def choices(
        self, allocator: Allocator, roles: Roles, prices: Mapping[str, Price] | None = None
    ) -> list[tuple[str, ...]]:
        """The allocation of each test problem."""
        shown = prices or {role: roles.model(role).price for role in ROLES}
        outlines = [
            Outline(problem=problem.text, subtasks=tuple(true_plan(problem.text)), steps=(), prices=shown)
            for problem in self.test
        ]
        return [allocator.allocate(each) for each in outlines]

    async def kept(self, name: str, problems: Sequence[Problem], strategy: Strategy[Episode], roles: Roles) -> Rows:
        """The same on other problems."""
        path = self.folder / f"{name}.npy"
        if not path.exists():
            traces = await solve_all(problems, roles, strategy)
            rows = [figures(problem, trace, roles) for problem, trace in zip(problems, traces, strict=True)]
            np.save(path, np.array(rows, float))
            print(f"{name}: done", flush=True)
        kept: Rows = np.load(path)
        return kept

    async def attempts(self, name: str, problems: Sequence[Problem], seed: int) -> list[Attempt]:
        """A solution by each role and one by all of them, per problem."""
        path = self.folder / f"{name}.json"
        if not path.exists():
            sets, roles = [(role,) for role in ROLES] + [ROLES], roles_with(OraclePlanner())
            found = [await explored(problems, roles, among, grade, seed=seed) for among in sets]
            path.write_bytes(msgspec.json.encode([attempt for each in found for attempt in each]))
            print(f"{name}: done", flush=True)
        return msgspec.json.decode(path.read_bytes(), type=list[Attempt])

    async def model(self, seed: int, train: Sequence[Problem], validation: Sequence[Problem]) -> AllocationModel:
        """Fitted on `train` with the penalty that suits `validation`."""
        folder = self.folder / f"allocation-{seed}"
        if not folder.exists():
            fitted = await self.attempts(f"train-{seed}", train, seed)
            held_out = await self.attempts("validation", validation, 0)
            model = fit_allocation(fitted, held_out, ROLES)
            share = np.mean([attempt.correct for attempt in held_out])
            base = -(share * np.log(share) + (1 - share) * np.log(1 - share))
            print(f"seed {seed}: log-loss on validation {log_loss(model, held_out):.4f}, of the mean {base:.4f}")
            write_artifact(allocation_artifact(model, {"data": "lab:train", "seed": seed}), folder)
        return load_allocation(folder)


def resampled(curve: Curve) -> F64:
    """Mean figures of each point over all problems, and then over each of the resamples; (draw, point, figure)."""
    count = len(curve[0])
    draws = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), RESAMPLES)
    weights = np.vstack([np.ones(count), draws]) / count
    return np.stack([weights @ rows for rows in curve], axis=1)


def read_off(points: F64, given: int, values: F64, of: int) -> F64:
    """The figure `of` where the figure `given` has a value, between neighbouring points mixed per problem; (draw,).

    NaN beyond the ends of the curve.
    """
    orders = points[:, :, given].argsort(axis=1)
    return np.array(
        [
            np.interp(value, each[order, given], each[order, of], left=np.nan, right=np.nan)
            for value, each, order in zip(values, points, orders, strict=True)
        ]
    )


def difference(one: Curve, other: Curve, strong: Rows, axis: int, level: float) -> str:
    """Points by which `one` is ahead where both cost `level` of always-strong, with a paired 95 % interval."""
    costs = level * resampled([strong])[:, 0, axis]
    gaps = 100 * (read_off(resampled(one), axis, costs, CORRECT) - read_off(resampled(other), axis, costs, CORRECT))
    return _with_interval(gaps, "+.1f")


def saving(one: Curve, other: Curve, accuracy: float) -> str:
    """By how many per cent of whole dollars `one` costs less than `other` where both have the accuracy, with a paired
    95 % interval."""
    values = np.full(RESAMPLES + 1, accuracy)
    shares = 100 - 100 * (
        read_off(resampled(one), CORRECT, values, WHOLE) / read_off(resampled(other), CORRECT, values, WHOLE)
    )
    return _with_interval(shares, ".1f")


def _with_interval(draws: F64, form: str) -> str:
    """The value over all problems with its 95 % interval; a dash if some curve ends before that place."""
    if np.isnan(draws[0]) or np.isnan(draws).mean() > _MISSING:
        return "–"
    low, high = np.nanpercentile(draws[1:], (2.5, 97.5))
    return f"{draws[0]:{form}} [{low:.1f}, {high:.1f}]"


def routed(texts: Sequence[str], train: Sequence[str], solo: Mapping[str, Rows], alone: Curve) -> Curve:
    """A whole-problem router that learns each role's chance and cost from the text, at each price."""
    chances = np.stack([chances_by_text(texts, train, solo[role][:, CORRECT]) for role in ROLES], axis=1)
    per_character = [solo[role][:, WHOLE].sum() / sum(map(len, train)) for role in ROLES]
    costs = np.outer([len(text) for text in texts], per_character) / solo["strong"][:, WHOLE].mean()
    picks = [(chances - price * costs).argmax(axis=1) for price in PRICES]
    return [np.array([alone[role][place] for place, role in enumerate(pick)]) for pick in picks]


def chances_by_text(texts: Sequence[str], train: Sequence[str], correct: F64) -> F64:
    """Of a role on each text; its mean if it solves or fails too few problems to learn from."""
    try:
        predictor = fit_classifier(train, [bool(each) for each in correct], 0).predictor
    except DatasetError:
        return np.full(len(texts), correct.mean())
    return np.array([predictor.probability(text) for text in texts])


async def curves(
    bench: Bench, model: AllocationModel, alone: Curve, roles: Roles, prices: Mapping[str, Price] | None = None
) -> dict[str, Curve]:
    """Those of one fitted allocation, mode `once`. Where one role writes a whole problem, that is this role alone."""
    whole = [[each[0] for each in bench.choices(OneRole(model, price), roles, prices)] for price in PRICES]
    return {
        "one role": [np.array([alone[ROLES.index(r)][i] for i, r in enumerate(each)]) for each in whole],
        "viterbi": [await bench.chosen(model.at(price), roles, prices) for price in PRICES],
        "separable": [await bench.chosen(Separable(model, price), roles, prices) for price in UNREAD],
    }


def show(name: str, curve: Curve, strong: Rows) -> None:
    """A line for each point of a curve."""
    for rows in curve:
        mean = rows.mean(axis=0)
        print(
            f"{name} | {100 * mean[WHOLE] / strong[:, WHOLE].mean():.0f} % | "
            f"{100 * mean[OUTPUT] / strong[:, OUTPUT].mean():.0f} % | {100 * mean[CORRECT]:.1f} | "
            f"{100 * mean[SOUND]:.1f} | {mean[SWITCHES]:.2f}"
        )


def compare(found: Mapping[str, Curve], pairs: Sequence[tuple[str, str]], strong: Rows) -> None:
    """Differences of answers at equal cost."""
    for axis, title in ((WHOLE, "whole"), (OUTPUT, "output")):
        print(f"answers at equal {title} dollars, at " + ", ".join(f"{100 * level:.0f} %" for level in LEVELS))
        for one, other in pairs:
            gaps = " | ".join(difference(found[one], found[other], strong, axis, level) for level in LEVELS)
            print(f"{one} − {other} | {gaps}", flush=True)


async def main(options: argparse.Namespace) -> None:
    options.folder.mkdir(parents=True, exist_ok=True)
    problems = {
        "validation": list(islice(generate("validation", 20), options.validation)),
        "test": list(islice(generate("test", 20), options.test)),
    }
    trains = [list(islice(generate("train", 20 + seed), options.train)) for seed in range(options.seeds)]
    bench, roles = Bench(options.folder, problems["test"]), roles_with(OraclePlanner())
    alone = [await bench.rows(f"single-{role}", Single(role), roles) for role in ROLES]
    strong = alone[-1]
    model = await bench.model(0, trains[0], problems["validation"])
    found = await curves(bench, model, alone, roles)
    found["mix"], found["weak-strong mix"], found["mid-strong mix"] = alone, [alone[0], strong], alone[1:]
    print("curve | whole $ | output $ | answers | all steps | switches")
    show("alone", alone, strong)
    for name in ("viterbi", "separable", "one role"):
        show(name, found[name], strong)
    mixes = ("mix", "weak-strong mix", "mid-strong mix")
    pairs = [("viterbi", other) for other in (*mixes, "one role", "separable")]
    compare(found, [*pairs, ("separable", "mix"), ("one role", "mix")], strong)
    print("\nwhole dollars that viterbi saves against separable, at equal answers")
    for accuracy in (0.75, 0.8, 0.85, 0.9, 0.94):
        print(f"{100 * accuracy:.0f} % | {saving(found['viterbi'], found['separable'], accuracy)}", flush=True)
    await other_methods(bench, model, found, trains[0], strong)
    cheap = {**await curves(bench, model, alone, roles, unread(roles)), "mix": alone}
    print("\nif reading cost nothing (see output dollars)")
    compare(cheap, [("viterbi", "mix"), ("one role", "mix"), ("viterbi", "one role")], strong)
    await learnt_plan(bench, model, trains[0], roles)
    await other_seeds(bench, trains, problems["validation"], found, strong)


async def other_methods(
    bench: Bench, model: AllocationModel, found: dict[str, Curve], train: Sequence[Problem], strong: Rows
) -> None:
    """The mode `online`, a router that reads the problem's text, and TRIM-Thr."""
    roles = roles_with(OraclePlanner())
    found["TRIM-Thr"] = [await bench.rows(f"threshold-{k}", Stepwise(policy=Threshold(k)), roles) for k in THRESHOLDS]
    found["online"] = [await bench.rows(f"online-{price}", by(model.at(price), "online"), roles) for price in FEW]
    solo = {role: await bench.kept(f"solo-{role}", train, Single(role), roles) for role in ROLES}
    texts, known = ([problem.text for problem in each] for each in (bench.test, train))
    found["text router"] = routed(texts, known, solo, found["mix"])
    for name in ("online", "TRIM-Thr", "text router"):
        show(name, found[name], strong)
    pairs = [("viterbi", "text router"), ("viterbi", "TRIM-Thr"), ("text router", "mix"), ("TRIM-Thr", "mix")]
    compare(found, [*pairs, *(("online", other) for other in ("viterbi", "mix", "TRIM-Thr"))], strong)


async def learnt_plan(bench: Bench, model: AllocationModel, train: Sequence[Problem], roles: Roles) -> None:
    """The learnt plan against the true one."""
    planner = LearntPlanner(train)
    exact = [planner.plan(problem.text) == true_plan(problem.text) for problem in bench.test]
    print(f"\nlearnt plans that are the true one: {100 * np.mean(exact):.1f} %", flush=True)
    for price in FEW[:3]:
        true = await bench.chosen(model.at(price), roles)
        own = await bench.rows(f"learnt-{price}", by(model.at(price)), roles_with(planner))
        print(f"price {price} | true, learnt: {100 * true[:, 0].mean():.1f}, {100 * own[:, 0].mean():.1f}", flush=True)


async def other_seeds(
    bench: Bench,
    trains: Sequence[Sequence[Problem]],
    validation: Sequence[Problem],
    found: Mapping[str, Curve],
    strong: Rows,
) -> None:
    """The main differences for allocations fitted on other stories."""
    print("\nother training seeds, at equal whole dollars")
    roles = roles_with(OraclePlanner())
    for seed in range(1, len(trains)):
        model = await bench.model(seed, trains[seed], validation)
        own = await curves(bench, model, found["mix"], roles)
        own |= {"mix": found["mix"], "text router": found["text router"]}
        print(f"seed {seed}")
        pairs = [("viterbi", other) for other in ("mix", "one role", "text router", "separable")]
        compare(own, pairs, strong)
        print(f"saved at 85 %: {saving(own['viterbi'], own['separable'], 0.85)}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    for name, default in (("train", 200), ("validation", 80), ("test", 200), ("seeds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asyncio.run(main(parser.parse_args()))
