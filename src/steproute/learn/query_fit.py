"""Query-level predictors fitted to which problems weak solved."""

from collections.abc import Sequence

import numpy as np

from steproute.core.errors import DatasetError
from steproute.learn.text_fit import fit_text
from steproute.policies.query import (
    Predictor,
    QueryFamily,
    SimilarityRanking,
    TextClassifier,
    TfIdf,
    classifier_features,
    quantile_grid,
)
from steproute.policies.trim.learned import F64

_LEAST_OF_EITHER = 10
_FOLDS = 5


def fit_similarity(texts: Sequence[str], right: Sequence[bool]) -> QueryFamily:
    """The similarity-weighted ranking; its grid comes from predictions that leave the problem itself out.

    Raises DatasetError for too few problems of either outcome.
    """
    text, vectors, labels = _prepared(texts, right)
    ranking = SimilarityRanking(text, vectors, labels)
    others = [
        SimilarityRanking(text, np.delete(vectors, i, 0), np.delete(labels, i)).probability(texts[i])
        for i in range(0, len(texts), max(1, len(texts) // 200))
    ]
    return QueryFamily(ranking, quantile_grid(others))


def fit_classifier(texts: Sequence[str], right: Sequence[bool], seed: int) -> QueryFamily:
    """Logistic regression, its regularisation by cross-validation. Raises DatasetError as `fit_similarity` does."""
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.preprocessing import StandardScaler

    text, _, labels = _prepared(texts, right)
    features = np.array([classifier_features(text, problem) for problem in texts])
    scaler = StandardScaler().fit(features)
    model = LogisticRegressionCV(
        Cs=np.logspace(-4, 1, 6),
        cv=_FOLDS,
        scoring="neg_log_loss",
        max_iter=2000,
        random_state=seed,
        l1_ratios=(0.0,),
        use_legacy_attributes=False,
    ).fit(scaler.transform(features), labels.astype(int))
    weights = model.coef_[0] / scaler.scale_
    classifier = TextClassifier(text, weights, float(model.intercept_[0] - weights @ scaler.mean_))
    return QueryFamily(classifier, quantile_grid([_chance(classifier, problem) for problem in texts]))


def _chance(predictor: Predictor, problem: str) -> float:
    return predictor.probability(problem)


def _prepared(texts: Sequence[str], right: Sequence[bool]) -> tuple[TfIdf, F64, F64]:
    solved = sum(right)
    if min(solved, len(right) - solved) < _LEAST_OF_EITHER:
        raise DatasetError(
            f"weak solved {solved} of {len(right)}; {_LEAST_OF_EITHER} of either are the least.",
            where="problems",
            remedy="Use more.",
        )
    text = fit_text(texts, None)
    return text, np.array([text.vector(problem) for problem in texts]), np.array(right, float)
