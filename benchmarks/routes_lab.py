"""Routing among whole strategies on recorded runs: what the papers claim, by dollars, with paired bootstrap intervals.

TRAIN and TEST are runs of the same routes on different problems, such as of `eval`, several with commas; their costs
are real. A level is a share of the mean cost of `single/strong` in TRAIN. `hull` is the upper hull of the single routes
in TEST, which mixes the two routes beside a level at random; no one could choose it better.
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from routes_real import compared, ece

from steproute.core.decision import Rewrite
from steproute.core.observation import Observation
from steproute.core.problem import Problem
from steproute.core.solution import Draft, Prefix, Stop
from steproute.core.usage import Usage
from steproute.core.writable import writable
from steproute.engine.run_folder import recorded_problems, run_document
from steproute.engine.trace_file import newest_traces
from steproute.evaluation.auc import roc_auc
from steproute.evaluation.calibrate import budget_curve_of
from steproute.evaluation.datasets import load_problems
from steproute.evaluation.knapsack import assign, exact, local
from steproute.evaluation.resampling import draws
from steproute.learn.route_fit import (
    RouteOutcomes,
    fit_joint,
    fit_separate,
    length_alone,
    sparse_features,
)
from steproute.learn.route_runs import RouteRuns, unit_of
from steproute.learn.text_fit import fit_text
from steproute.policies.mixture import MixtureFamily
from steproute.policies.routes import ByPrice, Forecast, RouteFamily, text_features
from steproute.strategies.budgeted import PacingController

_LEVELS = (0.1, 0.2, 0.25, 0.4, 0.6)
_PRICES = (0.0, *np.geomspace(10, 50_000, 60))  # correct answers per dollar
_MODELS = ("single/weak", "single/mid", "single/strong")
_WAYS = ("vote", "best-of-n")
_NEIGHBOURS = 10
_RESAMPLES = 10_000


class Recorded:
    """Outcomes of all routes on the same problems. right, usd: (problem, route)."""

    def __init__(self, folders: list[Path]) -> None:
        found = RouteRuns()
        for folder in folders:
            document = run_document(folder)
            loaded = load_problems(document["data"], document["holds"]["problems"], document["seed"])
            text_of = {writable(each.id): each.text for each in recorded_problems(document, loaded)}
            found.add(newest_traces(folder / "traces.jsonl.zst"), text_of)
        outcomes, texts = found.outcomes(), list(found.texts)
        common = sorted(set.intersection(*(set(each.problems.tolist()) for each in outcomes)))
        self.texts, self.routes = [texts[problem] for problem in common], [each.route for each in outcomes]
        self.outcomes = [among(each, common) for each in outcomes]
        order = [np.argsort(each.problems) for each in self.outcomes]
        self.right = np.column_stack([each.right[place] for each, place in zip(self.outcomes, order, strict=True)])
        costs = [each.costs[place] for each, place in zip(self.outcomes, order, strict=True)]
        self.usd, self.tokens = (np.column_stack([each[:, i] for each in costs]) for i in (0, 1))

    def part(self, indices: np.ndarray) -> list[RouteOutcomes]:
        return [
            RouteOutcomes(
                route=route,
                problems=np.arange(len(indices)),
                right=self.right[indices, i],
                runs=np.ones(len(indices)),
                costs=np.column_stack([self.usd[indices, i], self.tokens[indices, i], self.tokens[indices, i]]),
            )
            for i, route in enumerate(self.routes)
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("train", type=folders)
    parser.add_argument("test", type=folders)
    options = parser.parse_args()
    train, test = Recorded(options.train), Recorded(options.test)
    assert train.routes == test.routes
    strong = float(train.usd[:, train.routes.index("single/strong")].mean())
    means = {
        route: [round(100 * float(test.right[:, i].mean()), 1), round(float(test.usd[:, i].mean() / strong), 3)]
        for i, route in enumerate(test.routes)
    }
    show(line="single routes: accuracy, share of always-strong", problems=len(test.texts), **means)
    forecasts = fitted(train, test)
    for level in _LEVELS:
        show(line="unconstrained", level=level, **unconstrained(test, forecasts, level * strong))
    for level in _LEVELS:
        show(line="models and methods", level=level, **apart(test, forecasts["separate"], level * strong))
    for level in _LEVELS:
        show(line="constrained", level=level, **constrained(test, forecasts["separate"], level * strong))
    show(line="controller", **controlled(train, test, strong))
    show(line="best single", **against_best(test, forecasts, strong))
    show(line="continual", **continual(train, test, forecasts, strong))


def among(outcomes: RouteOutcomes, common: list[int]) -> RouteOutcomes:
    """Those on problems that all routes finished."""
    place = {problem: i for i, problem in enumerate(common)}
    kept = [i for i, problem in enumerate(outcomes.problems.tolist()) if problem in place]
    return RouteOutcomes(
        route=outcomes.route,
        problems=np.array([place[int(problem)] for problem in outcomes.problems[kept]]),
        right=outcomes.right[kept],
        runs=outcomes.runs[kept],
        costs=outcomes.costs[kept],
    )


def folders(text: str) -> list[Path]:
    return [Path(each) for each in text.split(",")]


def show(**row: object) -> None:
    print(json.dumps(row), flush=True)


def fitted(train: Recorded, test: Recorded) -> dict[str, Forecast]:
    """What each predictor says of the test problems; prints how good it is."""
    text, length = fit_text(train.texts), length_alone()
    features = sparse_features(text, train.texts)
    found = {}
    for name, fit in (
        ("separate", lambda: fit_separate(train.outcomes, text, features, 0)),
        ("length", lambda: fit_separate(train.outcomes, length, sparse_features(length, train.texts), 0)),
        ("joint", lambda: fit_joint(train.outcomes, text, features, 0)),
    ):
        began = time.perf_counter()
        table = fit()
        middle = time.perf_counter()
        found[name] = table.forecast(test.texts)
        quality(name, found[name], test, middle - began, time.perf_counter() - middle)
    began = time.perf_counter()
    known = text_features(text, train.texts)[:, :-1]
    middle = time.perf_counter()
    nearest = np.argsort(-(text_features(text, test.texts)[:, :-1] @ known.T), axis=1, kind="stable")[:, :_NEIGHBOURS]
    right, usd, tokens = (values[nearest].mean(axis=1) for values in (train.right, train.usd, train.tokens))
    found["knn"] = Forecast(routes=tuple(train.routes), right=right, usd=usd, tokens=tokens, seconds=tokens)
    quality("knn", found["knn"], test, middle - began, time.perf_counter() - middle)
    return found


def quality(name: str, forecast: Forecast, test: Recorded, training: float, asking: float) -> None:
    columns = range(len(test.routes))
    aucs = [roc_auc(forecast.right[:, i].tolist(), (test.right[:, i] > 0.5).tolist()) for i in columns]
    off = np.median(abs(forecast.tokens - test.tokens) / test.tokens, axis=0)
    bias = forecast.usd.mean(axis=0) / test.usd.mean(axis=0) - 1
    show(
        predictor=name,
        auc=dict(zip(test.routes, np.round(aucs, 3).tolist(), strict=True)),
        ece=[round(float(ece(forecast.right[:, i], test.right[:, i])), 3) for i in columns],
        median_token_error=np.round(off, 3).tolist(),
        usd_bias=np.round(bias, 3).tolist(),
        training_s=round(training, 1),
        ms_per_problem=round(1000 * asking / len(test.texts), 3),
    )


def swept(forecast: Forecast, test: Recorded, allowed: Sequence[str] = ()) -> tuple[np.ndarray, np.ndarray]:
    """Correctness and dollars at each price, (price, problem), of the choice among all routes or the allowed ones."""
    rows = np.arange(len(test.texts))
    taken = [i for i, route in enumerate(forecast.routes) if not allowed or route in allowed]
    few = Forecast(
        routes=tuple(forecast.routes[i] for i in taken),
        **{name: getattr(forecast, name)[:, taken] for name in ("right", "usd", "tokens", "seconds")},
    )
    chosen = [np.array(taken)[ByPrice(price=price).choose(few)] for price in _PRICES]
    right, usd = (np.array([values[rows, each] for each in chosen]) for values in (test.right, test.usd))
    return right, usd


def hull(test: Recorded) -> tuple[np.ndarray, np.ndarray]:
    """The same of the single routes on the upper hull, (route, problem)."""
    routes = list(range(len(test.routes)))
    curve, _ = budget_curve_of(routes, test.usd.mean(axis=0), test.right.mean(axis=0), "usd")
    corners = [int(knob) for knob in curve.knobs]
    return test.right[:, corners].T, test.usd[:, corners].T


def unconstrained(test: Recorded, forecasts: dict[str, Forecast], usd: float) -> dict[str, object]:
    """Accuracy at equal dollars, in resamples of problems in which accuracies and dollars both vary."""
    curves = {name: swept(forecast, test) for name, forecast in forecasts.items()}
    curves["hull"] = hull(test)
    heights = {name: height_samples(*curve, usd) for name, curve in curves.items()}
    found: dict[str, object] = {name: round(100 * float(values[0]), 1) for name, values in heights.items()}
    for first, second in (
        ("separate", "hull"),
        ("length", "hull"),
        ("joint", "hull"),
        ("knn", "hull"),
        ("separate", "length"),
        ("separate", "joint"),
        ("separate", "knn"),
    ):
        found[f"{first} - {second}"] = summary(heights[first] - heights[second])
    return found


def apart(test: Recorded, forecast: Forecast, usd: float) -> dict[str, object]:
    """All routes against models alone, one way each, and against the ways of the weak model alone."""
    alone = [route for route in test.routes if route in _MODELS]
    chosen = {"all": test.routes, "models": alone, "methods of weak": of_weak(test.routes)}
    heights = {name: height_samples(*swept(forecast, test, each), usd) for name, each in chosen.items()}
    found: dict[str, object] = {name: round(100 * float(values[0]), 1) for name, values in heights.items()}
    return found | {
        f"all - {name}": summary(heights["all"] - values) for name, values in heights.items() if name != "all"
    }


def of_weak(routes: list[str]) -> list[str]:
    """Routes that only the weak model writes: under other sampling, by vote, or the best of several drafts."""
    return [route for route in routes if route.startswith("single/weak") or route.partition("(")[0] in _WAYS]


def height_samples(right: np.ndarray, usd: np.ndarray, at: float) -> np.ndarray:
    """Accuracy at a cost on the line through a curve's points: of the problems themselves, then of each resample."""
    count = right.shape[1]
    values = np.concatenate([right, usd]).T / count
    drawn = [each @ values for each in draws(count, _RESAMPLES, np.random.default_rng(0))]
    means = np.concatenate([np.full((1, count), 1.0) @ values, *drawn])
    accuracy, cost = np.hsplit(means, 2)
    order = np.argsort(cost, axis=1)
    accuracy, cost = np.take_along_axis(accuracy, order, 1), np.take_along_axis(cost, order, 1)
    return np.array([np.interp(at, x, y) for x, y in zip(cost, accuracy, strict=True)])


def summary(samples: np.ndarray) -> list[float]:
    """Difference in points, its interval, and p."""
    gap, resampled = 100 * samples[0], 100 * samples[1:]
    low, high = np.quantile(resampled, (0.025, 0.975))
    p = min(1.0, 2 * (1 + min((resampled <= 0).sum(), (resampled >= 0).sum())) / (len(resampled) + 1))
    return [round(float(gap), 1), round(float(low), 1), round(float(high), 1), round(float(p), 4)]


def constrained(test: Recorded, forecast: Forecast, usd: float) -> dict[str, object]:
    """One budget for all problems against an equal share for each, by predicted costs; and the exact optimum."""
    rows, budget = np.arange(len(test.texts)), usd * len(test.texts)
    began = time.perf_counter()
    found = assign(forecast.right, forecast.usd, budget)
    seconds = time.perf_counter() - began
    alone = local(forecast.right, forecast.usd, budget)
    units = np.ceil(forecast.usd / usd * 20).astype(np.int64)
    whole = int(20 * len(rows))
    off = exact(forecast.right, units, whole).right - assign(forecast.right, units.astype(float), whole).right
    first, second = (test.right[rows, each.routes] for each in (found, alone))
    spent = [float(test.usd[rows, each.routes].mean() / usd) for each in (found, alone)]
    return {
        "global": round(100 * first.mean(), 1),
        "local": round(100 * second.mean(), 1),
        "global - local": compared(first, second),
        "real cost over budget": [round(each, 3) for each in spent],
        "lost to exact, points": round(100 * off / len(rows), 4),
        "seconds": round(seconds, 4),
    }


def controlled(train: Recorded, test: Recorded, strong: float) -> dict[str, object]:
    """Real mean cost over the budget on the test stream: weights calibrated on a quarter of TRAIN, then paced."""
    cut = 3 * len(train.texts) // 4
    fitting, choosing = np.arange(cut), np.arange(cut, len(train.texts))
    text = fit_text(train.texts[:cut])
    outcomes = train.part(fitting)
    table = fit_separate(outcomes, text, sparse_features(text, train.texts[:cut]), 0)
    family = RouteFamily(table, unit_of(outcomes, "usd"))
    forecast = table.forecast([train.texts[i] for i in choosing])
    place = [train.routes.index(route) for route in table.routes]
    chosen = [family.at(knob, 0).rule.choose(forecast) for knob in family.knobs]
    right, usd = (
        np.array([values[choosing][:, place][np.arange(len(choosing)), each] for each in chosen])
        for values in (train.right, train.usd)
    )
    curve, _ = budget_curve_of(family.knobs, usd.mean(axis=1), right.mean(axis=1), "usd")
    found: dict[str, object] = {}
    for level in _LEVELS:
        goal = level * strong
        deviation = float(usd[[family.knobs.index(knob) for knob in curve.knobs]].std() / goal)
        controller = PacingController(MixtureFamily(family, curve, goal, goal, deviation).at(goal, 0))
        spent, correct = [], []
        for i, problem in enumerate(test.texts):
            policy, expected = controller.begin(str(i))
            decision = policy.decide(observation(str(i), problem))
            assert isinstance(decision, Rewrite)
            route = test.routes.index(decision.role)
            spent.append(test.usd[i, route])
            correct.append(test.right[i, route])
            controller.end(expected, spent[-1])
        found[str(level)] = [round(float(np.mean(spent)) / goal, 3), round(100 * float(np.mean(correct)), 1)]
    return found


def observation(id: str, text: str) -> Observation:
    draft = Draft(model="", text="", stop=Stop.SEPARATOR, usage=Usage())
    return Observation(prefix=Prefix(problem=Problem.ask(id=id, text=text)), draft=draft, scores=(), max_steps=30)


def against_best(test: Recorded, forecasts: dict[str, Forecast], strong: float) -> dict[str, object]:
    """At the cost of `single/mid`, and at 70 % of the cost of the most accurate route."""
    best = int(test.right.mean(axis=0).argmax())
    found: dict[str, object] = {"best": test.routes[best]}
    for name, index, share in (
        ("single/mid", test.routes.index("single/mid"), 1.0),
        ("best", best, 1.0),
        ("best", best, 0.7),
    ):
        own = height_samples(test.right[:, [index]].T, test.usd[:, [index]].T, 0.0)
        at = share * float(test.usd[:, index].mean())
        routed = height_samples(*swept(forecasts["separate"], test), at)
        found[f"separate at {share:.0%} of the dollars of {name} - {name}"] = summary(routed - own)
    return found


def continual(train: Recorded, test: Recorded, forecasts: dict[str, Forecast], strong: float) -> dict[str, object]:
    """Routes without the strong model first, the others added."""
    text = fit_text(train.texts)
    features = sparse_features(text, train.texts)
    first = [each for each in train.outcomes if each.route in ("single/weak", "single/mid")]
    began = time.perf_counter()
    old = fit_separate(first, text, features, 0)
    middle = time.perf_counter()
    new = fit_separate([each for each in train.outcomes if each.route not in old.routes], text, features, 0)
    added_s = time.perf_counter() - middle
    parts = [table.forecast(test.texts) for table in (old, new)]
    columns = {name: each.right[:, i] for each in parts for i, name in enumerate(each.routes)}
    together = np.column_stack([columns[name] for name in test.routes])
    found: dict[str, object] = {
        "same as trained together": bool(np.array_equal(together, forecasts["separate"].right)),
        "first_s": round(middle - began, 1),
        "added_s": round(added_s, 1),
    }
    for level in _LEVELS:
        heights = [height_samples(*swept(forecasts[name], test), level * strong) for name in ("separate", "joint")]
        found[f"added - joint from scratch at {level}"] = summary(heights[0] - heights[1])
    return found


if __name__ == "__main__":
    main()
