"""What solved steps are worth to lab-weak-hinted: which of them a first try finds, and what it writes with one in view.

python benchmarks/examples_in_steps.py retrieval --bank runs/bank --problems 200
python benchmarks/examples_in_steps.py steps --bank runs/bank --problems 200
python benchmarks/examples_in_steps.py solutions --bank runs/bank --problems 200

Each line is a JSON object. A difference is to `against`, with its 95 % interval and two-sided p-value from the paired
bootstrap over problems.
"""

import asyncio
import json
import re
from collections import defaultdict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import typer

from steproute.config import lab_roles
from steproute.core.arrays import F64
from steproute.core.concurrency import map_concurrently
from steproute.core.ports import Needs, Strategy
from steproute.core.problem import Problem
from steproute.core.solution import Advice, Draft, Prefix, Sampling, Step
from steproute.core.trace import Trace
from steproute.engine.drafting import call_seed
from steproute.engine.episode import Episode
from steproute.engine.roles import ModelRole
from steproute.evaluation.differences import difference
from steproute.evaluation.resampling import draws
from steproute.lab.checker import StepLabel, check_steps
from steproute.lab.models import LAB_SAMPLING, PRICES, LabModel, LabWriter
from steproute.lab.network import Network
from steproute.lab.story import Split, Story, generate
from steproute.lab.worker import Worker
from steproute.learn.rollouts import solve_all
from steproute.policies.baselines.random import RandomRouting
from steproute.retrieval.example_bank import THRESHOLD, ExampleBank, load_bank
from steproute.strategies.booststep import BoostStep
from steproute.strategies.stepwise import Stepwise

_CALCULATION: Final = re.compile(r"(\d+) ([-+*/]) (?:\w+ )?(\d+) = ")
_RESAMPLES: Final = 2000
_IN_FLIGHT: Final = 24
app = typer.Typer()
Bank = Annotated[Path, typer.Option(help="Folder of the example bank.")]
Count = Annotated[int, typer.Option(help="Test problems.")]
Seed = Annotated[int, typer.Option(help="Of the problems and the drafts.")]
Writer = Annotated[LabWriter, typer.Option(help="The lab model that makes the first tries.")]
Part = Annotated[Split, typer.Option(help="The stories' split.")]
Weights = Annotated[Path | None, typer.Option(help="An .onnx file instead of the shipped lab-weak-hinted.")]
_QUERIES: Final = ("first try", "previous step", "path")
_THRESHOLDS: Final = (0.3, 0.4, 0.5, 0.6, 0.7)
Row = dict[str, float]
"""Of one problem: sums by name, with `steps` and `calculations` as their denominators."""


@app.command()
def retrieval(bank: Bank, problems: Count = 200, seed: Seed = 0, model: Writer = "lab-weak") -> None:
    """What each query finds, for tries of a model after correct steps: no second draft is written."""
    tried = OneStep(load_bank(bank), LabModel(model))
    rows = asyncio.run(each_problem(tried.found, list(islice(generate("test", seed), problems))))
    for name in _QUERIES:
        print_share("same calculation", name, "first try", rows, "found", "calculations")
    for kind in ("correct", "incorrect"):
        print_share("same calculation", f"{kind} try", f"{kind} try", rows, "found", f"{kind} tries")
    for least in _THRESHOLDS:
        print_share("given", f"at {least}", f"at {least}", rows, "given", "calculations")
        print_share(
            "same calculation, of those given", f"at {least}", f"at {least}", rows, "found", f"given: at {least}"
        )


@app.command()
def steps(bank: Bank, problems: Count = 200, seed: Seed = 0, split: Part = "test", weights: Weights = None) -> None:
    """Steps after correct prefixes: what each query finds, and whether the second draft is correct."""
    chosen = list(islice(generate(split, seed), problems))
    tried = OneStep(load_bank(bank), _hinted(weights))
    rows = asyncio.run(each_problem(tried.measured, chosen))
    for name in dict.fromkeys(key.partition(": ")[2] for row in rows for key in row if key.startswith("correct: ")):
        print_share("step correct", name, "first try alone", rows, "correct", "steps")
    given = sum(row["given: first try"] for row in rows) / sum(row["steps"] for row in rows)
    print(json.dumps({"figure": "steps with an example", "value": round(given, 4)}))


@app.command()
def solutions(bank: Bank, problems: Count = 200, seed: Seed = 0, split: Part = "test", weights: Weights = None) -> None:
    """Whole solutions by lab-weak-hinted alone, without a process reward model."""
    chosen = list(islice(generate(split, seed), problems))
    model = ModelRole(model=_hinted(weights), price=PRICES["lab-weak-hinted"], sampling=LAB_SAMPLING)
    lab = lab_roles()
    roles = replace(lab, models={**lab.models, "weak": model})
    never = RandomRouting(0.0)
    strategies: dict[str, Strategy[Episode]] = {
        "first try alone": Stepwise(policy=never),
        "example at 0.7": BoostStep(policy=never, bank=str(bank), when="always"),
        "example always": BoostStep(policy=never, bank=str(bank), when="always", threshold=0.0),
        "likelier of two": Likelier(),
    }
    traces = {name: asyncio.run(solve_all(chosen, roles, each, seed)) for name, each in strategies.items()}
    bare = replace(roles, models={**roles.models, "weak": lab.models["weak"]})
    traces["lab-weak, first try alone"] = asyncio.run(solve_all(chosen, bare, Stepwise(policy=never), seed))
    rows = [answers(problem, {name: of[index] for name, of in traces.items()}) for index, problem in enumerate(chosen)]
    for name in traces:
        for against in ("first try alone", "likelier of two"):
            print_share("answer correct", name, against, rows, "correct", "problems")
    for name, found in traces.items():
        lines = [line for trace in found for line in trace.account]
        tokens = {
            "weak_tokens": sum(line.usage.output_tokens for line in lines) / len(found),
            "uncached_input": sum(line.usage.input_tokens for line in lines) / len(found),
            "usd": float(sum(line.cost_usd for line in lines)) / len(found),
        }
        print(json.dumps({"figure": "cost per problem", "of": name, **tokens}))


@dataclass(frozen=True, slots=True)
class Likelier:
    """The weak model writes every step twice; the draft of the higher mean log-probability is kept."""

    @property
    def needs(self) -> Needs:
        """The weak model alone."""
        return Needs(models=("weak",))

    async def solve(self, episode: Episode) -> None:
        """Two drafts, one kept, until the end."""
        prefix = episode.start()
        while not prefix.finished:
            ((first, second),) = await episode.propose_many("weak", [prefix], 2)
            prefix = await episode.accept(max(first, second, key=_mean_logprob))


@dataclass(frozen=True, slots=True)
class OneStep:
    """Second drafts of single steps, each after the correct steps before it."""

    bank: ExampleBank
    model: LabModel

    async def found(self, problem: Problem) -> Row:
        """Of one problem: how often each query finds the calculation, also by the try's verdict and by threshold."""
        solution, total = Story.parse(problem.text).solution(), defaultdict[str, float](float)
        for place, step in enumerate(solution):
            if (wanted := _calculation(step)) is None:
                continue
            first = await self._first(problem, solution[:place])
            verdict = "correct" if is_correct(Story.parse(problem.text), solution[:place], first) else "incorrect"
            queries = dict(zip(_QUERIES, self._queries(first, solution[:place]), strict=True))
            total["calculations"] += 1
            total[f"{verdict} tries"] += 1
            for name, query in queries.items():
                text, _, similarity = self._nearest(query)
                is_same = _calculation(text) == wanted
                total[f"found: {name}"] += is_same
                if name == "first try":
                    total[f"found: {verdict} try"] += is_same
                    for least in _THRESHOLDS:
                        total[f"given: at {least}"] += similarity >= least
                        total[f"found: at {least}"] += is_same and similarity >= least
        return total

    async def _first(self, problem: Problem, before: Sequence[str]) -> str:
        place = len(before)
        prefix = after(problem, before)
        seed = call_seed(0, problem.id, "weak", place, 1)
        (draft,) = await self.model.propose(prefix, 1, replace(LAB_SAMPLING, seed=seed))
        return draft.text

    def _queries(self, first: str, before: Sequence[str]) -> tuple[str, str, str]:
        return first, before[-1] if before else "", " ".join(before)

    async def measured(self, problem: Problem) -> Row:
        """The sums of one problem."""
        story, total = Story.parse(problem.text), dict[str, float]()
        for place, step in enumerate(story.solution()):
            for name, value in (await self._at(problem, story, place, step)).items():
                total[name] = total.get(name, 0.0) + value
        return total

    async def _at(self, problem: Problem, story: Story, place: int, step: str) -> Row:
        before = story.solution()[:place]
        prefix = after(problem, before)

        def seeded(attempt: int) -> Sampling:
            return replace(LAB_SAMPLING, seed=call_seed(0, problem.id, "weak", place, attempt))

        async def correct(advice: Advice | None, attempt: int) -> float:
            shown = prefix if advice is None else prefix.advised(advice)
            (draft,) = await self.model.propose(shown, 1, seeded(attempt))
            return float(is_correct(story, before, draft.text))

        first = await self._first(problem, before)
        tried = float(is_correct(story, before, first))
        queries = dict(zip(_QUERIES, self._queries(first, before), strict=True))
        found = {name: self._nearest(query) for name, query in queries.items()}
        others = self._nearest(first, without=_calculation(step))
        row = {"steps": 1.0, "correct: first try alone": tried, "correct: second try": await correct(None, 2)}
        for name, (_, example, similarity) in found.items():
            row[f"correct: example by {name}"] = await correct(Advice(example=example), 2)
            if name == "first try":
                is_given = similarity >= THRESHOLD
                row["given: first try"] = float(is_given)
                row["correct: example by first try at 0.7"] = row[f"correct: example by {name}"] if is_given else tried
        without = await correct(Advice(example=others[1]), 2)
        row["correct: calculation not in the bank"] = without
        row["correct: calculation not in the bank, at 0.7"] = without if others[2] >= THRESHOLD else tried
        return row

    def _nearest(self, query: str, without: tuple[str, ...] | None = None) -> tuple[str, str, float]:
        """(step, whole example, similarity) of the best row whose calculation is not `without`."""
        similarities = self.bank.index.similarities(query)
        row = int(similarities.argmax())
        while without is not None and _calculation(self.bank.examples[row].step) == without:
            similarities[row] = -1.0
            row = int(similarities.argmax())
        return self.bank.examples[row].step, self.bank.examples[row].text, float(similarities[row])


def _hinted(weights: Path | None) -> LabModel:
    return LabModel("lab-weak-hinted", None if weights is None else Worker(Network(weights)))


def after(problem: Problem, before: Sequence[str]) -> Prefix:
    prefix = Prefix(problem=problem, session=f"{problem.id}/{len(before)}")
    return prefix.extended(*(Step(role="given", text=text, tokens=0) for text in before))


def _calculation(step: str) -> tuple[str, ...] | None:
    match = _CALCULATION.search(step)
    return None if match is None else match.groups()


def is_correct(story: Story, before: Sequence[str], text: str) -> bool:
    return check_steps(story, [*before, text])[-1] is StepLabel.CORRECT


def _mean_logprob(draft: Draft) -> float:
    return float(np.mean(draft.logprobs)) if draft.logprobs else -np.inf


def answers(problem: Problem, traces: Mapping[str, Trace]) -> Row:
    return {"problems": 1.0} | {f"correct: {name}": float(t.answer == problem.answer) for name, t in traces.items()}


async def each_problem(
    measure: Callable[[Problem], Coroutine[None, None, Row]], problems: Sequence[Problem]
) -> list[Row]:
    return await map_concurrently(measure, problems, in_flight=_IN_FLIGHT)


def print_share(figure: str, name: str, against: str, rows: Sequence[Row], kind: str, denominator: str) -> None:
    """The share, and its difference to another's."""
    of, other, size = (
        np.array([row.get(key, 0.0) for row in rows]) for key in (f"{kind}: {name}", f"{kind}: {against}", denominator)
    )
    line = {"figure": figure, "of": name, "value": round(float(of.sum() / size.sum()), 4)}
    if name != against:
        gap = difference(_shares(of, size), _shares(other, size))
        line |= {
            "against": against,
            "difference": round(gap.value, 4),
            "ci95": [round(gap.interval.low, 4), round(gap.interval.high, 4)],
            "p": gap.p,
        }
    print(json.dumps(line))


def _shares(sums: F64, sizes: F64) -> F64:
    """The share, then those of the resamples."""
    counts = np.concatenate(list(draws(len(sums), _RESAMPLES, np.random.default_rng(0))))
    return np.concatenate([[sums.sum() / sizes.sum()], (counts @ sums) / (counts @ sizes)])


if __name__ == "__main__":
    app()
