"""`steproute.solve` and `asolve`, on the lab and over a real server on loopback."""

import ast
import asyncio
import gc
import json
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from itertools import islice
from pathlib import Path

import pytest
from tests.backends.http.arithmetic import Arithmetic, config_file
from typer.testing import CliRunner

import steproute
from steproute.cli.main import app
from steproute.core.errors import ConfigError, DatasetError
from steproute.core.events import Event, Finished, Started
from steproute.core.solution import Outcome
from steproute.core.trace import Trace
from steproute.core.usage import Purpose
from steproute.lab.story import generate
from steproute.solving import LAB_PROBLEM

LAB_PROBLEMS = [problem.text for problem in islice(generate("test"), 3)]


@pytest.fixture
def server() -> Iterator[Arithmetic]:
    with Arithmetic().served() as arithmetic:
        yield arithmetic


@pytest.fixture
def config(server: Arithmetic, tmp_path: Path) -> str:
    return config_file(tmp_path, server)


def timeless(trace: Trace) -> Trace:
    """Without what a clock decides."""
    account = tuple(replace(line, latency_s=0.0, wait_s=0.0, request_id="") for line in trace.account)
    return replace(trace, latency_s=0.0, account=account)


def test_a_lab_problem_is_solved_by_the_shipped_policy() -> None:
    solution = steproute.solve(LAB_PROBLEM)
    assert solution.answer == "42"
    assert solution.trace.route == "stepwise/lab-agg=0.002"
    assert [step.role for step in solution.steps] == ["weak", "weak"]
    assert all(step.score is not None and step.score > 0.5 for step in solution.steps)
    assert solution.text == "\n\n".join(step.text for step in solution.steps)


def test_usage_by_role_adds_up_to_the_whole_account() -> None:
    solution = steproute.solve(LAB_PROBLEM, knob=1)
    assert solution.usage.keys() == {"weak", "prm", "strong"}
    assert sum((each.cost_usd for each in solution.usage.values()), Decimal(0)) == solution.cost_usd > 0
    assert sum(each.calls for each in solution.usage.values()) == len(solution.trace.account)
    for role in ("weak", "strong"):
        assert solution.usage[role].output_tokens == solution.trace.generated_tokens(role)
    assert solution.usage["prm"].read_tokens == solution.trace.scored_tokens()


def test_events_come_as_they_happen() -> None:
    events: list[Event] = []
    solution = steproute.solve(LAB_PROBLEM, on_event=events.append)
    assert isinstance(events[0], Started)
    assert events[-1] == Finished(solution.trace)


def test_a_problem_keeps_its_id_and_its_gold_answer() -> None:
    solution = steproute.solve(steproute.Problem.ask(LAB_PROBLEM, id="mine", answer="42"), seed=3)
    assert (solution.trace.problem_id, solution.trace.seed) == ("mine", 3)
    assert solution.problem.answer == "42"


def test_a_text_that_the_lab_cannot_read_is_refused_with_what_to_do() -> None:
    with pytest.raises(DatasetError, match=r"no numbered sentences.*(?s:.)*config='steproute.toml'"):
        steproute.solve("What is 2 + 2?")


def test_a_spent_budget_ends_the_solution_and_is_no_error() -> None:
    solution = steproute.solve(LAB_PROBLEM, max_tokens=20)
    assert solution.trace.outcome is Outcome.TOKEN_BUDGET
    assert solution.answer is None
    assert solution.usage["weak"].output_tokens <= 20


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"policy": "magic"}, "policies: 'magic' is unknown"),
        ({"knob": 1.5}, "outside"),
        ({"settings": {"takeover_steps": 2}}, "takeover_steps"),
        ({"max_cost_usd": -1}, "max_cost_usd: -1 is not a budget"),
        ({"seed": -1}, "seed: -1 is below 0"),
        ({"config": "none.toml"}, "none.toml does not exist"),
    ],
)
def test_wrong_options_are_refused_by_name(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        steproute.solve(LAB_PROBLEM, **options)  # type: ignore[arg-type]


def test_solve_within_an_event_loop_names_asolve() -> None:
    async def notebook() -> None:
        steproute.solve(LAB_PROBLEM)

    with pytest.raises(steproute.SteprouteError, match=r"await steproute\.asolve"):
        asyncio.run(notebook())


def test_the_same_call_costs_the_same_again() -> None:
    first, second = (timeless(steproute.solve(LAB_PROBLEM).trace) for _ in range(2))
    assert first == second


def test_problems_solved_together_have_the_accounts_that_they_have_alone() -> None:
    async def gather_or_cancel() -> list[steproute.Solution]:
        return await asyncio.gather(*(steproute.asolve(text) for text in LAB_PROBLEMS * 2))

    alone = [steproute.solve(text) for text in LAB_PROBLEMS]
    solutions = asyncio.run(gather_or_cancel())
    assert [each.text for each in solutions] == [each.text for each in alone] * 2
    assert [timeless(each.trace).account for each in solutions] == [timeless(each.trace).account for each in alone] * 2


def test_the_command_is_the_same_function(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["solve", LAB_PROBLEM, "--knob", "0.9", "--seed", "5", "--json"])
    printed = json.loads(result.stdout)
    trace = steproute.solve(LAB_PROBLEM, knob=0.9, seed=5).trace
    assert [step["text"] for step in printed["steps"]] == [step.text for step in trace.steps]
    assert [line["cost_usd"] for line in printed["account"]] == [str(line.cost_usd) for line in trace.account]


def test_own_models_are_asked_and_every_call_is_on_the_account(server: Arithmetic, config: str) -> None:
    solution = steproute.solve("What is 3 plus 1?", config=config)
    assert solution.answer == "4"
    assert [step.role for step in solution.steps] == ["weak", "weak", "weak", "strong"]
    assert len(solution.trace.account) == len(server.calls)
    read = sum(each.read_tokens for each in solution.usage.values())
    assert read == sum(asked.prompt_tokens for asked in server.calls)
    assert solution.trace.generated_tokens("weak", Purpose.DISCARDED) > 0


def test_many_problems_share_one_loaded_configuration(server: Arithmetic, config: str) -> None:
    loaded = steproute.load_config(config)

    async def gather_or_cancel() -> list[steproute.Solution]:
        return await asyncio.gather(*(steproute.asolve(f"What is {n} plus 1?", config=loaded) for n in range(8)))

    solutions = asyncio.run(gather_or_cancel())
    assert [each.answer for each in solutions] == [str(n + 1) for n in range(8)]
    assert sum(len(each.trace.account) for each in solutions) == len(server.calls)
    for n, each in enumerate(solutions):
        alone = steproute.solve(f"What is {n} plus 1?", config=loaded)
        assert alone.usage == each.usage


def test_a_model_that_fails_raises_with_what_was_spent(server: Arithmetic, config: str) -> None:
    server.breaks_after = 3
    with pytest.raises(steproute.ProblemFailed, match="status 401") as caught:
        steproute.solve("What is 5 plus 1?", config=config)
    assert caught.value.role in ("weak", "strong", "prm")
    assert caught.value.trace.outcome is Outcome.FAILED
    assert len(caught.value.trace.account) == 3
    assert caught.value.trace.cost_usd > 0


@pytest.mark.parametrize("loaded", [True, False])
def test_connections_are_closed(config: str, loaded: bool) -> None:
    source = steproute.load_config(config) if loaded else config
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        for n in range(2):
            steproute.solve(f"What is {n} plus 1?", config=source)
        gc.collect()
    assert [str(each.message) for each in caught if "transport" in str(each.message)] == []


def test_every_name_of_the_package_is_there_for_tools_and_at_run_time() -> None:
    tree = ast.parse(Path(steproute.__file__).read_text())
    (typed,) = (node for node in tree.body if isinstance(node, ast.If))
    imported = {
        name.name: node.module for node in typed.body if isinstance(node, ast.ImportFrom) for name in node.names
    }
    assert imported == steproute._PLACES
    assert sorted(imported) == sorted(steproute.__all__)
    assert all(hasattr(steproute, name) and name in dir(steproute) for name in steproute.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'resolve'"):
        steproute.resolve  # noqa: B018


def test_importing_the_package_imports_no_other_one() -> None:
    check = "import sys; before = set(sys.modules); import steproute; print(*(set(sys.modules) - before))"
    result = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    own = {name.partition(".")[0] for name in result.stdout.split()}
    assert own - sys.stdlib_module_names == {"steproute"}
