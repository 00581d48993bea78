"""The examples work, and say the same as the library."""

import asyncio
import importlib.util
import re
from itertools import islice
from pathlib import Path
from types import ModuleType

import pytest

from steproute import Episode
from steproute.config import lab_roles, read_config
from steproute.lab.story import generate
from steproute.policies.trim.threshold import Threshold
from steproute.strategies.stepwise import Stepwise

EXAMPLES = Path(__file__).parents[2] / "examples"


def module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"examples_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.mark.parametrize("difficulty", ["standard", "hard"])
@pytest.mark.parametrize("threshold", [0.0, 0.2, 0.5, 0.8, 0.99, 1.0])
def test_trim_in_one_file_returns_the_solutions_of_stepwise(threshold: float, difficulty: str) -> None:
    example, roles = module("trim_in_one_file"), lab_roles()

    async def both() -> None:
        for problem in islice(generate("test", 0, difficulty), 5):  # type: ignore[arg-type]
            own = await example.solve(problem, threshold, seed=1)
            trace = await Episode(problem, roles, route="one-file", seed=1).run(Stepwise(policy=Threshold(threshold)))
            assert [(role, text) for role, _, text in own.steps] == [(step.role, step.text) for step in trace.steps]
            assert own.answer == trace.answer
            for role in ("weak", "strong"):
                assert own.generated[role] == trace.generated_tokens(role)
            assert own.scored == trace.scored_tokens()

    asyncio.run(both())


def test_trim_in_one_file_is_short_and_needs_no_engine() -> None:
    text = (EXAMPLES / "trim_in_one_file.py").read_text()
    assert len(text.splitlines()) <= 120
    assert not re.search(r"^(from|import) steproute\.(engine|strategies|config)", text, re.MULTILINE)


def test_trim_in_one_file_prints_a_solution(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["trim_in_one_file.py", "--sample", "3"])
    module("trim_in_one_file").main()
    assert "answer 64, expected 64" in capsys.readouterr().out


def test_own_policy_is_swept(capsys: pytest.CaptureFixture[str]) -> None:
    example = module("own_policy")
    example.main(count=2)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(example.Patient.knobs)
    assert lines[1].count("0.0 strong") == 2


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_configuration_builds_its_models_and_its_route(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in re.findall(r'^api_key_env = "(\w+)"', path.read_text(), re.MULTILINE):
        monkeypatch.setenv(variable, "sk-of-a-test")
    config = read_config(path)
    config.roles()
    config.route.strategy_at(0)
    assert {"weak", "strong"} <= config.tables["models"].keys()
