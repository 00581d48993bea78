"""Why problems failed, counted by reason."""

from dataclasses import replace

import pytest
from tests.evaluation.graded import graded, problems, series, sweep

from steproute.core.errors import DatasetError
from steproute.core.trace import Trace
from steproute.evaluation.failures import failure_groups, normal_form
from steproute.evaluation.judged_runs import JudgedRuns
from steproute.evaluation.summarise import summarise

SAME = [
    ("Error code: 429 - 3 ahead", "Error code: 429 - 12 ahead"),
    ("qwen: status 503: try again in 7.5 s", "qwen: status 503: try again in 12 s"),
    ("http://127.0.0.1:4343/v1 refused", "https://gpu-7.example.org:80/v1 refused"),
    ("cannot reach 10.0.0.3:8000", "cannot reach 10.0.0.17:8001"),
    ("cannot reach gpu-a.local:8000", "cannot reach gpu-b.local:8000"),
    ("failed (request req_011CSHoEeqs5C35K2UUqR7Fy)", "failed (request req_9h2KdA77Qx)"),
    ("call 8c1de2a0-51e1-4d0e-9f0a-5f6f0b0c7d11 lost", "call 11aa22bb-0000-4444-9999-abcdefabcdef lost"),
    ("'A' is not in the lab's vocabulary", "'Natalia' is not in the lab's vocabulary"),
    ('step 3 says "so x = 2"', 'step 11 says "it\'s 5"'),
]
OTHER = [
    ("qwen: status 401: no", "qwen: status 403: no"),
    ("qwen: status 503, request 4", "qwen: status 502, request 4"),
    ("Error code: 400 - try 1", "Error code: 429 - try 1"),
    ("Status 500", "Status 501"),
    ("qwen: no answer in time", "qwen: the stream broke off"),
    ("weak-model: down", "strong-model: down"),
    ("'A' is not in the lab's vocabulary", "'A' is not in the world's vocabulary"),
    ("half a character", "half a sentence"),
]


@pytest.mark.parametrize(("first", "second"), SAME)
def test_numbers_ids_addresses_and_quoted_texts_make_no_other_reason(first: str, second: str) -> None:
    assert normal_form(first) == normal_form(second)


@pytest.mark.parametrize(("first", "second"), OTHER)
def test_other_words_are_another_reason(first: str, second: str) -> None:
    assert normal_form(first) != normal_form(second)


def failed(route: str, problem: str, error: str | None, role: str | None = None, seed: int = 0) -> Trace:
    return replace(graded(route, problem, None, seed=seed), error=error, at_fault=role)


def test_failure_reasons_are_sorted_by_frequency() -> None:
    traces = [
        failed("r", "p1", "TimeoutError: no answer in 3 s", "strong"),
        graded("r", "p2", True),
        failed("r", "p3", "status 503: busy, 4 ahead", "prm", seed=2),
        failed("s", "p4", "status 503: busy, 17 ahead", "prm"),
        failed("s", "p5", "status 503: busy, 17 ahead", "weak"),
        failed("s", "p6", None),
    ]
    groups = failure_groups(traces)
    assert [(group.count, group.role) for group in groups] == [(2, "prm"), (1, "strong"), (1, "weak"), (1, "")]
    assert (groups[0].problem, groups[0].route, groups[0].seed) == ("p3", "r", 2)
    assert str(groups[0]) == "2 × prm: status 503: busy, 4 ahead. First: problem 'p3', r, seed 2."
    assert str(groups[3]) == "1 × failed. First: problem 'p6', s, seed 0."


SWEEP = sweep(series("threshold", (0.5,)))


def test_every_trace_without_a_verdict_is_in_a_group() -> None:
    names = [route.name for route in SWEEP.routes]
    traces = [graded(name, f"p{index}", index % 2 == 0) for name in names for index in range(4)]
    traces[1] = failed(names[0], "p1", "down", "weak")
    traces[2] = replace(traces[2], verdict=None)
    summary = summarise("n", "d", SWEEP, problems(4), traces, seed=0)
    assert summary.problems == 2
    assert summary.failed == sum(group.count for group in summary.failures) == 2
    assert {group.reason for group in summary.failures} == {"down.", "it has no gold answer."}


def test_if_nothing_was_judged_the_error_gives_the_reasons() -> None:
    traces = [
        failed(route.name, f"p{index}", f"ConnectError: refused, try {index}", "weak")
        for route in SWEEP.routes
        for index in range(2)
    ]
    with pytest.raises(DatasetError, match=r"no problem was judged in every route. Failed:\n  6 × weak: ConnectError"):
        JudgedRuns(SWEEP, problems(2), traces)
