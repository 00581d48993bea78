"""BAAR's chooser on the lab: positional rules, mixes, step-level methods, several training seeds, prices and hard caps.

    python benchmarks/boundary_acceptance.py run runs/boundary --train 48 --test 120 --seeds 3
    python benchmarks/boundary_acceptance.py tables runs/boundary

`run` resumes: what is in the folder is not computed again. The tables are of what is there. Other price tables need no
model: each row keeps the tokens of each role. `--parts` names what to run, in order: curves, caps, intractable,
cheap-reads (trained again at a tenth of the prices of reading), collapse (plain GRPO from a coin).
"""

import argparse
import asyncio
import json
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np

from steproute.config.embedded import lab_roles
from steproute.config.route import build_strategy, policy_family
from steproute.core.arrays import F64
from steproute.core.observation import Moment
from steproute.core.ports import Chooser, Reading, Strategy
from steproute.core.problem import Problem
from steproute.core.trace import Trace
from steproute.core.usage import Price, Usage
from steproute.engine.episode import Episode
from steproute.engine.limits import Limits
from steproute.engine.roles import Roles
from steproute.engine.step_tree import StepTree
from steproute.lab.choosers import Last
from steproute.lab.story import generate
from steproute.learn.boundary import BoundaryTask, BoundaryTrainer, Difficulty, Rollout, Settings, untrained
from steproute.learn.rollouts import solve_all
from steproute.policies.baselines.confidence import Confidence
from steproute.policies.boundary import BoundaryFamily, BoundaryRouter
from steproute.policies.choosers import First, Mixing
from steproute.policies.trim.threshold import Threshold
from steproute.strategies.preroute import Preroute
from steproute.strategies.specreason import SpecReason
from steproute.strategies.stepwise import Stepwise

LAMBDAS: Final = (0.05, 0.15, 0.45)
STEP_TOKENS: Final = 48  # no step of the lab is longer, and caps in dollars reserve this many
CALLS: Final = (1, 2, 3, 5)
SHARES: Final = (0.1, 0.2, 0.4)
READS: Final = (1.0, 0.3, 0.1, 0.0)
PARTS: Final = ("curves", "caps", "intractable", "cheap-reads", "collapse")
SEED: Final = re.compile(r"^((?:cheap )?Bo(?:PO|SFT)) \d+")
Row = dict[str, Any]


async def grade(problem: Problem, trace: Trace) -> bool:
    """The lab's answers are numbers."""
    return trace.answer == problem.answer


def at_reads(factor: float) -> Roles:
    """The lab's roles, with the prices of what a model reads multiplied by a factor."""
    roles = lab_roles()
    models = {
        name: replace(role, price=cheaper(role.price, factor), sampling=replace(role.sampling, max_tokens=STEP_TOKENS))
        for name, role in roles.models.items()
    }
    scorers = {name: replace(role, price=cheaper(role.price, factor)) for name, role in roles.scorers.items()}
    return replace(roles, models=models, scorers=scorers)


def cheaper(price: Price, factor: float) -> Price:
    """The price with input and cache reads multiplied by a factor."""
    by = Decimal(str(factor))
    read = price.input if price.cache_read is None else price.cache_read
    return replace(price, input=price.input * by, cache_read=read * by)


@dataclass(frozen=True, slots=True)
class Always:
    """One role writes everything."""

    role: str
    reads: ClassVar[frozenset[Reading]] = frozenset()

    def choose(self, moment: Moment) -> str:
        """The role."""
        return self.role


class Folder:
    """Rows of policies and trained routers on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)

    def tree(self) -> StepTree:
        """The step tree of all parts."""
        return StepTree(self.path / "tree.jsonl.zst", Settings().runs)

    def rows(self) -> dict[str, list[Row]]:
        """All policies' rows by name."""
        files = sorted(self.path.glob("rows-*.json"))
        return {data["name"]: data["rows"] for data in (json.loads(file.read_text()) for file in files)}

    def keep(self, name: str, rows: list[Row]) -> None:
        """Write a policy's rows."""
        text = json.dumps({"name": name, "rows": rows})
        self._file("rows", name, "json").write_text(text)
        print(name, f"{np.mean([row['correct'] for row in rows]):.3f}", flush=True)

    def has(self, name: str) -> bool:
        """Whether a policy has been run."""
        return self._file("rows", name, "json").exists()

    async def router(self, name: str, train: Callable[[], Awaitable[BoundaryRouter]]) -> BoundaryRouter:
        """A trained router, kept."""
        path = self._file("router", name, "npz")
        if not path.exists():
            router = await train()
            np.savez(path, terms=np.array(router.terms), weights=router.weights)
            print("trained", name, flush=True)
        data = np.load(path)
        return BoundaryRouter(tuple(map(str, data["terms"])), data["weights"])

    def _file(self, kind: str, name: str, end: str) -> Path:
        return self.path / f"{kind}-{name.replace(' ', '_').replace('%', '')}.{end}"


def row_of(problem: Problem, trace: Trace) -> Row:
    """What the tables need of a trace: the tokens of each role, so any prices can be set later."""
    usages: dict[str, Usage] = {}
    for line in trace.account:
        usages[line.role] = usages.get(line.role, Usage()) + line.usage
    names = [step.role for step in trace.steps]
    return {
        "id": problem.id,
        "correct": trace.answer == problem.answer,
        "outcome": trace.outcome,
        "calls": Counter(line.role for line in trace.account),
        "usage": {name: (u.input_tokens, u.cache_read_tokens, u.output_tokens) for name, u in usages.items()},
        "usd": float(trace.cost_usd),
        "switches": sum(a != b for a, b in pairwise(names)),
    }


class Measurement:
    """The parts of one run over one tree."""

    def __init__(self, folder: Folder, tree: StepTree, options: argparse.Namespace) -> None:
        self.folder, self.options = folder, options
        self._at: Callable[[float], Roles] = lambda factor: tree.roles(at_reads(factor))
        self.roles = self._at(1.0)
        self.train = list(islice(generate("train", 11), options.train))
        self.test = list(islice(generate("test", 11), options.test))
        self._tasks: dict[float, list[BoundaryTask]] = {}

    async def run(self, part: str) -> None:
        """One part."""
        parts: Mapping[str, Callable[[], Awaitable[None]]] = {
            "curves": self.curves,
            "caps": self.caps,
            "intractable": self.intractable,
            "cheap-reads": self.cheap_reads,
            "collapse": self.collapse,
        }
        await parts[part]()

    async def curves(self) -> None:
        """Every policy at several knobs."""
        await self._measure({f"always {role}": Preroute(chooser=Always(role)) for role in ("weak", "mid", "strong")})
        await self._measure({f"first {k}": Preroute(chooser=First(k)) for k in (1, 2, 3)})
        await self._measure({f"last {k}": Preroute(chooser=Last(k)) for k in (1, 2, 3)})
        await self._measure({f"mixing {p}": Preroute(chooser=Mixing(p)) for p in (0.3, 0.5, 0.7)})
        for seed in range(self.options.seeds):
            start, trained = await self._trained(seed)
            await self._measure(along(f"BoPO {seed}", trained, LAMBDAS))
            await self._measure(along(f"BoSFT {seed}", start, (0.15,)))
        agg = policy_family("lab-agg")
        knobs = (agg.knobs[0], agg.knobs[len(agg.knobs) // 2], agg.knobs[-1])
        await self._measure({f"TRIM-Agg {knob:g}": build_strategy("stepwise", agg.at(knob, 0)) for knob in knobs})
        await self._measure({f"confidence {k}": Stepwise(policy=Confidence(k)) for k in (0.8, 0.9, 0.96)})
        await self._measure({f"SpecReason {k}": SpecReason(policy=Threshold(k)) for k in (0.02, 0.5)})

    async def caps(self) -> None:
        """Caps that no router was trained for: calls of strong, and dollars per problem."""
        _, trained = await self._trained(0)
        chooser = BoundaryFamily(trained).at(LAMBDAS[0], 0)
        for k in CALLS:
            choosers: dict[str, Chooser] = {"BoPO": chooser, "first": First(k), "last": Last(k)}
            named = {f"{name}, cap {k} calls": Preroute(chooser=each) for name, each in choosers.items()}
            await self._measure(named, limits=Limits(max_calls={"strong": k}))
        strong = np.mean([row["usd"] for row in self.folder.rows()["always strong"]])
        for share in SHARES:
            most = Decimal(f"{share * strong:.9f}")
            choosers = {"BoPO": chooser, "first": First(99), "last 2": Last(2)}
            named = {f"{name}, cap {share:.0%} dollars": Preroute(chooser=each) for name, each in choosers.items()}
            await self._measure(named, limits=Limits(max_cost_usd=most))

    async def intractable(self) -> None:
        """Problems that neither boundary policy solves in K runs each, out of hard stories."""
        stories = list(islice(generate("test", 11, "hard"), self.options.hard))
        tasks = await self._trainer(0).tasks(stories)
        lost = [task for task in tasks if task.difficulty is Difficulty.INTRACTABLE]
        weak = [{"id": task.problem.id, "correct": False, "usd": mean_usd(task.weak)} for task in lost]
        self.folder.keep("intractable, always weak", weak)
        for seed in range(self.options.seeds):
            _, trained = await self._trained(seed)
            named = along(f"intractable, BoPO {seed}", trained, LAMBDAS)
            await self._measure(named, problems=[task.problem for task in lost])

    async def cheap_reads(self) -> None:
        """BoPO trained where reading costs a tenth."""
        for seed in range(self.options.seeds):
            _, trained = await self._trained(seed, 0.1)
            await self._measure(along(f"cheap BoPO {seed}", trained, LAMBDAS))

    async def collapse(self) -> None:
        """The strong share on hard training tasks, of plain GRPO from a coin and of BoPO."""
        tasks = await self._tasks_at(1.0)
        hard = [task.problem for task in tasks if task.difficulty is Difficulty.HARD]
        for seed in range(self.options.seeds):
            trainer = self._trainer(seed, reference=False)
            plain = await self.folder.router(f"plain {seed}", partial(trainer.optimised, untrained(self.train), tasks))
            for name, router in (("plain GRPO", plain), ("BoPO", (await self._trained(seed))[1])):
                await self._measure(along(f"hard, {name} {seed}", router, (0.1, 0.45, 1.0)), problems=hard)

    async def _trained(self, seed: int, factor: float = 1.0) -> tuple[BoundaryRouter, BoundaryRouter]:
        trainer, name = self._trainer(seed, factor), f"{seed}-{factor:g}"
        start = await self.folder.router(
            f"BoSFT {name}", lambda: self._on_tasks(factor, lambda tasks: trainer.supervised(tasks))
        )
        trained = await self.folder.router(
            f"BoPO {name}", lambda: self._on_tasks(factor, lambda tasks: trainer.optimised(start, tasks))
        )
        return start, trained

    async def _on_tasks(
        self, factor: float, train: Callable[[list[BoundaryTask]], Awaitable[BoundaryRouter]]
    ) -> BoundaryRouter:
        return await train(await self._tasks_at(factor))

    async def _tasks_at(self, factor: float) -> list[BoundaryTask]:
        if factor not in self._tasks:
            self._tasks[factor] = tasks = await self._trainer(0, factor).tasks(self.train)
            print(dict(Counter(task.difficulty.value for task in tasks)), flush=True)
        return self._tasks[factor]

    def _trainer(self, seed: int, factor: float = 1.0, *, reference: bool = True) -> BoundaryTrainer:
        settings = Settings(passes=self.options.passes, seed=seed, reference=reference)
        return BoundaryTrainer(self._at(factor), grade, Limits(), settings)

    async def _measure(
        self,
        strategies: Mapping[str, Strategy[Episode]],
        *,
        problems: Sequence[Problem] | None = None,
        limits: Limits = Limits(),
    ) -> None:
        problems = self.test if problems is None else problems
        for name, strategy in strategies.items():
            if not self.folder.has(name):
                traces = await solve_all(problems, self.roles, strategy, limits=limits)
                self.folder.keep(name, [row_of(*pair) for pair in zip(problems, traces, strict=True)])


def along(name: str, router: BoundaryRouter, lambdas: Iterable[float]) -> dict[str, Strategy[Episode]]:
    """The router's choosers by name."""
    return {f"{name} {lam:g}": Preroute(chooser=BoundaryFamily(router).at(lam, 0)) for lam in lambdas}


def mean_usd(rollouts: Sequence[Rollout]) -> float:
    """Mean dollars."""
    return float(np.mean([each.usd for each in rollouts]))


# Tables


def figures(rows: Sequence[Row], reads: float) -> F64:
    """(problem, figure): correct, dollars with the prices of reading multiplied by a factor."""
    roles = lab_roles()
    prices = {name: scorer.price for name, scorer in roles.scorers.items()}
    prices |= {name: model.price for name, model in roles.models.items()}
    by = {name: [float(x) for x in (p.input, p.cache_read or 0, p.output)] for name, p in prices.items()}

    def usd(row: Row) -> float:
        parts = ((np.multiply(by[name], (reads, reads, 1)) @ used) for name, used in row["usage"].items())
        return float(sum(parts)) / 1e6

    return np.array([(row["correct"], usd(row)) for row in rows], dtype=float)


def used(rows: Sequence[Row]) -> F64:
    """Means: strong calls, output dollars, whole dollars, and those with reads at a tenth."""
    dollars = [figures(rows, reads)[:, 1].mean() for reads in (0.0, 1.0, 0.1)]
    return np.array([np.mean([row["calls"].get("strong", 0) for row in rows]), *dollars])


Curve = Sequence[F64]
"""The figures of the points of a curve, (point, problem, figure)."""


def along_dollars(points: F64, levels: F64) -> F64:
    """Accuracy of (accuracy, dollars) at each level of dollars: between two points, of their mix per problem."""
    order = points[np.argsort(points[:, 1])]
    values: F64 = np.interp(levels, order[:, 1], order[:, 0])
    return values


class Paired:
    """Paired bootstrap over the test problems: the same weights for all curves."""

    def __init__(self, count: int, draws: int = 2000) -> None:
        rng = np.random.default_rng(0)
        drawn = rng.multinomial(count, np.full(count, 1 / count), size=draws) / count
        self.weights: F64 = np.concatenate([np.full((1, count), 1 / count), drawn])

    def points(self, curve: Curve) -> F64:
        """(draw, point, figure); the first draw is of all problems once."""
        points: F64 = np.einsum("dp,kpf->dkf", self.weights, np.array(curve))
        return points

    def interval(self, values: F64) -> str:
        """A difference of accuracies in points, with 95 %."""
        low, high = np.percentile(values[1:], (2.5, 97.5))
        return f"{100 * values[0]:+.1f} [{100 * low:.1f}, {100 * high:.1f}]"


class Tables:
    """Everything that can be said of a folder's rows."""

    def __init__(self, folder: Folder, options: argparse.Namespace) -> None:
        self.rows, self.options = folder.rows(), options
        self.paired = Paired(len(self.rows["always weak"]))
        self.seeds = [s for s in range(options.seeds) if f"BoPO {s} {LAMBDAS[-1]:g}" in self.rows]

    def print(self) -> None:
        """All tables."""
        self.points()
        for reads in READS:
            self.levels(reads)
        self.caps()
        self.intractable()
        self.collapse()

    def curve(self, prefix: str, reads: float) -> Curve:
        """The points whose names begin so, between always-weak and always-strong."""
        names = ["always weak", *(name for name in self.rows if name.startswith(prefix)), "always strong"]
        return [figures(self.rows[name], reads) for name in dict.fromkeys(names) if "cap " not in name]

    def points(self) -> None:
        """Each policy, a trained one as the mean of its seeds: accuracy, and what it used relative to always-strong."""
        ids = [row["id"] for row in self.rows["always strong"]]
        together: dict[str, list[Row]] = {}
        for name, rows in self.rows.items():
            if [row["id"] for row in rows] == ids:
                together.setdefault(SEED.sub(r"\1", name), []).extend(rows)
        strong = used(together["always strong"])
        print("| policy | correct | strong calls | output $ | whole $ | whole $, reads at a tenth | switches |")
        for name, rows in together.items():
            shares = " | ".join(f"{100 * x:.0f} %" for x in used(rows) / strong)
            correct, switches = (np.mean([row[key] for row in rows]) for key in ("correct", "switches"))
            print(f"| {name} | {100 * correct:.1f} % | {shares} | {switches:.1f} |")

    def levels(self, reads: float) -> None:
        """BoPO, mean of its seeds, ahead of the others at equal whole dollars, and the areas under the curves."""
        weak, strong = (figures(self.rows[f"always {name}"], reads)[:, 1].mean() for name in ("weak", "strong"))
        names = {"random steps": "mixing", "first": "first", "last": "last", "weak–strong mix": "nothing"}
        names |= {name: name for name in ("TRIM-Agg", "confidence", "SpecReason")}
        others = {name: [self.curve(prefix, reads)] for name, prefix in names.items()}
        others["mid–strong mix"] = [self.curve("always mid", reads)]
        others["BoSFT"] = [self.curve(f"BoSFT {seed}", reads) for seed in self.seeds]
        if f"cheap BoPO {self.seeds[-1]} {LAMBDAS[-1]:g}" in self.rows:
            others["BoPO trained at a tenth"] = [self.curve(f"cheap BoPO {seed}", reads) for seed in self.seeds]
        own = [self.curve(f"BoPO {seed}", reads) for seed in self.seeds]
        levels = weak + (strong - weak) * np.linspace(0, 1, 51)
        at = [int(np.argmin(abs(levels / strong - share))) for share in (0.5, 0.65, 0.75)]
        ours = self._at(own, levels)
        print(f"\nreads × {reads:g}: ahead of … at 50, 65, 75 % of always-strong's dollars; area (APGR)")
        print(f"BoPO | {' | '.join(f'{100 * ours[0, k]:.1f} %' for k in at)} | {100 * self._area(ours)[0]:.1f}")
        print("area of each seed: " + ", ".join(f"{100 * self._area(self._at([c], levels))[0]:.1f}" for c in own))
        for name, curves in others.items():
            other = self._at(curves, levels)
            cells = [self.paired.interval(ours[:, k] - other[:, k]) for k in at]
            print(f"{name} | {' | '.join(cells)} | {self.paired.interval(self._area(ours) - self._area(other))}")

    def _at(self, curves: Sequence[Curve], levels: F64) -> F64:
        """Mean of several seeds' curves, (draw, level)."""
        values = [[along_dollars(points, levels) for points in self.paired.points(curve)] for curve in curves]
        mean: F64 = np.mean(values, axis=0)
        return mean

    def _area(self, values: F64) -> F64:
        low, high = values[:, :1], values[:, -1:]
        area: F64 = np.mean((values - low) / (high - low), axis=1)
        return area

    def caps(self) -> None:
        """Under each cap: accuracy, what was used, and whether any problem used more."""
        strong = np.mean([row["usd"] for row in self.rows["always strong"]])
        kinds: list[tuple[str, str, float]] = [(f"cap {k} calls", "calls", k) for k in CALLS]
        kinds += [(f"cap {share:.0%} dollars", "usd", float(f"{share * strong:.9f}")) for share in SHARES]
        print("\n| cap | policy | correct | BoPO ahead | mean used of the cap | problems above |")
        for end, unit, most in kinds:
            named = {name: rows for name, rows in self.rows.items() if name.endswith(end)}
            for name, rows in named.items():
                used = [row["usd"] if unit == "usd" else row["calls"].get("strong", 0) for row in rows]
                ahead = self._ahead(named[f"BoPO, {end}"], rows)
                print(
                    f"| {end} | {name.partition(',')[0]} | {100 * np.mean([r['correct'] for r in rows]):.1f} % | "
                    f"{ahead} | {100 * np.mean(used) / most:.0f} % | {sum(x > most * (1 + 1e-9) for x in used)} |"
                )

    def _ahead(self, own: Sequence[Row], other: Sequence[Row]) -> str:
        ours, theirs = (np.array([float(row["correct"]) for row in rows]) for rows in (own, other))
        return self.paired.interval(self.paired.weights @ (ours - theirs))

    def intractable(self) -> None:
        """Spending on problems that nobody solves, relative to always-weak's."""
        weak = [row["usd"] for row in self.rows.get("intractable, always weak", [])]
        for name, rows in self.rows.items():
            if weak and name.startswith("intractable, BoPO"):
                times = np.mean([row["usd"] for row in rows]) / np.mean(weak)
                print(f"{name}: {len(rows)} problems, {times:.2f} × always-weak")

    def collapse(self) -> None:
        """The strong share on hard training problems."""
        for name, rows in self.rows.items():
            if name.startswith("hard, "):
                calls = Counter[str]()
                for row in rows:
                    calls.update(row["calls"])
                print(f"{name}: strong writes {100 * calls['strong'] / calls.total():.0f} %")


async def main(options: argparse.Namespace) -> None:
    """Run the parts in order."""
    folder = Folder(options.folder)
    with folder.tree() as tree:
        measurement = Measurement(folder, tree, options)
        for part in options.parts.split(","):
            await measurement.run(part)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("run", "tables"))
    parser.add_argument("folder", type=Path)
    for option, default in (("train", 48), ("test", 120), ("hard", 30), ("passes", 3), ("seeds", 3)):
        parser.add_argument(f"--{option}", type=int, default=default)
    parser.add_argument("--parts", default=",".join(PARTS[:3]))
    given = parser.parse_args()
    if given.action == "run":
        asyncio.run(main(given))
    else:
        Tables(Folder(given.folder), given).print()
