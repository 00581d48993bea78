"""Write src/steproute/lab/trim_world/parameters.json from the data folder: the parameters of `--data trim-world`."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from steproute.core.arrays import F64
from steproute.evaluation.datasets import data_file
from steproute.evaluation.recordings import load_recorded

PARAMETERS: Final = Path(__file__).parents[1] / "src/steproute/lab/trim_world/parameters.json"
MODELS: Final = {"trim-weak": ("qwen2.5-1.5b-instruct", "slm"), "trim-strong": ("qwen2.5-7b-instruct", "llm")}
THRESHOLD: Final = "trim_thr_math500_qwen2.5-1.5b_7b"
CURVES: Final = {
    "TRIM-Thr": (THRESHOLD, "threshold"),
    "TRIM-POMDP": ("trim_pomdp_math500_qwen2.5-1.5b_7b", "cost_per_token"),
}
PAIRS: Final = ("qwen3", "llama")
TOKEN_SPREAD: Final = 0.72
PROMPT_TOKENS: Final = 100
SPREADS: Final = (0.05, 8.0)
SOURCE: Final = (
    "Facts and figures of the TRIM release (MIT), from transition_params_math_train, terminal_predictor_math_train, "
    "obs_distribution_math_train_bin0.05 and published_curves. docs/reference/trim-world-card.md says how."
)
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(61)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


@dataclass(frozen=True, slots=True)
class Lengths:
    """P(a solution has n steps), (steps + 1,)."""

    shares: F64

    @classmethod
    def of(cls, hazard: Sequence[float]) -> "Lengths":
        """From P(ends at n | not before)."""
        survival = np.cumprod([1.0, *(1 - h for h in hazard[:-1])])
        return cls(survival * np.array(hazard))

    @property
    def mean(self) -> float:
        """Steps per solution."""
        return float(self.shares @ np.arange(len(self.shares)))

    def answers(self, logit: float, spread: float) -> F64:
        """P(every step is correct) at each node of the difficulty's quadrature, (nodes,)."""
        accuracy = 1 / (1 + np.exp(spread * _NODES - logit))
        correct: F64 = accuracy[:, None] ** np.arange(len(self.shares)) @ self.shares
        return correct

    def accuracy(self, logit: float, spread: float) -> float:
        """The share of problems that always this model solves."""
        return float(_WEIGHTS @ self.answers(logit, spread))

    def logit(self, accuracy: float, spread: float) -> float:
        """The logit at which it solves that share."""
        return bisect(lambda logit: self.accuracy(logit, spread) - accuracy, -20.0, 40.0)


def main() -> None:
    """Write the file, and print what the card and the explanation quote."""
    made = document()
    PARAMETERS.write_text(json.dumps(made, separators=(",", ":")) + "\n")
    lengths = {name: Lengths.of(model["hazard"]) for name, model in made["models"].items()}
    for pairs in (PAIRS, *((pair,) for pair in PAIRS)):
        table, spread = sum(solved(pair) for pair in pairs), shared_spread(lengths, pairs)
        print(f"{'+'.join(pairs)}: {table} spread {spread.most_likely:.2f} [{spread.low:.2f}, {spread.high:.2f}]")
    for name, assumption in made["assumptions"].items():
        right = (lengths[m].accuracy(logit, assumption["spread"]) for m, logit in assumption["logits"].items())
        print(f"{name}: always weak and always strong", *(f"{100 * share:.1f} %" for share in right))
    for model, (key, _) in MODELS.items():
        rates = first_error_rates(_read("transition_params_math_train")[key])
        print(f"{model}: first errors by step", *(f"{100 * rate:.1f} %" for rate in rates))


def first_error_rates(transitions: dict[str, Any], places: int = 9) -> list[float]:
    """P(step n is the first error | n - 1 correct steps, and a step n), for n = 1 … places."""
    correct, incorrect = np.array(transitions["correct_steps"]), np.array(transitions["incorrect_steps"])
    there = [(correct >= n).sum() + (incorrect >= n).sum() for n in range(1, places + 1)]
    return [float((incorrect == n).sum() / there[n - 1]) for n in range(1, places + 1)]


def document() -> dict[str, Any]:
    """Everything in the file."""
    transitions, curves, hazards = _read("transition_params_math_train"), _read("published_curves"), _hazards()
    rows = curves[THRESHOLD]
    lengths = {name: Lengths.of(hazard) for name, hazard in hazards.items()}
    accuracies = {name: transitions[key]["per_step_accuracy"] for name, (key, _) in MODELS.items()}
    anchors = {"trim-weak": rows[0]["accuracy"], "trim-strong": rows[-1]["accuracy"]}
    tokens = {
        "trim-weak": rows[0]["avg_draft_tokens_per_question"] / lengths["trim-weak"].mean,
        "trim-strong": rows[-1]["avg_target_tokens_per_question"] / rows[-1]["avg_target_calls_per_question"],
    }
    spreads = {
        "published": None,
        "anchored": 0.0,
        "spread": shared_spread(lengths).most_likely,
        **{f"spread-{pair}": shared_spread(lengths, [pair]).most_likely for pair in PAIRS},
    }
    published = {name: round(math.log(p / (1 - p)), 9) for name, p in accuracies.items()}
    return {
        "source": SOURCE,
        "models": {
            name: {"step_accuracy": accuracies[name], "step_tokens": round(tokens[name], 3), "hazard": hazards[name]}
            for name in MODELS
        },
        "token_spread": TOKEN_SPREAD,
        "prompt_tokens": PROMPT_TOKENS,
        "assumptions": {
            name: {
                "spread": spread or 0.0,
                "logits": published
                if spread is None
                else {model: round(lengths[model].logit(share, spread), 9) for model, share in anchors.items()},
            }
            for name, spread in spreads.items()
        },
        "observations": [_grid(_read("obs_distribution_math_train_bin0.05")["states"][str(s)]) for s in range(3)],
        "curves": {
            name: [[p[knob], p["accuracy"], p["avg_target_tokens_per_question"]] for p in curves[curve]]
            for name, (curve, knob) in CURVES.items()
        },
    }


@dataclass(frozen=True, slots=True)
class Spread:
    """The most likely spread and its 95 % interval by the likelihood ratio."""

    most_likely: float
    low: float
    high: float


def shared_spread(lengths: dict[str, Lengths], pairs: Sequence[str] = PAIRS) -> Spread:
    """The spread of difficulty that makes it most likely which problems the two models of recorded pairs solve.

    Only whole solutions by the weak and by the strong model are used, no routing. The lengths are TRIM's.
    """
    tables = [solved(pair) for pair in pairs]

    def likelihood(spread: float) -> float:
        return sum(float(table @ np.log(_cells(table, spread, lengths))) for table in tables)

    best = maximum(likelihood, *SPREADS)
    floor = likelihood(best) - 1.92  # half of the 95 % quantile of χ² with one degree of freedom
    low = bisect(lambda spread: likelihood(spread) - floor, SPREADS[0], best)
    high = bisect(lambda spread: floor - likelihood(spread), best, SPREADS[1])
    return Spread(*(round(spread, 3) for spread in (best, low, high)))


def solved(pair: str) -> F64:
    """Problems of a recorded pair that weak and strong, weak alone, strong alone and neither solve, (4,)."""
    recorded = load_recorded(pair)
    weak, strong = (
        np.array([recorded.graded[role, problem.id] for problem in recorded.problems]) for role in ("weak", "strong")
    )
    return np.array(
        [(weak & strong).sum(), (weak & ~strong).sum(), (~weak & strong).sum(), (~weak & ~strong).sum()], float
    )


def _cells(table: F64, spread: float, lengths: dict[str, Lengths]) -> F64:
    total = table.sum()
    weak, strong = (table[0] + table[1]) / total, (table[0] + table[2]) / total
    solves = [
        lengths[name].answers(lengths[name].logit(share, spread), spread)
        for name, share in (("trim-weak", weak), ("trim-strong", strong))
    ]
    both = float(_WEIGHTS @ (solves[0] * solves[1]))
    return np.array([both, weak - both, strong - both, 1 - weak - strong + both])


def bisect(rising: Callable[[float], float], low: float, high: float) -> float:
    """Where a rising function crosses zero."""
    for _ in range(60):  # to the last digit of a float
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < 0 else (low, middle)
    return (low + high) / 2


def maximum(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a function with one peak is highest, by golden-section search."""
    ratio = (math.sqrt(5) - 1) / 2
    for _ in range(40):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (left, high) if function(left) < function(right) else (low, right)
    return (low + high) / 2


def _hazards() -> dict[str, list[float]]:
    terminal = _read("terminal_predictor_math_train")
    shares = {name: terminal[key]["probs_dict"] for name, (_, key) in MODELS.items()}
    return {name: [float(f"{share[str(n)]:.9g}") for n in range(len(share))] for name, share in shares.items()}


def _grid(state: dict[str, Any]) -> list[list[float]]:
    grid = np.zeros((20, 20))
    for (least, newest), share in zip(state["bin_centres"], state["probs"], strict=True):
        grid[int(least * 20), int(newest * 20)] = share
    return [[float(f"{share:.6g}") for share in row] for row in grid]


def _read(name: str) -> Any:
    return json.loads(data_file(f"trim_reference/{name}.json").read_bytes())


if __name__ == "__main__":
    main()
