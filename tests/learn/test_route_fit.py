import numpy as np
import pytest

pytest.importorskip("sklearn", reason="fitting needs the learn extra")

from steproute.core.errors import DatasetError
from steproute.evaluation.auc import roc_auc
from steproute.learn.route_fit import (
    RouteOutcomes,
    fit_joint,
    fit_route,
    fit_separate,
    length_alone,
    sparse_features,
)
from steproute.learn.text_fit import fit_text
from steproute.policies.routes import ByPrice, text_features

SOLVES_TRAINS = {"single/weak": 0.1, "single/strong": 0.9}


def problems(seed: int, count: int = 400) -> list[str]:
    """Half about trains, with 3 to 12 filler words."""
    rng = np.random.default_rng(seed)
    return [
        f"{'a train leaves' if rng.random() < 0.5 else 'an apple costs'} {' '.join(['then'] * rng.integers(3, 13))}"
        for _ in range(count)
    ]


def outcomes(route: str, texts: list[str], seed: int = 0) -> RouteOutcomes:
    """Trains are hard for weak; a longer text costs more, with noise in the logarithm."""
    rng = np.random.default_rng([seed, len(route)])
    trains = np.array(["train" in text for text in texts])
    chance = np.where(trains, SOLVES_TRAINS.get(route, 0.5), 0.9)
    words = np.array([len(text.split()) for text in texts])
    cost = words * rng.lognormal(sigma=0.5, size=len(texts)) * (10 if route == "single/strong" else 1)
    return RouteOutcomes(
        route=route,
        problems=np.arange(len(texts)),
        right=(rng.random(len(texts)) < chance).astype(float),
        runs=np.ones(len(texts)),
        costs=np.column_stack([cost / 1e4, cost, cost / 50]),
    )


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return problems(0)


def test_sparse_features_are_the_dense_ones(texts: list[str]) -> None:
    text = fit_text(texts)
    assert np.array_equal(sparse_features(text, texts[:20]).toarray(), text_features(text, texts[:20]))


@pytest.mark.parametrize("fit", [fit_separate, fit_joint])
def test_a_table_learns_who_solves_what_and_at_what_cost(texts: list[str], fit) -> None:
    text = fit_text(texts)
    routes = [outcomes(route, texts) for route in SOLVES_TRAINS]
    table = fit(routes, text, sparse_features(text, texts), 0)
    new = problems(1)
    forecast = table.forecast(new)
    assert forecast.routes == tuple(SOLVES_TRAINS)
    weak = outcomes("single/weak", new, seed=1)
    assert roc_auc(forecast.right[:, 0].tolist(), (weak.right > 0).tolist()) > 0.8
    assert forecast.right[:, 0].mean() == pytest.approx(weak.right.mean(), abs=0.08)
    assert forecast.tokens.mean(axis=0) == pytest.approx(
        [outcomes(route, new, seed=1).costs[:, 1].mean() for route in SOLVES_TRAINS], rel=0.15
    )
    chosen = ByPrice(price=30.0).choose(forecast)
    trains = np.array(["train" in each for each in new])
    assert chosen[trains].mean() > 0.9
    assert chosen[~trains].mean() < 0.1


def test_a_route_that_is_added_is_the_one_of_a_joint_training(texts: list[str]) -> None:
    text = fit_text(texts)
    features = sparse_features(text, texts)
    both = fit_separate([outcomes(route, texts) for route in SOLVES_TRAINS], text, features, 0)
    alone = fit_route(outcomes("single/strong", texts), features, 0)
    assert np.array_equal(alone.weights, both.predictors[1].weights)
    assert np.array_equal(alone.readout.chances, both.predictors[1].readout.chances)


def test_a_route_may_have_runs_on_some_of_the_problems_alone(texts: list[str]) -> None:
    text, half = fit_text(texts), texts[::2]
    whole = outcomes("single/weak", half)
    part = RouteOutcomes(
        route="single/weak", problems=np.arange(0, 400, 2), right=whole.right, runs=whole.runs, costs=whole.costs
    )
    first = fit_route(part, sparse_features(text, texts), 0)
    second = fit_route(whole, sparse_features(text, half), 0)
    assert np.allclose(first.weights, second.weights)


def test_shares_of_repeated_runs_count_as_their_runs(texts: list[str]) -> None:
    text = fit_text(texts)
    once = outcomes("single/weak", texts)
    shares = RouteOutcomes(
        route="single/weak",
        problems=once.problems,
        right=np.where(once.right > 0, 0.75, 0.25),
        runs=np.full(400, 4.0),
        costs=once.costs,
    )
    chance = fit_separate([shares], text, sparse_features(text, texts), 0).forecast(texts).right[:, 0]
    assert chance.mean() == pytest.approx(shares.right.mean(), abs=0.02)


def test_a_route_that_is_always_correct_gets_its_mean(texts: list[str]) -> None:
    text = fit_text(texts)
    always = outcomes("single/weak", texts)
    always = RouteOutcomes(
        route="r", problems=always.problems, right=np.ones(400), runs=always.runs, costs=always.costs
    )
    table = fit_separate([always], text, sparse_features(text, texts), 0)
    assert table.forecast(problems(3, 10)).right == pytest.approx(0.999)


def test_length_alone_reads_nothing_but_the_length(texts: list[str]) -> None:
    text = length_alone()
    table = fit_separate([outcomes("single/weak", texts)], text, sparse_features(text, texts), 0)
    train, apple = table.forecast(["a train leaves then then", "an apple costs then then"]).right
    assert train == apple
    long, short = table.forecast(["a train " + "then " * 12, "a train then"]).tokens[:, 0]
    assert long > 2 * short


def test_too_few_problems_are_refused() -> None:
    with pytest.raises(DatasetError, match="single/weak: 5 graded problems; 20 are the least"):
        outcomes("single/weak", problems(0, 5))
