"""What merging plans is worth on the lab: steps, whole solutions, and the strong model as the one who merges (MPPA).

python benchmarks/merged_plans.py steps --problems 1000
python benchmarks/merged_plans.py solutions --problems 1000 --control runs/lab/lab-weak-unsure.onnx
python benchmarks/merged_plans.py hybrid --weights runs/lab/lab-strong-merge.onnx --problems 1000

The control was trained on the same steps without plans: `python -m steproute.lab.train --only weak-unsure`.

Each line is a JSON object. A difference is to `against`, with its 95 % interval and two-sided p-value from the paired
bootstrap over problems.
"""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Annotated, Final

import typer
from examples_in_steps import Count, Part, Row, Seed, after, answers, each_problem, is_correct, print_share

from steproute.config import lab_roles
from steproute.core.ports import Strategy
from steproute.core.problem import Problem
from steproute.core.solution import Advice, Draft, Prefix
from steproute.core.trace import Trace
from steproute.engine.drafting import call_seed
from steproute.engine.episode import Episode
from steproute.engine.roles import ModelRole, Roles
from steproute.lab.models import LAB_SAMPLING, PRICES, LabModel, LabWriter
from steproute.lab.network import Network
from steproute.lab.story import Split, Story, generate
from steproute.lab.worker import Worker
from steproute.learn.rollouts import solve_all
from steproute.policies.baselines.random import RandomRouting
from steproute.policies.trim.threshold import Threshold
from steproute.strategies.planned import Planned
from steproute.strategies.single import Single
from steproute.strategies.stepwise import Stepwise

_NEVER: Final = RandomRouting(0.0)
_PLANS: Final = 4
_WARMER: Final = LAB_SAMPLING.temperature + Planned(policy=_NEVER).temperature
_GAPS: Final = (0, 40, 80)
_KNOBS: Final = (0.1, 0.3, 0.5, 0.7, 0.9, 0.95)
app = typer.Typer()
Weights = Annotated[Path | None, typer.Option(help="An .onnx file instead of the shipped lab-weak-merge.")]
Control = Annotated[Path | None, typer.Option(help="The .onnx file of the model that learnt the steps without plans.")]


@app.command()
def steps(
    problems: Count = 200, seed: Seed = 0, split: Part = "test", weights: Weights = None, control: Control = None
) -> None:
    """Single steps after correct prefixes: each way to make one step of four plans, and the best that could be made."""
    writers: dict[str, LabModel] = {"written": _aggregator(weights)}
    if control is not None:
        writers["without plans"] = Blind(Worker(Network(control)))
    merging = Merging(LabModel("lab-weak"), writers)
    rows = asyncio.run(each_problem(merging.measured, list(islice(generate(split, seed), problems))))
    for name in ("one draft", "vote", *writers, "any plan"):
        for against in ("vote", *list(writers)[1:]):
            print_share("step correct", name, against, rows, "correct", "steps")
            print_share("step correct where plans differ", name, against, rows, "differing", "differing steps")
    for name in ("a plan is correct", "no plan is correct"):
        print_share("written step correct", name, name, rows, "written", name)
    for name in ("shown", "removed"):
        print_share("written step correct, the correct plan", name, "shown", rows, "kept", "removals")


@app.command()
def solutions(
    problems: Count = 200, seed: Seed = 0, split: Part = "test", weights: Weights = None, control: Control = None
) -> None:
    """Whole solutions by lab-weak, with no, voted, judged and merged plans at every step; and by the control, where
    plans differ and at every step."""
    strategies: dict[str, Strategy[Episode]] = {
        "weak alone": Stepwise(policy=_NEVER),
        **{merge: Planned(policy=_NEVER, plans=_PLANS, merge=merge, gap=0) for merge in ("vote", "judge")},
        "write": Planned(policy=_NEVER, plans=_PLANS, aggregator="merge", gap=0),
    }
    roles = _roles("merge", weights)
    if control is not None:
        role = replace(roles.model("merge"), model=Blind(Worker(Network(control))))
        roles = replace(roles, models={**roles.models, "control": role})
        strategies["without plans"] = Planned(policy=_NEVER, plans=_PLANS, aggregator="control", gap=0)
        strategies["control alone"] = Single("control")
    traces, rows = _solve(strategies, roles, problems, seed, split)
    for name in traces:
        for against in ("weak alone", "vote", *(["without plans", "control alone"] if control else [])):
            print_share("answer correct", name, against, rows, "correct", "problems")
        _print_costs(name, traces[name])


@app.command()
def hybrid(weights: Weights, problems: Count = 200, seed: Seed = 0, split: Part = "test") -> None:
    """The strong model writes a step with weak's plans in view, at some steps; beside TRIM-Thr's curve."""
    strategies: dict[str, Strategy[Episode]] = {
        **{f"TRIM-Thr {knob}": Stepwise(policy=Threshold(knob)) for knob in _KNOBS},
        **{f"plans, gap {gap}": Planned(policy=_NEVER, plans=_PLANS, aggregator="merge", gap=gap) for gap in _GAPS},
    }
    traces, rows = _solve(strategies, _roles("merge", weights, like="lab-strong"), problems, seed, split)
    for name in traces:
        print_share("answer correct", name, name, rows, "correct", "problems")
        _print_costs(name, traces[name])


class Blind(LabModel):
    """An aggregator that is not shown the plans."""

    def __init__(self, source: Worker) -> None:
        super().__init__("lab-weak", source)
        self.capabilities = replace(self.capabilities, plans=True)

    def _prompt(self, prefix: Prefix) -> list[int]:
        return super()._prompt(prefix.advised(Advice()))


@dataclass(frozen=True, slots=True)
class Merging:
    """Four plans of the weak model after correct steps, and the step that each way makes of them.

    writers: who writes a step where plans differ, by the name of the figure.
    """

    weak: LabModel
    writers: Mapping[str, LabModel]

    async def measured(self, problem: Problem) -> Row:
        """The sums of one problem."""
        story, total = Story.parse(problem.text), defaultdict[str, float](float)
        for place in range(len(story.solution())):
            for name, value in (await self._at(problem, story, place)).items():
                total[name] += value
        return total

    async def _at(self, problem: Problem, story: Story, place: int) -> Row:
        before = story.solution()[:place]
        prefix = after(problem, before)
        seeds = [call_seed(0, problem.id, "weak", place, attempt) for attempt in (1, 2)]
        warmer = replace(LAB_SAMPLING, temperature=_WARMER, seed=seeds[0])
        (draft,) = await self.weak.propose(prefix, 1, replace(LAB_SAMPLING, seed=seeds[1]))
        plans = await self.weak.propose(prefix, _PLANS, warmer)
        texts = list(dict.fromkeys(plan.text for plan in plans))
        made = {"one draft": draft.text, "vote": _most_frequent(plans)}
        for name, writer in self.writers.items():
            made[name] = texts[0]
            if len(texts) > 1:
                made[name] = await _written(writer, prefix, texts, seeds[1])
        correct = {name: float(is_correct(story, before, text)) for name, text in made.items()}
        correct["any plan"] = float(any(is_correct(story, before, text) for text in texts))
        row = {"steps": 1.0} | {f"correct: {name}": value for name, value in correct.items()}
        if len(texts) > 1:
            among = f"{'a' if correct['any plan'] else 'no'} plan is correct"
            row |= {f"differing: {name}": value for name, value in correct.items()}
            row |= {"differing steps": 1.0, among: 1.0, f"written: {among}": correct["written"]}
            incorrect = [text for text in texts if not is_correct(story, before, text)]
            if correct["any plan"] and len(incorrect) > 1:
                without = await _written(self.writers["written"], prefix, incorrect, seeds[1])
                row |= {"removals": 1.0, "kept: shown": correct["written"]}
                row["kept: removed"] = float(is_correct(story, before, without))
        return row


async def _written(writer: LabModel, prefix: Prefix, plans: Sequence[str], seed: int) -> str:
    advised = prefix.advised(Advice(plans=tuple(plans)))
    return (await writer.propose(advised, 1, replace(LAB_SAMPLING, seed=seed)))[0].text


def _most_frequent(plans: Sequence[Draft]) -> str:
    return Counter(plan.text for plan in plans).most_common(1)[0][0]


def _aggregator(weights: Path | None) -> LabModel:
    return LabModel("lab-weak-merge", None if weights is None else Worker(Network(weights)))


def _roles(name: str, weights: Path | None, like: LabWriter = "lab-weak") -> Roles:
    """The lab with the aggregator as one more role, at the price of the model that it is made from."""
    lab = lab_roles()
    role = ModelRole(model=_aggregator(weights), price=PRICES[like], sampling=LAB_SAMPLING)
    return replace(lab, models={**lab.models, name: role})


def _solve(
    strategies: Mapping[str, Strategy[Episode]], roles: Roles, problems: int, seed: int, split: Split
) -> tuple[dict[str, list[Trace]], list[Row]]:
    chosen = list(islice(generate(split, seed), problems))
    traces = {name: asyncio.run(solve_all(chosen, roles, each, seed)) for name, each in strategies.items()}
    return traces, [answers(each, {name: of[at] for name, of in traces.items()}) for at, each in enumerate(chosen)]


def _print_costs(name: str, traces: Sequence[Trace]) -> None:
    lines = [line for trace in traces for line in trace.account]
    tokens = Counter[str]()
    for line in lines:
        tokens[line.role] += line.usage.output_tokens
    written = {f"{role}_tokens": round(count / len(traces), 2) for role, count in tokens.items() if count}
    usd = float(sum(line.cost_usd for line in lines)) / len(traces)
    print(json.dumps({"figure": "cost per problem", "of": name, **written, "usd": round(usd, 9)}))


if __name__ == "__main__":
    app()
