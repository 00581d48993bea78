from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from steproute import Accept, Problem, Rewrite
from steproute.artifacts import write_artifact
from steproute.core.errors import ArtifactError, ConfigError
from steproute.core.observation import Observation
from steproute.core.solution import Draft, Prefix, Step, Stop
from steproute.core.usage import Usage
from steproute.policies.stored import load_policy, rungs_artifact
from steproute.policies.trim.rung_table import RungFamily, RungTable

LADDER = ("weak", "resample", "mid", "strong")
EDGES = np.array([0.5, 0.8])


def table(lost: float = 0.0) -> RungTable:
    """Weak: low to resample, middle to strong; after a strong step low to strong. Resample: low and middle to mid's
    takeover."""
    actions = np.tile(np.arange(3)[:, None], (4, 1, 3))
    actions[:, 0] = [1, 3, 0]
    actions[3, 0] = [3, 0, 0]
    actions[:, 1] = [6, 6, 1]
    return RungTable(LADDER, EDGES, actions, lost, width=2)


def seen(*scores: float, rung: str = "", authors: tuple[str, ...] = ()) -> Observation:
    steps = tuple(Step(role=role, text=f"step {n}", tokens=1) for n, role in enumerate(authors))
    draft = Draft(role="weak", model="m", text="x", stop=Stop.SEPARATOR, usage=Usage(), rung=rung)
    prefix = Prefix(problem=Problem.ask("?"), steps=steps)
    return Observation(prefix=prefix, draft=draft, scores=scores, max_steps=30, ladder=LADDER)


def test_the_bin_of_the_score_decides_who_writes() -> None:
    decisions = [table().decide(seen(score)) for score in (0.1, 0.5, 0.79, 0.8)]
    assert decisions == [Rewrite("resample"), Rewrite("strong"), Rewrite("strong"), Accept()]


def test_each_rung_has_its_own_thresholds_and_may_have_a_role_take_over() -> None:
    assert table().decide(seen(0.6, rung="resample")) == Rewrite("mid", None)
    assert table().decide(seen(0.9, rung="resample")) == Accept()


def test_the_highest_role_so_far_decides_as_well() -> None:
    assert table().decide(seen(0.9, 0.9, 0.1, authors=("strong", "weak"))) == Rewrite("strong")
    assert table().decide(seen(0.9, 0.1, authors=("mid",))) == Rewrite("resample")


def test_a_lost_solution_is_left_to_the_weak_model() -> None:
    assert table(lost=0.3).decide(seen(0.2, 0.1, authors=("weak",))) == Accept()
    assert table(lost=0.3).decide(seen(0.4, 0.1, authors=("weak",))) == Rewrite("resample")


def test_a_draft_of_an_unknown_rung_is_refused() -> None:
    with pytest.raises(ConfigError, match="the table's rungs are weak, resample, mid, strong"):
        table().decide(seen(0.1, rung="retry"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ladder": ("weak",)}, "no ladder"),
        ({"edges": np.array([0.8, 0.5])}, "do not rise"),
        ({"actions": np.zeros((4, 3, 2), int)}, "shape"),
        ({"actions": np.zeros((4, 3, 3), int)}, "goes down"),
    ],
)
def test_values_that_do_not_fit_together_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(table(), **change)  # type: ignore[arg-type]


def test_tables_come_back_from_their_folder(tmp_path: Path) -> None:
    family = RungFamily([table(), table(lost=0.3)])
    write_artifact(rungs_artifact(family, {"seed": 3}), tmp_path)
    again = load_policy(tmp_path)
    assert isinstance(again, RungFamily)
    assert again.knobs == (1.0, 2.0)
    second = again.at(2, 0)
    assert (second.ladder, second.lost, second.width) == (LADDER, 0.3, 2)
    assert np.array_equal(second.actions, table().actions)
    with pytest.raises(ConfigError, match="3 is no rank"):
        again.at(3, 0)


def test_a_folder_without_a_ladder_is_refused(tmp_path: Path) -> None:
    artifact = rungs_artifact(RungFamily([table()]), {})
    write_artifact(replace(artifact, facts={**artifact.facts, "ladder": "weak"}), tmp_path)
    with pytest.raises(ArtifactError, match="is no list of rungs"):
        load_policy(tmp_path)
