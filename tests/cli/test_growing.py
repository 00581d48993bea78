"""A run that grows pays for what is missing alone, and says the same as one that was made at once."""

import asyncio
import hashlib
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.backends.http.hostile import Asked, HostileServer
from tests.cli.timeless import timeless
from tests.config_texts import WRITERS
from typer.testing import CliRunner

from steproute import Draft, Meter, ModelRole, Prefix, Price, Problem, Roles, Sampling, ScorerRole, Scores, Stop, Usage
from steproute.cli.evaluate import solve_and_grade, summary_of
from steproute.cli.main import app
from steproute.config import RouteSettings, RunConfig
from steproute.engine.step_tree import StepTree
from steproute.engine.trace_file import read_traces
from steproute.evaluation.compare import compare
from steproute.evaluation.judged_runs import JudgedRuns
from steproute.evaluation.summary import Summary
from steproute.evaluation.sweep import Solved

PRICES = {"weak": Price(output=Decimal(100), input=Decimal(1)), "strong": Price(output=Decimal(900), input=Decimal(9))}
STEPS = 3


def drawn(*place: object) -> float:
    """A number in [0, 1) that the place alone decides."""
    return int.from_bytes(hashlib.blake2b(repr(place).encode(), digest_size=6).digest()) / 2**48


@dataclass
class Counting:
    """A model and a scorer that count their calls by who asked, as route/seed/problem; strong is right more often."""

    name: str
    calls: Counter[str] = field(default_factory=Counter)

    async def propose(
        self, prefix: Prefix, n: int = 1, sampling: Sampling = Sampling(), meter: Meter | None = None
    ) -> list[Draft]:
        self.calls[prefix.session.rsplit("/", 1)[0]] += 1
        await asyncio.sleep(0)
        ended = sampling.stop is None or len(prefix.steps) == STEPS - 1
        sound = "slip" not in prefix.text and drawn(self.name, sampling.seed) < (0.98 if self.name == "strong" else 0.5)
        answer = prefix.problem.id if sound else "0"
        text = f"so \\boxed{{{answer}}}" if ended else f"step {len(prefix.steps)}{'' if sound else ' slip'}"
        usage = Usage(input_tokens=9, output_tokens=1 + sampling.seed % 4)
        return [Draft(model=self.name, text=text, stop=Stop.SEPARATOR, usage=usage)]

    async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
        self.calls[prefix.session.rsplit("/", 1)[0]] += 1
        values = tuple(drawn(step.text) / 2 + ("slip" not in step.text) / 2 for step in prefix.steps)
        return Scores(values=values, model=self.name, usage=Usage(input_tokens=3))


def made_up(count: int) -> list[Problem]:
    return [
        Problem.ask(id=str(number), text=f"what is {number}?", answer=str(number)) for number in range(1, count + 1)
    ]


def grow(runs: Path, run: RunConfig, count: int, *, tree: bool = False) -> tuple[Counter[str], Solved]:
    """Solve in the run's folder what it lacks: who asked how often, and all traces."""
    parts = {name: Counting(name) for name in ("weak", "strong", "prm")}
    roles = Roles(
        models={name: ModelRole(model=parts[name], price=price) for name, price in PRICES.items()},
        scorers={"prm": ScorerRole(scorer=parts["prm"], price=PRICES["weak"])},
    )
    folder = runs / run.name
    with ExitStack() as stack:
        if tree:
            roles = stack.enter_context(StepTree(folder / "tree.jsonl.zst", 2**32)).roles(roles)
        found = solve_and_grade(run, run.sweep(), made_up(count), roles, folder)
    return sum((part.calls for part in parts.values()), Counter[str]()), found


def solved(
    runs: Path, run: RunConfig, count: int, *, tree: bool = False
) -> tuple[Counter[str], Summary, dict[str, Any]]:
    """As `grow`: who asked how often, the summary, and what `compare` says."""
    calls, found = grow(runs, run, count, tree=tree)
    sweep, problems = run.sweep(), made_up(count)
    compared = compare("c", "d", sweep, JudgedRuns(sweep, problems, found.traces), 0, resamples=100)
    return calls, summary_of(run, sweep, problems, found), asdict(compared)


def result(summary: Summary) -> dict[str, Any]:
    """All but seconds, and what the summary is made of."""
    return timeless(asdict(summary))


def config(name: str, knobs: tuple[float, ...], *baselines: str, seeds: tuple[int, ...] = ()) -> RunConfig:
    return RunConfig(name=name, data="made-up", knobs=knobs, baselines=baselines, seeds=seeds, in_flight=8)


@pytest.mark.parametrize("tree", [False, True], ids=["eval", "compare"])
def test_a_grown_run_makes_only_the_missing_calls(tmp_path: Path, tree: bool) -> None:
    before, after = 25, 50
    three, five = (0.0, 0.6, 1.0), (0.0, 0.3, 0.6, 0.8, 1.0)
    first, small, _ = solved(tmp_path, config("grown", three), before, tree=tree)
    more, grown, compared = solved(tmp_path, config("grown", five, "random"), after, tree=tree)
    fresh, whole, compared_at_once = solved(tmp_path, config("fresh", five, "random"), after, tree=tree)
    assert first.total() + more.total() == fresh.total()
    assert not first.keys() & more.keys(), "nothing is asked twice"
    assert result(grown) == result(whole)
    assert compared == compared_at_once
    traces = len(five) + 2 + 6
    assert (small.contents.new_traces, small.contents.earlier_traces) == (before * 5, 0)
    assert (grown.contents.new_traces, grown.contents.earlier_traces) == (after * traces - before * 5, before * 5)
    assert grown.contents.earlier_usd == small.contents.new_usd == small.spent_usd
    assert grown.contents.new_usd + grown.contents.earlier_usd == pytest.approx(grown.spent_usd, rel=1e-12)
    assert solved(tmp_path, config("grown", five, "random"), after, tree=tree)[0].total() == 0


SELECTIONS = st.tuples(
    st.integers(1, 4),
    st.sets(st.sampled_from((0.0, 0.4, 0.75, 1.0)), min_size=1),
    st.sets(st.sampled_from(("random", "cascade:random"))),
    st.lists(st.integers(0, 2), min_size=1, max_size=2, unique=True),
)


def cells(run: RunConfig, count: int) -> set[str]:
    """Who asks in a run, as route/seed/problem."""
    sweep = run.sweep()
    return {
        f"{route}/{seed}/{problem.id}"
        for route in {route.name for route in sweep.routes}
        for seed in sweep.seeds
        for problem in made_up(count)
    }


@settings(max_examples=8, deadline=None)
@given(selections=st.lists(SELECTIONS, min_size=2, max_size=4))
def test_any_growth_solves_what_is_new_and_nothing_twice(
    tmp_path_factory: pytest.TempPathFactory, selections: list[Any]
) -> None:
    runs, known = tmp_path_factory.mktemp("runs"), set[str]()
    for count, knobs, policies, seeds in selections:
        run = config("grown", tuple(sorted(knobs)), *sorted(policies), seeds=tuple(seeds))
        asked, grown = grow(runs, run, count)
        needed = cells(run, count)
        assert set(asked) == needed - known
        known |= needed
        assert len(read_traces(runs / "grown/traces.jsonl.zst")) == len(known)
    fresh, whole = grow(runs, replace(run, name="fresh"), count)
    assert set(fresh) == needed
    assert without_seconds(grown) == without_seconds(whole)


def without_seconds(found: Solved) -> list[Any]:
    """The traces without seconds."""
    return [
        replace(each, latency_s=0, account=tuple(replace(line, latency_s=0, wait_s=0) for line in each.account))
        for each in found.traces
    ]


def test_close_knobs_and_other_settings_are_different_routes(tmp_path: Path) -> None:
    base = RouteSettings(strategy="stepwise", policy="threshold+takeover")
    runs = [
        RunConfig(name="a", data="d", route=replace(base, settings=own), knobs=knobs)
        for own, knobs in (({}, (0.5,)), ({"takeover_steps": 2}, (0.5,)), ({"takeover_steps": 3}, (0.5, 0.50000001)))
    ]
    names = [[route.name for route in run.sweep().policy.routes] for run in runs]
    three = "stepwise(takeover_steps=3)/threshold+takeover=0.5"
    assert names[0] == ["stepwise/threshold+takeover=0.5"]
    assert names[1:] == [["stepwise(takeover_steps=2)/threshold+takeover=0.5"], [three, f"{three}0000001"]]
    asked = [set(grow(tmp_path, run, 3)[0]) for run in runs]
    assert [len(each) for each in asked] == [3 * 3, 3, 2 * 3]


def test_seeds_are_means_per_problem(tmp_path: Path) -> None:
    """Each figure is the mean of those of runs with one seed each, and the problem is the unit of the bootstrap."""
    count, knobs = 20, (0.0, 0.75, 1.0)
    _, both, _ = solved(tmp_path, config("both", knobs, seeds=(3, 4)), count)
    alone = [solved(tmp_path, replace(config(f"one{seed}", knobs), seed=seed), count)[1] for seed in (3, 4)]
    assert both.contents.seeds == [3, 4]
    assert both.problems == count
    for point, *ones in zip(both.points, *(each.points for each in alone), strict=True):
        for figure in ("accuracy", "strong_tokens", "cost_usd", "weak_tokens", "calls"):
            mean = sum(getattr(one, figure) for one in ones) / len(ones)
            assert getattr(point, figure) == pytest.approx(mean), figure
        low, high = point.accuracy_ci95
        assert low is not None
        assert high is not None
        assert low <= point.accuracy <= high
    assert sum(both.weak.outcomes.values()) == 2 * count


PRM = """
[scorers.prm]
backend = "vllm-pooling"
base_url = "{url}"
model = "prm"
price = {{ input = 1, output = 0 }}
"""


class Riddles(HostileServer):
    """Weak slips in every second riddle, and the reward model sees it."""

    def __init__(self) -> None:
        super().__init__(lambda request: None)

    def _said(self, body: dict[str, Any]) -> str:
        return f"{body['model']}: {super()._said(body)}"

    def _pieces(self, said: str, stops: bool, one_step: bool) -> list[str | None]:
        slips = said.startswith("weak") and int(said.partition("Riddle ")[2].partition(".")[0]) % 2
        pieces = super()._pieces(said, stops, one_step)
        return ["\\boxed{41}" if piece == "\\boxed{42}" and slips else piece for piece in pieces]

    async def _pool(self, request: Asked, writer: asyncio.StreamWriter) -> bool:
        steps = request.body["input"].count("<extra_0>")
        pairs = [[0.1, 0.9]] * (steps - 1) + [[0.8, 0.2] if "41" in request.body["input"] else [0.1, 0.9]]
        return await self._send(writer, 200, {"data": [{"data": pairs}], "usage": {"prompt_tokens": 9}})


@contextmanager
def served(server: HostileServer) -> Iterator[str]:
    """The server in a thread of its own, for commands that want the main one."""
    ready, ended = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        async with server.running():
            loops.append(asyncio.get_running_loop())
            ready.set()
            await ended.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    ready.wait()
    try:
        yield server.url
    finally:
        loops[0].call_soon_threadsafe(ended.set)
        thread.join()


def command(folder: Path, *words: str) -> str:
    ran = CliRunner().invoke(app, [*words, "--config", str(folder / "steproute.toml"), "--runs", str(folder / "runs")])
    assert ran.exit_code == 0, ran.output
    return ran.output


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (
            ("eval", "--knobs", "0,1", "--baselines", ""),
            ("eval", "--knobs", "0,0.5,1", "--baselines", "cascade:random"),
        ),
        (("compare", "--policies", "random"), ("compare", "--policies", "cascade:random,random")),
    ],
    ids=["eval", "compare"],
)
def test_a_run_over_servers_grows_by_the_calls_that_are_missing(
    tmp_path: Path, first: tuple[str, ...], second: tuple[str, ...]
) -> None:
    data = tmp_path / "own.jsonl"
    data.write_text("\n".join(json.dumps({"id": n, "problem": f"Riddle {n}.", "answer": "42"}) for n in range(8)))
    with served(server := Riddles()) as url:
        text = WRITERS.replace('model = "m"', 'model = "weak"', 1).replace('model = "m"', 'model = "strong"', 1)
        (tmp_path / "steproute.toml").write_text((text + PRM).format(url=url))
        counts = []
        for words, name, problems in ((first, "grown", 4), (second, "grown", 8), (second, "fresh", 8)):
            before = len(server.asked)
            output = command(tmp_path, *words, "--data", str(data), "--problems", str(problems), "--name", name)
            counts.append(len(server.asked) - before)
    assert counts[0] + counts[1] == counts[2]
    assert min(counts) > 0
    assert "from before" not in output
    grown, fresh = (json.loads((tmp_path / f"runs/{name}/summary.json").read_text()) for name in ("grown", "fresh"))
    assert grown["contents"]["earlier_traces"] > 0
    assert (tmp_path / "runs/grown/report.html").is_file()
    assert timeless(grown) == timeless(fresh)
