from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steproute.core.arrays import F64
from steproute.core.errors import ArtifactError, ConfigError
from steproute.learn.plan import plan
from steproute.learn.pomdp_reference import embedded_reference, load_reference
from steproute.policies.trim.pomdp_model import Rewriter, StepPomdp

CORNERS_AND_MIDDLE = np.array(
    [(1, 0, 0), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5), (0, 0, 1), (1 / 3, 1 / 3, 1 / 3)]
)


@st.composite
def models(draw: st.DrawFn, rewriters: int = 1, stages: int = 4) -> StepPomdp:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    observations = rng.gamma(0.4, size=(3, 2, 2)) + 1e-12
    hazard = rng.random(draw(st.integers(2, stages + 1)))
    hazard[-1] = 1.0
    costs = [*np.sort(rng.random(rewriters - 1)).tolist(), 1.0]
    return StepPomdp(
        weak_accuracy=float(rng.random()),
        rewriters=tuple(Rewriter(f"r{k}", float(rng.random()), cost) for k, cost in enumerate(costs)),
        hazard=hazard,
        observations=observations / observations.sum((1, 2), keepdims=True),
        step_tokens=float(rng.integers(1, 100)),
        task_reward=float(rng.integers(1, 100)),
    )


class BruteForce:
    """Expectimax over the whole tree of actions and observations, on the three states as the method states them."""

    def __init__(self, model: StepPomdp, cost: float) -> None:
        p_w, lost = model.weak_accuracy, [0, 1, 0]
        self.model, self.actions = model, range(len(model.rewriters) + 1)
        transition, last_reward = [[[p_w, 0, 1 - p_w], lost, lost]], [[1.0, 0.0, 0.0]]
        for p in (rewriter.accuracy for rewriter in model.rewriters):
            rewritten = [p * p_w, 1 - p, p * (1 - p_w)]
            transition.append([rewritten, lost, rewritten])
            last_reward.append([p, 0.0, p])
        self.transition = np.array(transition)  # (action, state, next state)
        self.last_reward = model.task_reward * np.array(last_reward)  # (action, state)
        self.prices = cost * np.array([0.0, *(rewriter.relative_cost for rewriter in model.rewriters)])
        self.paid = self.prices * model.step_tokens
        self.likelihoods = model.observations.reshape(3, -1)

    def value(self, stage: int, belief: F64, last: bool) -> float:
        if last:
            return float((self.last_reward @ belief - self.paid).max())
        return max(self.future(stage, belief, action) - self.paid[action] for action in self.actions)

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

    def futures(self, stage: int, belief: F64) -> F64:
        return np.array([self.future(stage, belief, action) for action in self.actions])


def check_by_brute_force(model: StepPomdp, cost: float, beliefs: F64, tokens: float) -> None:
    made, brute = plan(model, [cost]), BruteForce(model, cost)
    for stage, belief in product(range(model.stages), beliefs):
        futures = brute.futures(stage, belief)
        low, high = made.advantage_bounds(0, stage, belief)
        assert (low - 1e-9 <= futures[1:] - futures[0]).all()
        assert (futures[1:] - futures[0] <= high + 1e-9).all()
        assert made.advantage(0, stage, belief) == pytest.approx(futures[1:] - futures[0], abs=made.gap + 1e-9)
        values = futures - brute.prices * tokens
        assert values[made.best_action(0, stage, belief, tokens)] >= values.max() - 2 * made.gap - 1e-9
    assert made.gap <= 1e-3 * (model.task_reward + cost * model.step_tokens)


@settings(max_examples=40, deadline=None)
@given(models(), st.floats(0, 1), st.integers(0, 2**32 - 1), st.floats(0, 200))
def test_the_plan_equals_brute_force(model: StepPomdp, cost: float, seed: int, tokens: float) -> None:
    check_by_brute_force(model, cost, np.random.default_rng(seed).dirichlet(np.ones(3), 3), tokens)


@settings(max_examples=40, deadline=None)
@given(models(rewriters=2, stages=3), st.floats(0, 1), st.integers(0, 2**32 - 1), st.floats(0, 200))
def test_the_plan_for_three_roles_equals_brute_force(model: StepPomdp, cost: float, seed: int, tokens: float) -> None:
    check_by_brute_force(model, cost, np.random.default_rng(seed).dirichlet(np.ones(3), 3), tokens)


@settings(max_examples=10, deadline=None)
@given(models(rewriters=3, stages=2), st.floats(0, 1), st.integers(0, 2**32 - 1), st.floats(0, 200))
def test_the_plan_for_four_roles_equals_brute_force(model: StepPomdp, cost: float, seed: int, tokens: float) -> None:
    check_by_brute_force(model, cost, np.random.default_rng(seed).dirichlet(np.ones(3), 3), tokens)


@settings(max_examples=40, deadline=None)
@given(models(rewriters=2, stages=1), st.floats(0, 1), st.integers(0, 2**32 - 1), st.floats(0, 200))
def test_the_last_decision_takes_the_action_of_the_highest_reward(
    model: StepPomdp, cost: float, seed: int, tokens: float
) -> None:
    belief, brute = np.random.default_rng(seed).dirichlet(np.ones(3)), BruteForce(model, cost)
    values = brute.last_reward @ belief - brute.prices * tokens
    assert plan(model, [cost], points=3).best_action(0, None, belief, tokens) == values.argmax()


def test_each_role_writes_where_it_pays() -> None:
    """The cheaper role repairs a doubtful step, the dearer one only if its accuracy is worth the price."""
    model = replace(embedded_reference(), rewriters=(Rewriter("mid", 0.92, 0.25), Rewriter("strong", 0.99)))
    made = plan(model, [0.01, 0.25, 10.0], points=101)
    belief = np.array([0.2, 0.0, 0.8])
    assert [int(made.best_action(cost, 0, belief, 60)) for cost in range(3)] == [2, 1, 0]


@settings(max_examples=20, deadline=None)
@given(models(), st.floats(0, 1), st.floats(0, 1))
def test_a_dominated_role_changes_nothing(model: StepPomdp, cost: float, share: float) -> None:
    """One that is as dear as another and less accurate is never the best action."""
    (strong,) = model.rewriters
    worse = Rewriter("worse", share * strong.accuracy)
    alone, both = plan(model, [cost], points=51), plan(replace(model, rewriters=(worse, strong)), [cost], points=51)
    np.testing.assert_allclose(both.upper, alone.upper, rtol=0, atol=1e-9)
    actions = both.best_action(0, 0, CORNERS_AND_MIDDLE, 10.0)
    free = both.advantage(0, 0, CORNERS_AND_MIDDLE)
    clear = np.abs(free[:, 1] - free[:, 0]) > 2 * both.gap
    assert not (clear & (actions == 1)).any()


def test_the_plan_of_the_authors_model_is_that_of_the_planner_for_two_roles() -> None:
    """Advantages at cost 0.25 as they were planned before there could be more roles."""
    published = {
        0: [-2.3579666550136977, -1.0563111982754592, 34.35122475174454, 33.991649227318845, 69.39918517733884],
        5: [-2.6790360605724004, -1.2168492724496751, 39.50088286114577, 39.22329400459549, 79.94102613819094],
        20: [-2.664463026189779, -1.2083844744936023, 39.23547381710057, 38.9367401297381, 79.38059842133228],
    }
    made = plan(embedded_reference(), [0.25])
    for stage, values in published.items():
        assert made.advantage(0, stage, CORNERS_AND_MIDDLE[:5])[:, 0] == pytest.approx(values, abs=1e-9)


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
    assert [rewriter.name for rewriter in model.rewriters] == ["strong"]
    assert model.rewriters[0].accuracy == pytest.approx(0.9704, abs=1e-4)
    assert plan(model, [0.25], points=201).gap < 0.05


def simplex(parts: int) -> F64:
    corners = [(i, j, parts - i - j) for i in range(parts + 1) for j in range(parts + 1 - i)]
    return np.array(corners, float) / parts


class PointBased:
    """Point-based value iteration on the three states: alpha vectors backed up at points all over the simplex."""

    def __init__(self, model: StepPomdp, cost: float, parts: int) -> None:
        brute = BruteForce(model, cost)
        self.model, self.transition = model, brute.transition
        self.likelihoods = brute.likelihoods.T  # (observation, state)
        self.points = simplex(parts)
        self.last = brute.last_reward - brute.paid[:, None]
        self.alphas: dict[int, F64] = {}
        for stage in reversed(range(model.stages)):
            futures = [self.future(stage, self.points, action) - brute.paid[action] for action in range(2)]
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
        mine, theirs = made.advantage(0, stage, beliefs)[:, 0], other.advantage(stage, beliefs)
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


MID, STRONG = Rewriter("mid", 0.8, 0.5), Rewriter("strong", 0.9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weak_accuracy": 1.5}, "weak_accuracy: 1.5 is outside"),
        ({"rewriters": ()}, "rewriters: the relative costs are \\[\\]"),
        ({"rewriters": (MID,)}, "rewriters: the relative costs are \\[0.5\\]"),
        ({"rewriters": (STRONG, MID)}, "rewriters: the relative costs are \\[1.0, 0.5\\]"),
        ({"rewriters": (STRONG, STRONG)}, "rewriters: strong, strong holds a name twice"),
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
        "rewriters": (Rewriter("strong", 0.9),),
        "hazard": np.array([0.0, 1.0]),
        "observations": np.full((3, 2, 2), 0.25),
    }
    with pytest.raises(ConfigError, match=message):
        StepPomdp(**(settings_ | change))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rewriter", "message"),
    [
        (("", 0.5, 1.0), "rewriters: a rewriter has no name"),
        (("mid", 1.5, 1.0), "rewriters.mid.accuracy: 1.5 is outside"),
        (("mid", 0.5, -0.1), "rewriters.mid.relative_cost: -0.1 is outside"),
    ],
)
def test_what_is_not_a_rewriter_is_refused(rewriter: tuple[str, float, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Rewriter(*rewriter)


def test_a_negative_cost_is_refused(data_folder: Path) -> None:
    with pytest.raises(ConfigError, match="costs"):
        plan(load_reference(data_folder / "trim_reference"), [-0.1])
