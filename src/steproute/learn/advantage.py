"""Fits Arbitrage's predictor to rows of both models' steps, and says how well it ranks them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from steproute.core.arrays import F64
from steproute.core.errors import DatasetError
from steproute.learn.advantage_rows import AdvantageRow, Label
from steproute.learn.score_fit import fit_temperature
from steproute.policies.advantage import AUTHORS, AdvantageFamily, AdvantageNetwork, advantage_features
from steproute.policies.query import quantile_grid

LEAST_AGREEMENT: Final = 0.2
"""The ρ of a label with the label `rollouts` below which training warns."""

_LEAST_OF_EITHER: Final = 10
_NEAR_ZERO: Final = 0.01
_WIDTHS: Final = (32, 32)
_DECAY: Final = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvantageFigures:
    """How well a predictor does on held-out rows; None for what the rows do not say.

    base_rate: share with Δ above the margin. near_zero: share with |Δ| below 0.01. rho: Spearman's ρ of ŷ and Δ by the
    label, rho_score that of 1 − r_t, rho_rollouts and rho_score_rollouts those with Δ by rollouts. agreement: ρ of Δ by
    the label and by rollouts. accuracy_of_0, accuracy_of_1: of each class, with ŷ above the base rate as 1. auc,
    auc_score: of ŷ and of 1 − r_t for savable steps.
    """

    rows: int
    held_out: int
    base_rate: float
    near_zero: float
    rho: float | None
    rho_score: float | None
    rho_rollouts: float | None
    rho_score_rollouts: float | None
    agreement: float | None
    accuracy_of_0: float | None
    accuracy_of_1: float | None
    auc: float | None
    auc_score: float | None


def fit_advantage(
    rows: Sequence[AdvantageRow],
    label: Label,
    margin: float = 0.0,
    seed: int = 0,
    *,
    confident: bool = True,
    balanced: bool = True,
    annotated: bool = True,
) -> tuple[AdvantageFamily, AdvantageFigures]:
    """P(Δ > margin), and its figures on held-out rows.

    Logistic regression and two layers of 32 are fitted on rows of which the larger class is thinned out at random; the
    one with the smaller log loss on held-out rows counts. The base rate is restored, and a temperature fitted on
    held-out rows makes ŷ a probability without ties. confident: read log-probabilities. balanced, annotated: False
    for ablations, without the thinning and without the inputs that name authors. Raises DatasetError for too few rows
    of either class.
    """
    features = np.array([advantage_features(row.observation, confident=confident) for row in rows])
    if not annotated:
        features[:, AUTHORS] = 0
    delta = np.array([row.advantages[label] for row in rows])
    out = np.array([row.held_out for row in rows])
    better = delta > margin
    _check(better[~out], "to fit on")
    _check(better[out], "held out")
    chosen = _thinned(better, ~out, seed) if balanced else np.flatnonzero(~out)
    shift = _logit(better[~out].mean()) - _logit(better[chosen].mean())
    networks = [_shifted(each, 1.0, shift) for each in _fitted(features[chosen], better[chosen], seed)]
    network = min(networks, key=lambda each: _log_loss(each.probability(features[out]), better[out]))
    map_ = fit_temperature(network.probability(features[out]), better[out].astype(float))
    network = _shifted(network, 1 / map_.temperature, map_.shift)
    chances = network.probability(features[out])
    held = [row for row in rows if row.held_out]
    figures = _figures(held, chances, delta[out], better[out], float(better[~out].mean()), len(rows))
    return AdvantageFamily(network, quantile_grid(chances.tolist())), figures


def _check(better: NDArray[np.bool_], what: str) -> None:
    positives = int(better.sum())
    if min(positives, len(better) - positives) < _LEAST_OF_EITHER:
        raise DatasetError(
            f"of {len(better)} steps {what} the strong model's is better at {positives}; {_LEAST_OF_EITHER} of either "
            "kind are the least.",
            where="problems",
            remedy="Use more, or a smaller --margin.",
        )


def _thinned(better: NDArray[np.bool_], fit: NDArray[np.bool_], seed: int) -> NDArray[np.intp]:
    """As many rows of either class, drawn at random."""
    rng = np.random.default_rng(seed)
    classes = [np.flatnonzero(fit & (better == value)) for value in (False, True)]
    least = min(map(len, classes))
    return np.sort(np.concatenate([rng.choice(each, least, replace=False) for each in classes]))


def _fitted(features: F64, better: NDArray[np.bool_], seed: int) -> list[AdvantageNetwork]:
    """Logistic regression, and a network of two layers; the inputs' scales go into the first layer."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(features)
    scaled = scaler.transform(features)
    linear = LogisticRegression(max_iter=1000).fit(scaled, better)
    deep = MLPClassifier(_WIDTHS, alpha=_DECAY, early_stopping=True, max_iter=500, random_state=seed)
    deep.fit(scaled, better)
    layers = [
        [(linear.coef_, linear.intercept_)],
        [(weight.T, bias) for weight, bias in zip(deep.coefs_, deep.intercepts_, strict=True)],
    ]
    return [_network(each, scaler) for each in layers]


def _network(layers: Sequence[tuple[F64, F64]], scaler: Any) -> AdvantageNetwork:
    (weight, bias), *rest = layers
    weight = weight / scaler.scale_
    first = (weight, bias - weight @ scaler.mean_)
    weights: dict[str, F64] = {}
    for index, (matrix, offset) in enumerate([first, *rest]):
        weights |= {f"layers.{index}.weight": np.asarray(matrix), f"layers.{index}.bias": np.asarray(offset)}
    return AdvantageNetwork(weights)


def _shifted(network: AdvantageNetwork, scale: float, shift: float) -> AdvantageNetwork:
    """The network whose logit is `scale` times this one's, plus `shift`."""
    last = len(network.weights) // 2 - 1
    weight, bias = network.weights[f"layers.{last}.weight"], network.weights[f"layers.{last}.bias"]
    changed = {f"layers.{last}.weight": weight * scale, f"layers.{last}.bias": bias * scale + shift}
    return AdvantageNetwork({**network.weights, **changed})


def _figures(
    rows: Sequence[AdvantageRow],
    chances: F64,
    delta: F64,
    better: NDArray[np.bool_],
    base_rate: float,
    count: int,
) -> AdvantageFigures:
    doubt = 1 - np.array([row.observation.score for row in rows])
    rollouts = np.array([row.advantages.get("rollouts", np.nan) for row in rows])
    savable = np.array([bool(row.savable) for row in rows])
    above = chances > base_rate
    return AdvantageFigures(
        rows=count,
        held_out=len(rows),
        base_rate=base_rate,
        near_zero=float((np.abs(delta) < _NEAR_ZERO).mean()),
        rho=_rho(chances, delta),
        rho_score=_rho(doubt, delta),
        rho_rollouts=_rho(chances, rollouts),
        rho_score_rollouts=_rho(doubt, rollouts),
        agreement=_rho(delta, rollouts),
        accuracy_of_0=float((~above)[~better].mean()),
        accuracy_of_1=float(above[better].mean()),
        auc=_auc(chances, savable),
        auc_score=_auc(doubt, savable),
    )


def _rho(one: F64, other: F64) -> float | None:
    """Spearman's ρ over the rows that have both; None if either is constant."""
    from scipy.stats import spearmanr

    both = ~(np.isnan(one) | np.isnan(other))
    if both.sum() < _LEAST_OF_EITHER or not (np.ptp(one[both]) and np.ptp(other[both])):
        return None
    return float(spearmanr(one[both], other[both]).statistic)


def _auc(scores: F64, labels: NDArray[np.bool_]) -> float | None:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(labels, scores)) if 0 < labels.sum() < len(labels) else None


def _log_loss(chances: F64, better: NDArray[np.bool_]) -> float:
    inside = np.clip(np.where(better, chances, 1 - chances), 1e-12, 1.0)
    return float(-np.log(inside).mean())


def _logit(share: float) -> float:
    return float(np.log(share / (1 - share)))
