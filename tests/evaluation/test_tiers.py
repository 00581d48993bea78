"""TwinRouterBench's scorer: the numbers that were measured once by its own rules, and the rules one by one."""

import gzip
import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from steproute.core.errors import DatasetError
from steproute.evaluation.datasets import data_folder
from steproute.evaluation.tier_rows import read_rows
from steproute.evaluation.tiers import HIGH, LOW, MID, TierRow, by_workload, run_cost, score_tiers
from steproute.learn.tier_router import folds_by_instance, out_of_fold_tiers

STEPS = data_folder() / "twinrouterbench/steps.jsonl.gz"
ROUTERS = {
    "low": lambda rows: [LOW] * len(rows),
    "high": lambda rows: [HIGH] * len(rows),
    "gold": lambda rows: [row.gold for row in rows],
    "workload": by_workload,
}


def row(step: int, gold: int = HIGH, **fields: object) -> TierRow:
    own = {"id": f"{step}", "workload": "swebench", "instance": "a", "prompt_tokens": 1000 * step, "output_tokens": 100}
    return TierRow(**{**own, "step": step, "gold": gold, **fields})  # type: ignore[arg-type]


@pytest.mark.skipif(not STEPS.exists(), reason="needs the part of TwinRouterBench in the data folder")
@pytest.mark.parametrize(
    ("split", "router", "expected"),
    [
        ("holdout", "low", (55.2, 55.2, 51.3, 47.8, 52.4)),
        ("holdout", "high", (100, 28.6, 100, 0, 57.1)),
        ("holdout", "gold", (100, 100, 100, 61.4, 90.3)),
        ("holdout", "workload", (93.5, 77.3, 92.9, 48.1, 77.9)),
        ("", "workload", (93.8, 77.5, 92.4, 47.3, 77.7)),
    ],
)
def test_the_scorer_gives_the_measured_numbers(split: str, router: str, expected: tuple[float, ...]) -> None:
    rows, estimated = read_rows(STEPS, split)
    scores = score_tiers(rows, ROUTERS[router](rows), 100, np.random.default_rng(0))
    assert not estimated
    assert [100 * value for value in scores.values.values()] == pytest.approx(expected, abs=0.1)


def test_a_cache_is_read_until_the_tier_changes_or_three_steps_have_passed() -> None:
    write, read, out = 6.25e-6, 0.5e-6, 25e-6
    both = [row(1), row(2)]
    assert run_cost(both, [HIGH, HIGH]) == pytest.approx(1000 * write + 1000 * read + 1000 * write + 200 * out)
    assert run_cost(both, [LOW, HIGH]) == pytest.approx(1000 * 0.26e-6 + 100 * 0.5e-6 + 2000 * write + 100 * out)
    cold = pytest.approx(1000 * write + 5000 * write + 200 * out)
    assert run_cost([row(1), row(5)], [HIGH, HIGH]) == cold
    assert run_cost([row(1), row(4)], [HIGH, HIGH]) < run_cost([row(1), row(4, follows=False)], [HIGH, HIGH])


def test_a_run_with_one_insufficient_tier_is_paid_beside_an_always_high_one() -> None:
    rows = [row(1, MID), row(2, HIGH), row(1, LOW, instance="b")]
    tiers = [LOW, HIGH, LOW]
    scores = score_tiers(rows, tiers, 100, np.random.default_rng(0)).values
    failed, high = run_cost(rows[:2], tiers[:2]), run_cost(rows[:2], [HIGH, HIGH])
    passed, alone = run_cost(rows[2:], [LOW]), run_cost(rows[2:], [HIGH])
    assert (scores["pass"], scores["trajectory"]) == (pytest.approx(2 / 3), pytest.approx(1 / 3))
    assert scores["cost"] == pytest.approx((alone - passed - failed) / (high + alone))


def test_an_interval_of_one_run_alone_has_no_width() -> None:
    scores = score_tiers([row(1), row(2)], [HIGH, HIGH], 100, np.random.default_rng(0))
    assert scores.intervals["pass"].ends == (1.0, 1.0)


def test_released_rows_are_read_with_estimated_tokens(tmp_path: Path) -> None:
    task, step, result = (
        {"role": "user", "content": "f" * 400},
        {"role": "assistant", "content": [{"type": "text", "text": "a" * 80}], "tool_calls": [{"id": "c"}]},
        {"role": "tool", "content": "r" * 40, "tool_call_id": "c"},
    )
    common = {"benchmark": "swebench", "instance_id": "i", "target_tier": "high", "total_steps": 2}
    rows = [
        {**common, "id": "i_1", "step_index": 1, "messages": [task]},
        {**common, "id": "i_2", "step_index": 2, "messages": [task, step, result]},
    ]
    path = tmp_path / "question_bank.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    (first, second), estimated = read_rows(path)
    assert estimated
    assert (first.prompt_tokens, second.prompt_tokens - first.prompt_tokens) == (106, 41)
    assert first.output_tokens == second.output_tokens == 23
    assert (first.follows, second.follows, second.gold) == (True, True, HIGH)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it holds no rows"),
        ("{", "line 1"),
        ('{"id": "a"}', "line 1.*'last_role' is missing"),
        ('{"id": "a", "messages": [{"role": "user", "content": "x"}], "step_index": 1}', "'benchmark' is missing"),
    ],
)
def test_rows_that_cannot_be_read_are_named(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(text)
    with pytest.raises(DatasetError, match=message):
        read_rows(path)


def test_no_instance_is_in_two_folds() -> None:
    instances = [f"{number // 3}" for number in range(120)]
    folds = folds_by_instance(instances)
    assert sorted(place for fold in folds for place in fold) == list(range(120))
    names = [{instances[place] for place in fold} for fold in folds]
    assert not any(one & other for one, other in combinations(names, 2))
    with pytest.raises(DatasetError, match="1 instances make no 10 folds"):
        folds_by_instance(["a", "a"])


def test_the_router_learns_what_the_tail_says() -> None:
    instances = [f"{number // 3}" for number in range(120)]
    features = np.random.default_rng(0).normal(size=(120, 2))
    gold = [HIGH if value > 0 else LOW for value in features[:, 0]]
    tiers = out_of_fold_tiers(features, gold, instances)
    assert np.mean([tier == want for tier, want in zip(tiers, gold, strict=True)]) > 0.9
