"""What TRIM-Thr reaches in TRIM's world in expectation, computed exactly: the world's checked twin without sampling."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from steproute.core.arrays import F64
from steproute.lab.trim_world.parameters import STRONG, WEAK, WorldParameters

_NODES: Final = 61


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """Expected accuracy, and strong-model steps (calls) and tokens per problem."""

    accuracy: float
    strong_steps: float
    strong_tokens: float


def expected_threshold(world: WorldParameters, assumption: str, bins: int) -> Expected:
    """TRIM-Thr whose threshold is the upper edge of the lowest `bins` score bins: a score in one of them is too low.

    Forward over the distribution of (on track or derailed, bin of the minimum score) at every step, for each node of a
    Gauss-Hermite quadrature over difficulty.
    """
    accuracy, weights = _difficulties(world, assumption)
    scores = _scores(world)
    keeping, replacing = _minimum_after(scores, bins), _minimum_after(scores, 0)  # (state, minimum, next minimum)
    low = scores[:, :, :bins].sum(2)  # P(regenerated | state, minimum)
    weak, strong = world.models[WEAK], world.models[STRONG]
    on_track, derailed = (np.zeros((len(weights), world.observations.shape[1])) for _ in range(2))  # (node, minimum)
    on_track[:, -1] = 1.0
    right, steps = np.zeros(len(weights)), np.zeros(len(weights))
    for place in range(1, len(weak.hazard)):
        p_w, p_s = accuracy[WEAK][:, None], accuracy[STRONG][:, None]
        good, bad = on_track * p_w, on_track * (1 - p_w)
        dropped = good * low[0] + bad * low[2]
        dropped_late = derailed * low[1]
        steps += (dropped + dropped_late).sum(1)
        ends, strong_ends = weak.hazard[place], strong.hazard[place]
        kept, repaired = good @ keeping[0], (dropped * p_s) @ replacing[0]
        right += ends * kept.sum(1) + strong_ends * repaired.sum(1)
        failed = bad @ keeping[2] + derailed @ keeping[1]
        failed_again = (dropped * (1 - p_s)) @ replacing[2] + dropped_late @ replacing[1]
        on_track = (1 - ends) * kept + (1 - strong_ends) * repaired
        derailed = (1 - ends) * failed + (1 - strong_ends) * failed_again
    mean_steps = float(weights @ steps)
    return Expected(
        accuracy=float(weights @ right), strong_steps=mean_steps, strong_tokens=mean_steps * strong.step_tokens
    )


def _difficulties(world: WorldParameters, assumption: str) -> tuple[dict[str, F64], F64]:
    """Step accuracies at each node, by model, and the nodes' weights."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    chosen = world.assumptions[assumption]
    accuracy = {name: 1 / (1 + np.exp(chosen.spread * nodes - logit)) for name, logit in chosen.logits.items()}
    return accuracy, weights / weights.sum()


def _scores(world: WorldParameters) -> F64:
    """P(score's bin | state, bin of the minimum before), (3, rows, bins)."""
    scores: F64 = world.observations / world.observations.sum(2, keepdims=True)
    return scores


def _minimum_after(scores: F64, bins: int) -> F64:
    """P(score above the lowest `bins`, new bin of the minimum | state, old bin of the minimum), (3, rows, rows)."""
    after = np.zeros_like(scores)
    for before in range(scores.shape[1]):
        for score in range(bins, scores.shape[2]):
            after[:, before, min(before, score)] += scores[:, before, score]
    return after
