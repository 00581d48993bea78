"""Routing among real models from a question's text: accuracy at equal cost against mixtures of single models.

LLMRouter's table has 9 models, whose cost is their list price, since lengths are unknown; RouteLLM's two tables have
Mixtral and GPT-4, whose cost is 0 and 1. Each line is one level of the budget, a share of the cost of always using the
most expensive model. `hull` is the best mixture of single models on the training questions, measured on the test
questions; `hull_on_test` is the mixture chosen on the test questions themselves, which no one could have chosen. All
differences are paired over questions, with 95 % bootstrap intervals. Needs the data folder (STEPROUTE_DATA).
"""

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from steproute.evaluation.auc import roc_auc
from steproute.evaluation.calibrate import budget_curve_of, halves
from steproute.evaluation.datasets import data_file, read_rows
from steproute.evaluation.differences import difference
from steproute.evaluation.knapsack import assign, local
from steproute.evaluation.resampling import draws
from steproute.learn.route_fit import (
    RouteOutcomes,
    fit_joint,
    fit_separate,
    length_alone,
    sparse_features,
)
from steproute.learn.text_fit import fit_text
from steproute.policies.routes import text_features

_ADDED = ("llama-3.1-nemotron-51b-instruct", "llama-3.3-nemotron-super-49b-v1")
_RESAMPLES = 10_000
_NEIGHBOURS = 10


@dataclass(frozen=True)
class Table:
    """texts; right: (question, model); price: (model,), relative to the most expensive one."""

    texts: list[str]
    right: np.ndarray
    price: np.ndarray
    models: list[str]

    def only(self, models: list[str]) -> "Table":
        chosen = [self.models.index(name) for name in models]
        return Table(self.texts, self.right[:, chosen], self.price[chosen], models)

    def questions(self, indices: np.ndarray) -> "Table":
        return Table([self.texts[i] for i in indices], self.right[indices], self.price, self.models)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", default="llmrouter,gsm8k,mmlu")
    parser.add_argument("--problems", type=int, default=None, help="questions of each half; all by default")
    options = parser.parse_args()
    for name in options.tables.split(","):
        train, test = (cut(each, options.problems) for each in (llmrouter() if name == "llmrouter" else routellm(name)))
        levels = (0.15, 0.2, 0.25, 0.4, 0.6, 0.8) if name == "llmrouter" else (0.1, 0.2, 0.4, 0.6, 0.8)
        forecasts = report_predictors(name, train, test)
        for level in levels:
            print(json.dumps({"table": name, "level": level, **at_level(train, test, forecasts, level)}))
        print(json.dumps({"table": name, **against_best(train, test, forecasts)}))
        if name == "llmrouter":
            print(json.dumps({"table": name, **continual(train, test, forecasts, levels)}), flush=True)


def llmrouter() -> tuple[Table, Table]:
    prices = json.loads(data_file("routing/llmrouter_prices_usd_per_mtok.json").read_text())
    parts = []
    for split in ("train", "test"):
        rows = [row for _, row in read_rows(data_file(f"routing/llmrouter_{split}.jsonl.gz"))]
        scores = [by_model(row, "score") for row in rows]
        models = sorted(scores[0])
        right = np.array([[each[model] for model in models] for each in scores], float)
        price = np.array([prices[model]["output_price"] for model in models])
        parts.append(Table([str(row["problem"]) for row in rows], right, price / price.max(), models))
    train, test = parts
    known = set(test.texts)
    return train.questions(np.array([i for i, text in enumerate(train.texts) if text not in known])), test


def routellm(name: str) -> tuple[Table, Table]:
    file = "routellm_gsm8k" if name == "gsm8k" else "routellm_mmlu_sample5000"
    rows = [row for _, row in read_rows(data_file(f"routing/{file}.jsonl.gz"))]
    models = ["mistralai/Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview"]
    correct = [by_model(row, "correct") for row in rows]
    right = np.array([[each[model] for model in models] for each in correct], float)
    whole = Table([str(row["problem"]) for row in rows], right, np.array([0.0, 1.0]), models)
    fitting, measuring = halves([str(row["id"]) for row in rows])
    return whole.questions(fitting), whole.questions(measuring)


def by_model(row: Mapping[str, object], figure: str) -> dict[str, float]:
    """A figure of each model's answer."""
    models = row["models"]
    assert isinstance(models, dict)
    return {name: float(answer[figure]) for name, answer in models.items()}


def cut(table: Table, count: int | None) -> Table:
    return table.questions(np.arange(len(table.texts))[:count])


def report_predictors(name: str, train: Table, test: Table) -> dict[str, np.ndarray]:
    """P(right), (question, model), by each predictor on the test questions; prints how good each is."""
    text = fit_text(train.texts)
    features = sparse_features(text, train.texts)
    length = length_alone()
    found = {}
    for predictor, fit in (
        ("separate", lambda: fit_separate(outcomes(train), text, features, 0)),
        ("length", lambda: fit_separate(outcomes(train), length, sparse_features(length, train.texts), 0)),
        ("joint", lambda: fit_joint(outcomes(train), text, features, 0)),
    ):
        began = time.perf_counter()
        table = fit()
        fitted = time.perf_counter()
        found[predictor] = table.forecast(test.texts).right
        print_quality(name, predictor, found[predictor], test, fitted - began, time.perf_counter() - fitted)
    began = time.perf_counter()
    known = text_features(text, train.texts)[:, :-1]
    fitted = time.perf_counter()
    similarity = text_features(text, test.texts)[:, :-1] @ known.T
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :_NEIGHBOURS]
    found["knn"] = train.right[nearest].mean(axis=1)
    print_quality(name, "knn", found["knn"], test, fitted - began, time.perf_counter() - fitted)
    return found


def print_quality(name: str, predictor: str, right: np.ndarray, test: Table, training: float, asking: float) -> None:
    aucs = [roc_auc(right[:, i].tolist(), (test.right[:, i] > 0.5).tolist()) for i in range(right.shape[1])]
    eces = [ece(right[:, i], test.right[:, i]) for i in range(right.shape[1])]
    row = {
        "table": name,
        "predictor": predictor,
        "auc": dict(zip(test.models, np.round(aucs, 3).tolist(), strict=True)),
        "ece": round(float(np.mean(eces)), 3),
        "training_s": round(training, 1),
        "ms_per_question": round(1000 * asking / len(test.texts), 3),
    }
    print(json.dumps(row), flush=True)


def ece(chance: np.ndarray, right: np.ndarray, bins: int = 10) -> float:
    place = np.minimum((chance * bins).astype(int), bins - 1)
    return float(sum(abs((chance - right)[place == b].sum()) for b in range(bins)) / len(right))


def outcomes(table: Table) -> list[RouteOutcomes]:
    count = len(table.texts)
    return [
        RouteOutcomes(
            route=model,
            problems=np.arange(count),
            right=table.right[:, i],
            runs=np.ones(count),
            costs=np.ones((count, 3)),
        )
        for i, model in enumerate(table.models)
    ]


def at_level(train: Table, test: Table, forecasts: dict[str, np.ndarray], level: float) -> dict[str, object]:
    """Every predictor's routing at a budget of `level` per question."""
    hull, on_test = (mixture(each, test, level) for each in (train, test))
    routed = {name: solved(right, test, level) for name, right in forecasts.items()}
    alone = solved(forecasts["separate"], test, level, globally=False)
    found: dict[str, object] = {"hull": round(100 * hull.mean(), 1), "hull_on_test": round(100 * on_test.mean(), 1)}
    for name, right in routed.items():
        found[name] = round(100 * right.mean(), 1)
        found[f"{name} - hull"] = compared(right, hull)
    found["separate - hull_on_test"] = compared(routed["separate"], on_test)
    for other in ("length", "knn", "joint"):
        found[f"separate - {other}"] = compared(routed["separate"], routed[other])
    found["global - local"] = compared(routed["separate"], alone)
    return found


def solved(right: np.ndarray, test: Table, level: float, *, globally: bool = True) -> np.ndarray:
    """Which questions are answered correctly under the budget, (question,)."""
    cost = np.broadcast_to(test.price, right.shape)
    chosen = (assign if globally else local)(right, cost, level * len(right)).routes
    return test.right[np.arange(len(right)), chosen]


def mixture(chooser: Table, test: Table, level: float) -> np.ndarray:
    """Expected correctness of each test question by the mixture of single models that is best on `chooser`."""
    curve, _ = budget_curve_of(list(range(len(chooser.models))), chooser.price, chooser.right.mean(axis=0), "usd")
    mix = curve.mix(level)
    return (1 - mix.share) * test.right[:, int(mix.low)] + mix.share * test.right[:, int(mix.high)]


def compared(first: np.ndarray, second: np.ndarray) -> list[float]:
    """Difference of two accuracies in points, its interval and p."""
    gap = 100 * (first - second)
    count = len(gap)
    resampled = np.concatenate([each @ gap / count for each in draws(count, _RESAMPLES, np.random.default_rng(0))])
    samples = np.concatenate([[gap.mean()], resampled])
    found = difference(samples, np.zeros_like(samples))
    assert found.p is not None
    return [
        round(float(value), 4 if i == 3 else 1)
        for i, value in enumerate((found.value, found.interval.low, found.interval.high, found.p))
    ]


def against_best(train: Table, test: Table, forecasts: dict[str, np.ndarray]) -> dict[str, object]:
    """The model that is best on the training questions, and routing at its cost and at 70 % of it."""
    best = int(train.right.mean(axis=0).argmax())
    own, price = test.right[:, best], float(test.price[best])
    found: dict[str, object] = {"best single": test.models[best], "accuracy": round(100 * own.mean(), 1)}
    for name in ("separate", "joint", "knn"):
        found[f"{name} at its cost - best single"] = compared(solved(forecasts[name], test, price), own)
        found[f"{name} at 70 % of its cost - best single"] = compared(solved(forecasts[name], test, 0.7 * price), own)
    return found


def continual(
    train: Table, test: Table, forecasts: dict[str, np.ndarray], levels: tuple[float, ...]
) -> dict[str, object]:
    """Train on the models without the last two, then add these alone."""
    first = [model for model in train.models if model not in _ADDED]
    text = fit_text(train.texts)
    features = sparse_features(text, train.texts)
    began = time.perf_counter()
    old = fit_separate(outcomes(train.only(first)), text, features, 0)
    middle = time.perf_counter()
    new = fit_separate(outcomes(train.only(list(_ADDED))), text, features, 0)
    added_s = time.perf_counter() - middle
    right = dict(zip(first, old.forecast(test.texts).right.T, strict=True))
    right |= dict(zip(_ADDED, new.forecast(test.texts).right.T, strict=True))
    whole = np.column_stack([right[model] for model in test.models])
    few = test.only(first)
    found: dict[str, object] = {
        "added": list(_ADDED),
        "same as trained together": bool(np.array_equal(whole, forecasts["separate"])),
        "first_s": round(middle - began, 1),
        "added_s": round(added_s, 1),
    }
    for level in levels:
        after = solved(whole, test, level)
        if level <= few.price.max():
            before = solved(np.column_stack([right[model] for model in first]), few, level)
            found[f"with - without them at {level}"] = compared(after, before)
        found[f"added - joint from scratch at {level}"] = compared(after, solved(forecasts["joint"], test, level))
    return found


if __name__ == "__main__":
    main()
