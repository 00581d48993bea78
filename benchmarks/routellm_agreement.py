"""APGR by RouteLLM's formula and by ours, on real GPT-4 and Mixtral-8x7B answers to GSM8K and on a router over them.

RouteLLM (arXiv 2406.18665) sweeps the share of calls that go to strong in ten steps; its code takes the trapezoid rule
over them, its paper the mean of the ten. Needs the data folder (STEPROUTE_DATA).
"""

import json
from collections.abc import Mapping

import numpy as np

from steproute.evaluation.bootstrap import Outcomes, curve_of
from steproute.evaluation.calibrate import halves
from steproute.evaluation.datasets import data_file, read_rows
from steproute.evaluation.metrics import apgr
from steproute.learn.query_fit import fit_classifier, fit_similarity

_WEAK, _STRONG = "mistralai/Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview"
_TENTHS = np.arange(11) / 10


def main() -> None:
    rows = [row for _, row in read_rows(data_file("routing/routellm_gsm8k.jsonl.gz"))]
    texts = [str(row["problem"]) for row in rows]
    weak, strong = (np.array([is_correct(row, name) for row in rows]) for name in (_WEAK, _STRONG))
    fitting, measuring = halves([str(row["id"]) for row in rows])
    chosen = [texts[i] for i in fitting]
    routers = {
        "similarity": fit_similarity(chosen, weak[fitting].tolist()).predictor.probability,
        "classifier": fit_classifier(chosen, weak[fitting].tolist(), 0).predictor.probability,
        "oracle": dict(zip(texts, (weak | ~strong).astype(float), strict=True)).__getitem__,
    }
    found: dict[str, float | dict[str, float]] = {
        "problems": len(measuring),
        "weak": float(weak[measuring].mean()),
        "strong": float(strong[measuring].mean()),
    }
    for name, router in routers.items():
        order = np.argsort([router(texts[i]) for i in measuring], kind="stable")
        found[name] = agreement(weak[measuring][order], strong[measuring][order])
    print(json.dumps(found, indent=2))


def is_correct(row: Mapping[str, object], model: str) -> bool:
    """Whether a model's answer is."""
    models = row["models"]
    assert isinstance(models, dict)
    return bool(models[model]["correct"])


def agreement(weak: np.ndarray, strong: np.ndarray) -> dict[str, float]:
    """APGR three ways; weak, strong: right or not, the problems that go to strong first."""
    counts = np.round(_TENTHS * len(weak)).astype(int)
    accuracy = np.array([np.concatenate([strong[:k], weak[k:]]).mean() for k in counts])
    share = counts / len(weak)
    recovered = (accuracy - weak.mean()) / (strong.mean() - weak.mean())
    to_strong = np.arange(len(weak)) < counts[:, None]
    swept = Outcomes(correct=np.where(to_strong, strong, weak), cost=to_strong.astype(float))
    ends = [Outcomes(correct=right, cost=np.full(len(weak), spent)) for right, spent in ((weak, 0.0), (strong, 1.0))]
    return {
        "routellm_code_trapezoid": float(np.trapezoid(recovered, share)),
        "routellm_paper_mean_of_ten": float(recovered[1:].mean()),
        "steproute": apgr(curve_of(_TENTHS.tolist(), swept, *ends)),
    }


if __name__ == "__main__":
    main()
