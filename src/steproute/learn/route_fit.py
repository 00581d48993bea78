"""Predictors of what routes reach and spend, fitted to finished runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from steproute.core.arrays import F64
from steproute.core.errors import DatasetError
from steproute.policies.query import TfIdf, classifier_features
from steproute.policies.routes import JointNetwork, JointTable, Readout, RoutePredictor, SeparateTable

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_LEAST_RUNS: Final = 20
_LEAST_OF_EITHER: Final = 10
_FOLDS: Final = 4
_PENALTIES: Final = (0.1, 1.0, 10.0)  # C of the logistic regression
_RIDGES: Final = (0.1, 1.0, 10.0)
_LEAST_COST: Final = 1e-9  # below which the logarithm of a cost does not go
_EDGE: Final = 1e-3
_UNITS: Final = 64
_BATCH: Final = 512
_MOST_EPOCHS: Final = 100
_PATIENCE: Final = 5
_TOLERANCE: Final = 1e-4  # of a loss that counts as better
_VALIDATION: Final = 0.2

_Indices = NDArray[np.intp]
_Fit = Callable[[_Indices, float], F64]


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteOutcomes:
    """What one route did on the problems that it finished.

    problems: index of each problem in the texts; right: share of its runs with a correct answer; runs: how many it had;
    costs: mean of each of COSTS, (problem, cost). Raises DatasetError for fewer than 20 problems.
    """

    route: str
    problems: _Indices
    right: F64
    runs: F64
    costs: F64

    def __post_init__(self) -> None:
        if len(self.problems) < _LEAST_RUNS:
            raise DatasetError(
                f"{len(self.problems)} graded problems; {_LEAST_RUNS} are the least.",
                where=self.route,
                remedy="Run it on more.",
            )

    @property
    def logs(self) -> F64:
        """The logarithms of the costs, (problem, cost)."""
        return np.log(np.maximum(self.costs, _LEAST_COST))


def length_alone() -> TfIdf:
    """No terms, so that the length of a text is all that is left of it: the baseline of every text predictor."""
    return TfIdf((), np.zeros(0))


def sparse_features(text: TfIdf, problems: Sequence[str]) -> "csr_array":
    """`policies.routes.text_features` as a sparse matrix."""
    from scipy.sparse import csr_array

    columns, values, starts = [], [], [0]
    for problem in problems:
        row = classifier_features(text, problem)
        columns.append(np.flatnonzero(row))
        values.append(row[columns[-1]])
        starts.append(starts[-1] + len(columns[-1]))
    shape = len(problems), len(text.terms) + 1
    return csr_array((np.concatenate(values), np.concatenate(columns), np.array(starts)), shape=shape)


def fit_route(outcomes: RouteOutcomes, features: "csr_array", seed: int) -> RoutePredictor:
    """One route's predictor, from its own outcomes alone.

    Logistic regression of correct answers and ridge regression of each cost's logarithm, with the penalties that do
    best on held-out problems. The isotonic map and the smearing come from the predictions for held-out problems.
    features: of all texts. A route with fewer than 10 correct or incorrect answers gets its mean as the probability.
    """
    own = features[outcomes.problems]
    folds = _folds(len(outcomes.problems), seed)
    logits, right = _fit_right(own, outcomes, folds)
    logs, costs = _fit_costs(own, outcomes.logs, folds)
    readout = _readout(outcomes, logits, logs, np.arange(len(logits)))
    return RoutePredictor(readout=readout, weights=np.vstack([right, costs]))


def fit_separate(outcomes: Sequence[RouteOutcomes], text: TfIdf, features: "csr_array", seed: int) -> SeparateTable:
    """A table of predictors that are each fitted alone."""
    return SeparateTable(text, tuple(fit_route(each, features, seed) for each in outcomes))


def fit_joint(outcomes: Sequence[RouteOutcomes], text: TfIdf, features: "csr_array", seed: int) -> JointTable:
    """Two networks over all routes at once; a fifth of the problems stops the training and calibrates each route.

    Source: Route-To-Reason §3, with a separate validation split, an embedding of the route's id in the place of texts
    about it, and the costs' logarithms as targets.
    """
    held = np.random.default_rng(seed).random(features.shape[0]) < _VALIDATION
    rows = _JointRows.of(outcomes, features, held)
    right, logits = _fit_joint_right(rows, seed)
    costs, logs = _fit_joint_costs(rows, seed)
    readouts = []
    for index, each in enumerate(outcomes):
        mine, chosen = rows.route[rows.held] == index, held[each.problems]
        readouts.append(_readout(each, logits[mine], logs[mine], np.flatnonzero(chosen)))
    return JointTable(text=text, right=right, costs=costs, readouts=tuple(readouts))


def _fit_right(own: "csr_array", outcomes: RouteOutcomes, folds: _Indices) -> tuple[F64, F64]:
    """Logits of held-out problems, and weights with the bias last."""
    right, runs = outcomes.right, outcomes.runs
    correct = float(right @ runs)
    if min(correct, float(runs.sum()) - correct) < _LEAST_OF_EITHER:
        mean = (correct + 1) / (float(runs.sum()) + 2)
        logit = float(np.log(mean / (1 - mean)))
        return np.full(len(right), logit), np.array([*np.zeros(own.shape[1]), logit])
    scale = _Scale.of(own)
    scaled = scale.applied(own)

    def fit(indices: _Indices, penalty: float) -> F64:
        return _logistic(scaled[indices], right[indices], runs[indices], penalty)

    def loss(logits: F64) -> float:
        return float(runs @ (np.logaddexp(0, logits[:, 0]) - right * logits[:, 0]))

    logits, penalty = _cross_fitted(scaled, folds, _PENALTIES, fit, loss)
    return logits[:, 0], scale.undone(fit(np.arange(len(right)), penalty))


def _fit_costs(own: "csr_array", logs: F64, folds: _Indices) -> tuple[F64, F64]:
    """Logarithms of held-out problems' costs, and weights (cost, feature + 1)."""
    from sklearn.linear_model import Ridge

    scale = _Scale.of(own)
    scaled = scale.applied(own)
    spread = logs.std(axis=0)
    spread[spread == 0] = 1

    def fit(indices: _Indices, penalty: float) -> F64:
        model = Ridge(alpha=penalty).fit(scaled[indices], logs[indices])
        return np.column_stack([model.coef_, model.intercept_])

    def loss(predicted: F64) -> float:
        return float((((predicted - logs) / spread) ** 2).sum())

    predicted, penalty = _cross_fitted(scaled, folds, _RIDGES, fit, loss)
    return predicted, scale.undone(fit(np.arange(len(logs)), penalty))


def _cross_fitted(
    features: "csr_array", folds: _Indices, penalties: Sequence[float], fit: "_Fit", loss: Callable[[F64], float]
) -> tuple[F64, float]:
    """Predictions for each problem by fits without its fold, at the penalty of the least loss, and that penalty."""
    best: tuple[float, F64, float] | None = None
    for penalty in penalties:
        predicted = None
        for fold in range(_FOLDS):
            weights = np.atleast_2d(fit(np.flatnonzero(folds != fold), penalty))
            held = np.flatnonzero(folds == fold)
            values = features[held] @ weights[:, :-1].T + weights[:, -1]
            predicted = np.empty((len(folds), len(weights))) if predicted is None else predicted
            predicted[held] = values
        assert predicted is not None
        off = loss(predicted)
        if best is None or off < best[0]:
            best = off, predicted, penalty
    assert best is not None
    return best[1], best[2]


def _logistic(features: "csr_array", right: F64, runs: F64, penalty: float) -> F64:
    """Weights with the bias last. A problem with a share of correct answers is two rows with the two shares."""
    from scipy.sparse import vstack
    from sklearn.linear_model import LogisticRegression

    weights = np.concatenate([right * runs, (1 - right) * runs])
    labels = np.concatenate([np.ones(len(right)), np.zeros(len(right))])
    used = weights > 0
    if len(set(labels[used])) < 2:
        return np.array([*np.zeros(features.shape[1]), np.where(labels[used][0], 5.0, -5.0)])
    rows = vstack([features, features], format="csr")[np.flatnonzero(used)]
    model = LogisticRegression(C=penalty, max_iter=500).fit(rows, labels[used], sample_weight=weights[used])
    return np.array([*model.coef_[0], float(model.intercept_[0])])


def _readout(outcomes: RouteOutcomes, logits: F64, logs: F64, held: _Indices) -> Readout:
    """From the predictions for held-out problems; held: their places among the outcomes."""
    from sklearn.isotonic import IsotonicRegression

    model = IsotonicRegression(y_min=_EDGE, y_max=1 - _EDGE, out_of_bounds="clip")
    model.fit(logits, outcomes.right[held], sample_weight=outcomes.runs[held])
    return Readout(
        route=outcomes.route,
        logits=np.asarray(model.X_thresholds_, float),
        chances=np.asarray(model.y_thresholds_, float),
        smearing=np.exp(outcomes.logs[held] - logs).mean(axis=0),
    )


def _folds(count: int, seed: int) -> _Indices:
    return np.random.default_rng(seed).permutation(np.arange(count) % _FOLDS)


@dataclass(frozen=True, slots=True)
class _Scale:
    """Only the last feature, the logarithm of the length, is standardised; the others are of one size."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, features: "csr_array") -> "_Scale":
        last = features[:, [features.shape[1] - 1]].toarray()
        return cls(float(last.mean()), float(last.std()) or 1.0)

    def applied(self, features: "csr_array") -> "csr_array":
        from scipy.sparse import csr_array, hstack

        last = (features[:, [features.shape[1] - 1]].toarray() - self.mean) / self.deviation
        return csr_array(hstack([features[:, : features.shape[1] - 1], last], format="csr"))

    def undone(self, weights: F64) -> F64:
        """Weights, bias last, of the features as they were."""
        undone = np.atleast_2d(weights).copy()
        undone[:, -2] /= self.deviation
        undone[:, -1] -= undone[:, -2] * self.mean
        return undone


@dataclass(frozen=True, slots=True)
class _JointRows:
    """One row per problem and route that ran it. held: the rows that do not train; features: with the route's id."""

    features: "csr_array"
    unscaled: "csr_array"
    scale: "_Scale"
    route: _Indices
    right: F64
    runs: F64
    logs: F64
    held: NDArray[np.bool_]

    @classmethod
    def of(cls, outcomes: Sequence[RouteOutcomes], features: "csr_array", held: NDArray[np.bool_]) -> "_JointRows":
        from scipy.sparse import csr_array, hstack

        problem = np.concatenate([each.problems for each in outcomes])
        route = np.concatenate([np.full(len(each.problems), i) for i, each in enumerate(outcomes)])
        ids = csr_array((np.ones(len(route)), (np.arange(len(route)), route)), shape=(len(route), len(outcomes)))
        scale = _Scale.of(features)
        return cls(
            features=csr_array(hstack([scale.applied(features)[problem], ids], format="csr")),
            unscaled=features[problem],
            scale=scale,
            route=route,
            right=np.concatenate([each.right for each in outcomes]),
            runs=np.concatenate([each.runs for each in outcomes]),
            logs=np.concatenate([each.logs for each in outcomes]),
            held=held[problem],
        )

    def network(self, model: Any) -> JointNetwork:
        """A network of scikit-learn, for features as they were before they were scaled."""
        inner, bias = model.coefs_[0].copy(), model.intercepts_[0]
        last = self.unscaled.shape[1] - 1
        inner[last] /= self.scale.deviation
        routes = inner[last + 1 :] + bias - inner[last] * self.scale.mean
        output = np.vstack([model.coefs_[1], model.intercepts_[1]])
        return JointNetwork(hidden=inner[: last + 1], routes=routes, output=output)


def _fit_joint_right(rows: _JointRows, seed: int) -> tuple[JointNetwork, F64]:
    """The network of correct answers, and the logits of the held-out rows."""
    from scipy.sparse import vstack
    from sklearn.neural_network import MLPClassifier

    train, held = np.flatnonzero(~rows.held), np.flatnonzero(rows.held)
    right, runs = rows.right[train], rows.runs[train]
    weights = np.concatenate([right * runs, (1 - right) * runs])
    used = np.flatnonzero(weights > 0)
    twice = vstack([rows.features[train]] * 2, format="csr")[used]
    labels = np.repeat([1, 0], len(train))[used]
    model = MLPClassifier(hidden_layer_sizes=(_UNITS,), batch_size=min(_BATCH, len(used)), random_state=seed)

    def loss() -> float:
        chance = np.clip(model.predict_proba(rows.features[held])[:, 1], 1e-9, 1 - 1e-9)
        true, count = rows.right[held], rows.runs[held]
        return -float(count @ (true * np.log(chance) + (1 - true) * np.log(1 - chance))) / float(count.sum())

    def step() -> None:
        model.partial_fit(twice, labels, sample_weight=weights[used], classes=(0, 1))

    network = _stopped_early(model, step, loss, rows)
    return network, _joint_outputs(network, rows, held)[:, 0]


def _fit_joint_costs(rows: _JointRows, seed: int) -> tuple[JointNetwork, F64]:
    """The network of the costs' logarithms, and its outputs for the held-out rows."""
    from sklearn.neural_network import MLPRegressor

    train, held = np.flatnonzero(~rows.held), np.flatnonzero(rows.held)
    mean, spread = rows.logs[train].mean(axis=0), rows.logs[train].std(axis=0)
    spread[spread == 0] = 1
    targets = (rows.logs - mean) / spread
    model = MLPRegressor(hidden_layer_sizes=(_UNITS,), batch_size=min(_BATCH, len(train)), random_state=seed)

    def loss() -> float:
        return float(((model.predict(rows.features[held]) - targets[held]) ** 2).mean())

    network = _stopped_early(model, lambda: model.partial_fit(rows.features[train], targets[train]), loss, rows)
    output = network.output * spread
    output[-1] += mean
    network = JointNetwork(hidden=network.hidden, routes=network.routes, output=output)
    return network, _joint_outputs(network, rows, held)


def _stopped_early(model: Any, step: Callable[[], object], loss: Callable[[], float], rows: _JointRows) -> JointNetwork:
    """The network at the pass with the least loss on the held-out rows."""
    best, network, waited = np.inf, None, 0
    for _ in range(_MOST_EPOCHS):
        step()
        now = loss()
        waited = 0 if now < best - _TOLERANCE else waited + 1
        if now < best:
            best, network = now, rows.network(model)
        if waited == _PATIENCE:
            break
    assert network is not None
    return network


def _joint_outputs(network: JointNetwork, rows: _JointRows, chosen: _Indices) -> F64:
    """(row, output) of some rows, each for its own route."""
    own = rows.unscaled[chosen] @ network.hidden + network.routes[rows.route[chosen]]
    outputs: F64 = np.maximum(own, 0) @ network.output[:-1] + network.output[-1]
    return outputs
