from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steproute.core.errors import ArtifactError, ConfigError
from steproute.learn.plan import plan
from steproute.learn.pomdp_reference import load_reference
from steproute.policies.trim.pomdp_model import F64, StepPomdp

ACCEPT, REGENERATE = range(2)


@st.composite
def models(draw: st.DrawFn) -> StepPomdp:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    observations = rng.gamma(0.4, size=(3, 2, 2)) + 1e-12
    hazard = rng.random(draw(st.integers(2, 5)))
    hazard[-1] = 1.0
    return StepPomdp(
        weak_accuracy=float(rng.random()),
        strong_accuracy=float(rng.random()),
        hazard=hazard,
        observations=observations / observations.sum((1, 2), keepdims=True),
        step_tokens=float(rng.integers(1, 100)),
        task_reward=float(rng.integers(1, 100)),
    )


class BruteForce:
    """Expectimax over the whole tree of actions and observations, on the three states as the method states them."""

    def __init__(self, model: StepPomdp, cost: float) -> None:
        p_w, p_s = model.weak_accuracy, model.strong_accuracy
        self.model, self.paid = model, cost * model.step_tokens
        regenerated = [p_s * p_w, 1 - p_s, p_s * (1 - p_w)]
        self.transition = np.array(
            [[[p_w, 0, 1 - p_w], [0, 1, 0], [0, 1, 0]], [regenerated, [0, 1, 0], regenerated]]
        )  # (action, state, next state)
        self.last_reward = model.task_reward * np.array([[1, 0, 0], [p_s, 0, p_s]])  # (action, state)
        self.likelihoods = model.observations.reshape(3, -1)

    def value(self, stage: int, belief: F64, last: bool) -> float:
        if last:
            rewards = self.last_reward @ belief
            return float(max(rewards[ACCEPT], rewards[REGENERATE] - self.paid))
        return max(self.future(stage, belief, ACCEPT), self.future(stage, belief, REGENERATE) - self.paid)

    def future(self, stage: int, belief: F64, action: int) -> float:
        predicted = belief @ self.transition[action]
        ends = self.model.hazard[min(stage + 2, self.model.stages)]
        total = 0.0
        for likelihood in self.likelihoods.T:
            seen = float(likelihood @ predicted)
            if seen > 0:
                after = likelihood * predicted / seen
                total += seen * ends * self.value(stage + 1, after, last=True)
                if ends < 1:
                    total += seen * (1 - ends) * self.value(stage + 1, after, last=False)
        return total

    def advantage(self, stage: int, belief: F64) -> float:
        return self.future(stage, belief, REGENERATE) - self.future(stage, belief, ACCEPT)


@settings(max_examples=40, deadline=None)
@given(models(), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_the_plan_equals_brute_force(model: StepPomdp, cost: float, seed: int) -> None:
    made, brute = plan(model, [cost]), BruteForce(model, cost)
    for belief in np.random.default_rng(seed).dirichlet(np.ones(3), 3):
        for stage in range(model.stages):
            low, high = made.advantage_bounds(0, stage, belief)
            true = brute.advantage(stage, belief)
            assert low - 1e-9 <= true <= high + 1e-9
            assert float(made.advantage(0, stage, belief)) == pytest.approx(true, abs=made.gap + 1e-9)
    assert made.gap <= 1e-3 * (model.task_reward + cost * model.step_tokens)


@settings(max_examples=40, deadline=None)
@given(models(), st.floats(0, 1), st.sampled_from([2, 3, 5, 9]))
def test_the_gap_is_the_largest_distance_of_the_bounds_at_any_belief(
    model: StepPomdp, cost: float, points: int
) -> None:
    """On few points the lines of two neighbours cross far from both, which is where the bounds are furthest apart."""
    made = plan(model, [cost], points=points)
    x = np.linspace(0, 1, 20_001)
    bounds = [made.bounds(0, stage, x) for stage in range(model.stages)]
    widest = max(float((high - low).max()) for low, high in bounds)
    assert widest <= made.gap + 1e-9
    assert made.gap <= widest + 1e-3 * (model.task_reward + cost * model.step_tokens)


@settings(max_examples=40, deadline=None)
@given(models(), st.floats(0, 1), st.floats(0, 1))
def test_what_is_still_to_come_falls_with_the_cost_and_rises_with_the_belief(
    model: StepPomdp, one: float, other: float
) -> None:
    made = plan(model, sorted([one, other]), points=101)
    assert (made.upper[1] <= made.upper[0] + 1e-9).all()
    assert (np.diff(made.upper, axis=-1) >= -1e-9).all()


@settings(max_examples=20, deadline=None)
@given(models(), st.floats(0, 1))
def test_a_finer_grid_has_a_smaller_gap_inside_the_coarse_one(model: StepPomdp, cost: float) -> None:
    coarse, fine = plan(model, [cost], points=11), plan(model, [cost], points=101)
    assert fine.gap <= coarse.gap + 1e-9
    assert (fine.upper[:, :, ::10] <= coarse.upper + 1e-9).all()


def test_the_authors_parameters_are_thirty_stages_of_four_hundred_observations(data_folder: Path) -> None:
    model = load_reference(data_folder / "trim_reference")
    assert model.stages == 30
    assert model.observations.shape == (3, 20, 20)
    assert model.weak_accuracy == pytest.approx(0.866, abs=1e-3)
    assert model.strong_accuracy == pytest.approx(0.9704, abs=1e-4)
    assert plan(model, [0.25], points=201).gap < 0.05


def simplex(parts: int) -> F64:
    corners = [(i, j, parts - i - j) for i in range(parts + 1) for j in range(parts + 1 - i)]
    return np.array(corners, float) / parts


class PointBased:
    """Point-based value iteration on the three states: alpha vectors backed up at points all over the simplex."""

    def __init__(self, model: StepPomdp, cost: float, parts: int) -> None:
        brute = BruteForce(model, cost)
        self.model, self.paid, self.transition = model, brute.paid, brute.transition
        self.likelihoods = brute.likelihoods.T  # (observation, state)
        self.points = simplex(parts)
        paid = np.array([0.0, brute.paid])
        self.last = brute.last_reward - paid[:, None]
        self.alphas: dict[int, F64] = {}
        for stage in reversed(range(model.stages)):
            futures = [self.future(stage, self.points, action) - paid[action] for action in range(2)]
            values = np.stack([(future * self.points).sum(1) for future in futures])
            self.alphas[stage] = np.where((values[1] > values[0])[:, None], futures[1], futures[0])

    def future(self, stage: int, beliefs: F64, action: int) -> F64:
        """Alpha vectors, (belief, state), of taking `action` and then doing the best that is known."""
        ends, predicted = self.model.hazard[min(stage + 2, self.model.stages)], beliefs @ self.transition[action]
        found = ends * self.backed_up(predicted, self.last)
        if ends < 1:
            found += (1 - ends) * self.backed_up(predicted, self.alphas[stage + 1])
        return found @ self.transition[action].T

    def backed_up(self, predicted: F64, alphas: F64) -> F64:
        joint = predicted[:, None] * self.likelihoods  # (belief, observation, state)
        best = (joint @ alphas.T).argmax(-1)
        return np.einsum("bos,os->bs", alphas[best], self.likelihoods)

    def advantage(self, stage: int, beliefs: F64) -> F64:
        accept, regenerate = ((self.future(stage, beliefs, action) * beliefs).sum(1) for action in range(2))
        return regenerate - accept


def test_on_the_authors_parameters_an_independent_solver_decides_alike(data_folder: Path) -> None:
    model, cost = load_reference(data_folder / "trim_reference"), 0.25
    made, other = plan(model, [cost]), PointBased(model, cost, parts=10)
    beliefs, agreed, compared = simplex(40), 0, 0
    for stage in (0, 2, 5, 10, 20, 29):
        mine, theirs = made.advantage(0, stage, beliefs), other.advantage(stage, beliefs)
        for tokens in (5, 20, 60, 150, 500):
            clear = np.abs(mine - cost * tokens) > made.gap
            agreed += int(((mine > cost * tokens) == (theirs > cost * tokens))[clear].sum())
            compared += int(clear.sum())
    assert compared > 20_000
    assert agreed / compared >= 0.99


def test_a_folder_without_parameters_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="holds no obs_distribution"):
        load_reference(tmp_path)
    for name in ("obs_distribution_math_train", "terminal_predictor_x", "transition_params_x"):
        (tmp_path / f"{name}.json").write_text("{}")
    with pytest.raises(ArtifactError, match="lack or misspell 'states'"):
        load_reference(tmp_path)
    (tmp_path / "terminal_predictor_x.json").write_text("{\n1")
    with pytest.raises(ArtifactError, match="terminal_predictor_x.json: line 2 is not JSON"):
        load_reference(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weak_accuracy": 1.5}, "weak_accuracy: 1.5 is outside"),
        ({"task_reward": 0.0}, "task_reward: 0.0 is not above 0"),
        ({"hazard": np.array([0.0, 0.5])}, "hazard: its last entry is 0.5"),
        ({"hazard": np.array([2.0, 1.0])}, "hazard: has to be"),
        ({"observations": np.ones((3, 2, 2))}, "observations: the states' sums are"),
        ({"observations": np.ones((2, 2))}, "observations: shape"),
    ],
)
def test_what_is_not_a_model_is_refused(change: dict[str, object], message: str) -> None:
    settings_: dict[str, object] = {
        "weak_accuracy": 0.8,
        "strong_accuracy": 0.9,
        "hazard": np.array([0.0, 1.0]),
        "observations": np.full((3, 2, 2), 0.25),
    }
    with pytest.raises(ConfigError, match=message):
        StepPomdp(**(settings_ | change))  # type: ignore[arg-type]


def test_a_negative_cost_is_refused(data_folder: Path) -> None:
    with pytest.raises(ConfigError, match="costs"):
        plan(load_reference(data_folder / "trim_reference"), [-0.1])
