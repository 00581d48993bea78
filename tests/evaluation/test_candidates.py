import asyncio
from pathlib import Path

import numpy as np
import pytest

from steproute.config import lab_roles
from steproute.core.errors import DatasetError
from steproute.engine.step_tree import StepTree
from steproute.evaluation.candidates import candidates_in_tree, sample_candidates
from steproute.evaluation.datasets import load_problems
from steproute.evaluation.labelled import LabelledSteps
from steproute.lab.checker import StepLabel, check_steps
from steproute.lab.story import Story
from steproute.learn.rollouts import solve_all
from steproute.policies.trim.threshold import Threshold
from steproute.strategies.stepwise import Stepwise

PROBLEMS = load_problems("lab:validation", 8, 3)


def pairs(steps: LabelledSteps) -> int:
    """How many steps have a candidate of the other kind after the same prefix."""
    kinds: dict[str, set[bool]] = {}
    for prefix, correct in zip(steps.prefixes.tolist(), steps.correct.tolist(), strict=True):
        kinds.setdefault(prefix, set()).add(correct)
    return sum(len(kinds[prefix]) == 2 for prefix in steps.prefixes.tolist())


def test_candidates_follow_correct_prefixes_and_are_reproducible() -> None:
    roles = lab_roles()
    authors = {role: roles.model(role) for role in ("weak", "strong")}

    def sample() -> LabelledSteps:
        return asyncio.run(sample_candidates(authors, roles.scorer().scorer, PROBLEMS, 5, draws=3, prefixes=2))

    steps = sample()
    assert len(steps.scores) <= len(PROBLEMS) * 2 * 2 * 3
    names, counts = np.unique(steps.prefixes, return_counts=True)
    assert set(counts.tolist()) == {6}, "three draws of two models"
    assert len(names) > len(PROBLEMS)
    assert set(steps.groups.tolist()) == {problem.id for problem in PROBLEMS}
    assert 0.5 < steps.correct.mean() < 1
    assert pairs(steps)
    again = sample()
    assert (again.prefixes == steps.prefixes).all()
    assert np.allclose(again.scores, steps.scores)


@pytest.mark.parametrize(("width", "seed"), [(2, 0), (2**32, 0), (2**32, 7)])
def test_a_step_tree_gives_its_candidates_and_does_not_grow(tmp_path: Path, width: int, seed: int) -> None:
    """A narrow tree is one of `train`, a wide one of `compare`; more routes give more candidates of a prefix."""
    with StepTree(tmp_path / "tree", width) as tree:
        roles = tree.roles(lab_roles())
        for threshold in (0.0, 0.5, 1.0):
            asyncio.run(solve_all(PROBLEMS, roles, Stepwise(policy=Threshold(threshold)), seed))
    with StepTree(tmp_path / "tree", None) as tree:
        assert tree.width == width
        size = len(tree)
        steps = asyncio.run(candidates_in_tree(tree, lab_roles(), PROBLEMS, seed))
        assert len(tree) == size
        other = load_problems("lab:validation", 3, 99)
        with pytest.raises(DatasetError, match="no scored step of these problems"):
            asyncio.run(candidates_in_tree(tree, lab_roles(), other, seed))
    _, counts = np.unique(steps.prefixes, return_counts=True)
    assert counts.max() > 1
    assert steps.correct.any()


@pytest.mark.parametrize("content", [b"", None])
def test_a_tree_of_unknown_width_has_to_exist(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "tree").write_bytes(content)
    with pytest.raises(DatasetError, match="Name the tree of a `train` or `compare` run"):
        StepTree(tmp_path / "tree", None)


@pytest.mark.parametrize("threshold", [0.0, 0.6, 0.9])
def test_every_scored_step_of_a_solution_in_a_tree_is_a_candidate(tmp_path: Path, threshold: float) -> None:
    """Accepted steps, the strong model's among them, and rejected ones, each with the score that the run gave it."""
    strategy = Stepwise(policy=Threshold(threshold))
    with StepTree(tmp_path / "tree", 2**32) as tree:
        traces = asyncio.run(solve_all(PROBLEMS, tree.roles(lab_roles()), strategy, 4))
        steps = asyncio.run(candidates_in_tree(tree, lab_roles(), PROBLEMS, 4))
    scored = []
    for problem, trace in zip(PROBLEMS, traces, strict=True):
        verdicts = check_steps(Story.parse(problem.text), [step.text for step in trace.steps])
        steps_after_correct = trace.steps[: sum(verdict is not StepLabel.AFTER_ERROR for verdict in verdicts)]
        scored += [(problem.id, score) for step in steps_after_correct for score in (step.score, step.rejected_score)]
    candidates = set(zip(steps.groups.tolist(), steps.scores.tolist(), strict=True))
    assert {pair for pair in scored if pair[1] is not None} <= candidates
