"""A router of tiers by the tail of the prefix: what a step looks like, and not which task it belongs to."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from steproute.core.arrays import F64
from steproute.core.errors import DatasetError
from steproute.core.seeded import hash_64

FOLDS: Final = 10
SUFFICIENT: Final = 0.5
"""The tier is the cheapest that suffices with this probability: the median of the predicted distribution."""


def folds_by_instance(instances: Sequence[str], folds: int = FOLDS, seed: int = 0) -> list[list[int]]:
    """The places of each fold. All rows of an instance are in one, since runs repeat their text in every row.

    Raises DatasetError for fewer instances than folds.
    """
    names = sorted(set(instances), key=lambda name: hash_64(f"{seed}/{name}"))
    if len(names) < folds:
        raise DatasetError(f"{len(names)} instances make no {folds} folds.", where="data", remedy="Use more rows.")
    fold_of = {name: number % folds for number, name in enumerate(names)}
    return [[place for place, name in enumerate(instances) if fold_of[name] == fold] for fold in range(folds)]


def out_of_fold_tiers(features: F64, gold: Sequence[int], instances: Sequence[str], seed: int = 0) -> list[int]:
    """The tier of each row by multinomial logistic regression on the other folds' rows, features (row, feature)."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    labels, tiers = np.asarray(gold), np.zeros(len(gold), dtype=int)
    for held_out in folds_by_instance(instances, seed=seed):
        others = np.setdiff1d(np.arange(len(labels)), held_out)
        if len(np.unique(labels[others])) == 1:
            tiers[held_out] = labels[others][0]
            continue
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(features[others], labels[others])
        chances = np.cumsum(model.predict_proba(features[held_out]), axis=1)
        tiers[held_out] = model.classes_[np.argmax(chances >= SUFFICIENT, axis=1)]
    return [int(tier) for tier in tiers]
