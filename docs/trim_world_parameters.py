"""Write src/steproute/lab/trim_world/parameters.json from the data folder: the parameters of `--data trim-world`."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from steproute.bench.datasets import data_file
from steproute.bench.recordings import load_recorded

F64 = NDArray[np.float64]
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

    def logit(self, accuracy: float, spread: float) -> float:
        """The logit at which always this model is right on a share `accuracy` of the problems."""
        return bisect(lambda logit: float(_WEIGHTS @ self.answers(logit, spread)) - accuracy, -20.0, 40.0)


def main() -> None:
    """Write the file."""
    PARAMETERS.write_text(json.dumps(document(), separators=(",", ":")) + "\n")


def document() -> dict[str, Any]:
    """Everything in the file."""
    transitions, terminal = _read("transition_params_math_train"), _read("terminal_predictor_math_train")
    curves = _read("published_curves")
    rows = curves[THRESHOLD]
    hazards = {name: _hazard(terminal[key]["probs_dict"]) for name, (_, key) in MODELS.items()}
    lengths = {name: Lengths.of(hazard) for name, hazard in hazards.items()}
    accuracies = {name: transitions[key]["per_step_accuracy"] for name, (key, _) in MODELS.items()}
    anchors = {"trim-weak": rows[0]["accuracy"], "trim-strong": rows[-1]["accuracy"]}
    tokens = {
        "trim-weak": rows[0]["avg_draft_tokens_per_question"] / lengths["trim-weak"].mean,
        "trim-strong": rows[-1]["avg_target_tokens_per_question"] / rows[-1]["avg_target_calls_per_question"],
    }
    spread = shared_spread(lengths)
    return {
        "source": SOURCE,
        "models": {
            name: {"step_accuracy": accuracies[name], "step_tokens": round(tokens[name], 3), "hazard": hazards[name]}
            for name in MODELS
        },
        "token_spread": TOKEN_SPREAD,
        "prompt_tokens": PROMPT_TOKENS,
        "assumptions": {
            "published": {"spread": 0.0, "logits": {n: math.log(p / (1 - p)) for n, p in accuracies.items()}},
            "anchored": {"spread": 0.0, "logits": {n: lengths[n].logit(a, 0.0) for n, a in anchors.items()}},
            "spread": {"spread": spread, "logits": {n: lengths[n].logit(a, spread) for n, a in anchors.items()}},
        },
        "observations": [_grid(_read("obs_distribution_math_train_bin0.05")["states"][str(s)]) for s in range(3)],
        "curves": {
            name: [[p[knob], p["accuracy"], p["avg_target_tokens_per_question"]] for p in curves[curve]]
            for name, (curve, knob) in CURVES.items()
        },
    }


def shared_spread(lengths: dict[str, Lengths], pairs: Sequence[str] = PAIRS) -> float:
    """The spread of difficulty at which which problems the two models of recorded pairs solve is most likely.

    Only whole solutions by the weak and by the strong model are looked at, no routing. The lengths are TRIM's.
    """
    tables = [solved(pair) for pair in pairs]

    def fit(spread: float) -> float:
        return sum(float(table @ np.log(_cells(table, spread, lengths))) for table in tables)

    return round(maximum(fit, 0.05, 6.0), 3)


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
    for _ in range(100):
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


def _hazard(by_step: dict[str, float]) -> list[float]:
    return [float(f"{by_step[str(step)]:.9g}") for step in range(len(by_step))]


def _grid(state: dict[str, Any]) -> list[list[float]]:
    grid = np.zeros((20, 20))
    for (least, newest), share in zip(state["bin_centres"], state["probs"], strict=True):
        grid[int(least * 20), int(newest * 20)] = share
    return [[float(f"{share:.6g}") for share in row] for row in grid]


def _read(name: str) -> Any:
    return json.loads(data_file(f"trim_reference/{name}.json").read_bytes())


if __name__ == "__main__":
    main()
