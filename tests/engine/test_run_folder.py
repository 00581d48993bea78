"""What a resumed run is compared with, and which names a run may have."""

import os
import tomllib
from dataclasses import fields, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from steproute import Problem
from steproute.artifacts import Artifact, write_artifact
from steproute.config import AnswerSettings, RouteSettings, RunConfig
from steproute.core.errors import ArtifactError, ConfigError
from steproute.engine.limits import Limits
from steproute.engine.run_folder import Selection, checked_name, claim_folder, name_of

PROBLEMS = [Problem.ask(id=f"p{number}", text=f"what is {number}?", answer=str(number)) for number in range(5)]
CONFIG = RunConfig(name="a", data="mine.jsonl")


def claim(
    folder: Path,
    config: RunConfig = CONFIG,
    problems: list[Problem] = PROBLEMS,
    *,
    routes: tuple[str, ...] = ("r",),
    seeds: tuple[int, ...] = (0,),
    begun: bool = False,
) -> None:
    selection = Selection(routes=routes, seeds=seeds, problems=problems, artifacts=tuple(config.artifacts))
    claim_folder(folder, config.conditions(), selection, begun=begun)


DECIDING: dict[str, Any] = {
    "name": "b",
    "data": "other.jsonl",
    "scorer": "prm-place",
    "calibrations": (),
    "config_digest": "ab12",
    "seed": 1,
    "answer": AnswerSettings(rule="final_line", grader="numeric"),
}
SELECTING: dict[str, Any] = {
    "problems": 3,
    "route": RouteSettings(strategy="pipelined", settings={"lookahead": 2}),
    "knobs": (0.5,),
    "baselines": ("oracle",),
    "seeds": (0, 1),
    "in_flight": 3,
}
LIMITS: dict[str, Any] = {
    "max_steps": 29,
    "max_tokens": 100,
    "max_cost_usd": Decimal("0.1"),
    "max_calls": {"strong": 3},
    "deadline_s": 5.0,
    "retries": 1,
    "on_scorer_failure": "accept",
    "on_strong_failure": "accept",
    "on_weak_failure": "strong",
}


def test_every_setting_is_tried() -> None:
    assert {*DECIDING, *SELECTING, "limits"} == {field.name for field in fields(RunConfig)}
    assert set(LIMITS) == {field.name for field in fields(Limits)}


@pytest.mark.parametrize("change", [{key: value} for key, value in DECIDING.items() if value != ()], ids=repr)
def test_a_run_with_another_setting_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    claim(tmp_path)
    (key,) = change
    named = "began with the models of the lab" if key == "config_digest" else rf"{key}[.\w]* was"
    with pytest.raises(ConfigError, match=f"{named}.*Resume with the same"):
        claim(tmp_path, replace(CONFIG, **change))
    claim(tmp_path)


@pytest.mark.parametrize("change", [{key: value} for key, value in LIMITS.items()], ids=repr)
def test_a_run_with_other_limits_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    claim(tmp_path)
    with pytest.raises(ConfigError, match=rf"limits.{next(iter(change))} was"):
        claim(tmp_path, replace(CONFIG, limits=Limits(**change)))


@pytest.mark.parametrize("change", [{key: value} for key, value in SELECTING.items()], ids=repr)
def test_what_only_selects_may_change(tmp_path: Path, change: dict[str, Any]) -> None:
    claim(tmp_path)
    before = (tmp_path / "run.toml").read_bytes()
    claim(tmp_path, replace(CONFIG, **change))
    assert (tmp_path / "run.toml").read_bytes() == before, "as long as nothing else is selected"


def holds(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "run.toml").read_text())["holds"]  # type: ignore[no-any-return]


def test_run_toml_names_all_that_was_ever_selected(tmp_path: Path) -> None:
    artifact(tmp_path / "made", 1.0)
    agg = replace(CONFIG, baselines=(str(tmp_path / "made"),))
    run = tmp_path / "run"
    claim(run, problems=PROBLEMS[:3], routes=("a", "b"), seeds=(0,))
    assert holds(run) == {"routes": ["a", "b"], "seeds": [0], "problems": 3}
    claim(run, agg, problems=PROBLEMS[1:], routes=("c", "b"), seeds=(2, 0), begun=True)
    assert holds(run) == {"routes": ["a", "b", "c"], "seeds": [0, 2], "problems": 5}
    claim(run, problems=PROBLEMS[4:], routes=("a",), seeds=(2,), begun=True)
    assert holds(run) == {"routes": ["a", "b", "c"], "seeds": [0, 2], "problems": 5}
    artifact(tmp_path / "made", 2.0)
    claim(run, begun=True)
    with pytest.raises(ConfigError, match="have changed since it began"):
        claim(run, agg, begun=True)
    with pytest.raises(ConfigError, match="1 of its 5 problems has changed since it began, first 'p4'"):
        claim(run, problems=one(4, text="it"), begun=True)


def test_another_seed_is_refused_with_the_option_that_adds_one(tmp_path: Path) -> None:
    claim(tmp_path)
    with pytest.raises(ConfigError, match="seed was 0 and is now 1. To add a seed to it, leave --seed and use --seeds"):
        claim(tmp_path, replace(CONFIG, seed=1))


def one(number: int, **change: Any) -> list[Problem]:
    known = PROBLEMS[number]
    changed = Problem.ask(**{"text": known.text, "id": known.id, "answer": known.answer, **change})
    return [*PROBLEMS[:number], changed, *PROBLEMS[number + 1 :]]


@pytest.mark.parametrize(
    ("problems", "message"),
    [
        *((one(n, text="it"), f"1 of its 5 problems has changed since it began, first 'p{n}'") for n in range(5)),
        (one(2, answer="7"), "1 of its 5 problems has changed since it began, first 'p2'"),
        (one(2, answer=None), "1 of its 5 problems has changed since it began, first 'p2'"),
        (one(1, text="what is 1? "), "1 of its 5 problems"),
        ([replace(problem, answer="0") for problem in PROBLEMS[1:]], "4 of its 5 problems have changed"),
        ([*one(1, id="q"), Problem.ask("new", id="p1")], "1 of its 5 problems has changed since it began, first 'p1'"),
        ([PROBLEMS[1], Problem.ask("\ud800", id=PROBLEMS[0].id)], "1 of its 5 problems"),
    ],
)  # fmt: skip
def test_changed_problems_are_counted_and_the_first_is_named(
    tmp_path: Path, problems: list[Problem], message: str
) -> None:
    claim(tmp_path)
    before = (tmp_path / "run.toml").read_bytes()
    with pytest.raises(ConfigError, match=message):
        claim(tmp_path, problems=problems)
    assert (tmp_path / "run.toml").read_bytes() == before


@pytest.mark.parametrize(
    "problems",
    [
        PROBLEMS[:1],
        PROBLEMS[::-1],
        PROBLEMS[3:],
        [*PROBLEMS, Problem.ask(id="p5", text="new")],
        one(3, id="q"),
        one(0, id="\ud800"),
    ],
    ids=len,
)
def test_fewer_more_and_other_problems_are_taken_in_any_order(tmp_path: Path, problems: list[Problem]) -> None:
    claim(tmp_path)
    claim(tmp_path, problems=problems, begun=True)
    assert holds(tmp_path)["problems"] == len({problem.id for problem in (*PROBLEMS, *problems)})
    claim(tmp_path, begun=True)


def artifact(folder: Path, number: float, fact: str = "") -> None:
    write_artifact(Artifact(kind="agg", arrays={"a": np.array([number])}, facts={"fact": fact}), folder)


@pytest.mark.parametrize("part", ["policy", "baselines", "strategy of a baseline", "scorer", "calibrations"])
def test_a_changed_artifact_under_the_same_path_is_refused(tmp_path: Path, part: str) -> None:
    folder, run = tmp_path / "made", tmp_path / "run"
    artifact(folder, 1.0)
    config = {
        "policy": replace(CONFIG, route=RouteSettings(policy=str(folder))),
        "baselines": replace(CONFIG, baselines=("random", str(folder))),
        "strategy of a baseline": replace(CONFIG, baselines=(f"query:{folder}",)),
        "scorer": replace(CONFIG, scorer=str(folder)),
        "calibrations": replace(CONFIG, calibrations=(str(folder),)),
    }[part]
    claim(run, config)
    artifact(folder, 1.0)
    claim(run, config)  # the same content
    artifact(folder, 2.0)
    with pytest.raises(ConfigError, match=rf"policy\.json and policy\.safetensors of {folder} have changed"):
        claim(run, config)
    artifact(folder, 1.0, "trained on other data")
    with pytest.raises(ConfigError, match=rf"policy\.json of {folder} has changed"):
        claim(run, config)
    (folder / "policy.json").unlink()
    with pytest.raises(ArtifactError, match="does not exist"):
        claim(run, config)


@settings(max_examples=60, deadline=None)
@given(cut=st.floats(0, 1, exclude_max=True))
def test_a_run_toml_cut_anywhere_is_a_clear_error(tmp_path_factory: pytest.TempPathFactory, cut: float) -> None:
    folder = tmp_path_factory.mktemp("run")
    claim(folder)
    path = folder / "run.toml"
    whole = path.read_bytes().rstrip()
    damaged = whole[: int(cut * len(whole))]
    path.write_bytes(damaged)
    with pytest.raises(ConfigError, match=r"run\.toml.*ame another run"):
        claim(folder)
    assert path.read_bytes() == damaged


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"{}", b"digests = 3\n", b"[digests]\n", b"\0" * 40])
def test_a_run_toml_that_is_none_is_a_clear_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=r"run\.toml"):
        claim(tmp_path)


def test_a_run_of_an_older_version_is_refused_since_nobody_knows_whether_its_policies_changed(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(tomli_w.dumps(CONFIG.document()))
    with pytest.raises(ConfigError, match=r"incomplete or of an older version \(Object missing required field"):
        claim(tmp_path)


def test_traces_without_a_run_toml_are_not_taken_for_those_of_any_settings(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"run\.toml is missing"):
        claim(tmp_path, begun=True)


def test_a_kill_while_run_toml_is_written_leaves_none_or_a_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: object, **__: object) -> None:
        raise Killed

    for number, name in enumerate(("fsync", "replace", "open")):
        folder = tmp_path / str(number)
        with monkeypatch.context() as patch:
            patch.setattr(os, name, killed)
            with pytest.raises(Killed):
                claim(folder)
        claim(folder)
        claim(folder)


PLAIN = ["a", "A-b", "run.1", "0", "mein lauf", "Größe", "数", "a_b+c=d@e,f", "x" * 200, "lab-test-hard-stepwise-0"]
NOT_PLAIN = ["", ".", "..", "../x", "a/b", "/", "\\", "a\\b", "C:x", "-x", "--force", "[/]", "[red]a", "a\n", "\x1b[2J"]
NOT_PLAIN += ["a\0", "~", "$HOME", "a*", "a?", "a|b", 'a"', "<a>", ".hidden", " a", "a ", "a.", "con", "NUL", "com1"]
NOT_PLAIN += ["aux.txt", "LPT9.a.b", "\ud800", "a\u202eb", "a\u200b", "x" * 201, "é" * 101, "a;b", "a&b", "(a)", "\t"]


@pytest.mark.parametrize("name", PLAIN)
def test_plain_names_are_taken(name: str) -> None:
    assert RunConfig(name=name, data="lab").name == name


@pytest.mark.parametrize("name", NOT_PLAIN, ids=ascii)
def test_names_that_are_not_plain_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="^name: .* is no plain name"):
        RunConfig(name=name, data="lab")


@settings(max_examples=300, deadline=None)
@given(text=st.text(max_size=300))
def test_a_name_is_made_of_any_text(text: str) -> None:
    assert checked_name(name_of(text))


@settings(max_examples=300, deadline=None)
@given(name=st.text(max_size=12))
def test_a_plain_name_is_one_folder_below_the_runs(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    try:
        checked_name(name)
    except ConfigError:
        return
    runs = tmp_path_factory.mktemp("runs")
    (runs / name).mkdir()
    assert (runs / name).resolve().parent == runs.resolve()


def test_a_run_of_the_labs_older_models_is_not_resumed_with_newer_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim(tmp_path / "run", CONFIG)
    monkeypatch.setattr("steproute.config.run.lab_digest", lambda: "0123456789abcdef")
    with pytest.raises(ConfigError, match="the lab's models or its shipped policies have changed since it began"):
        claim(tmp_path / "run", CONFIG)
