"""A small summary with round numbers."""

from dataclasses import replace

from steproute.evaluation.contents import Contents
from steproute.evaluation.failures import FailureGroup
from steproute.evaluation.metrics import METRICS
from steproute.evaluation.operating_points import OperatingPoint
from steproute.evaluation.summary import Lead, Point, SeriesSummary, Summary

POINT = Point(
    knob=0.5,
    accuracy=0.7,
    accuracy_ci95=(0.65, 0.75),
    strong_tokens=20.0,
    strong_share=0.25,
    weak_tokens=70.0,
    discarded_tokens=15.0,
    prm_tokens=400.0,
    cost_usd=0.000123,
    calls=12.0,
    latency_s=0.5,
    outcomes={"answered": 9, "max_steps": 1},
)
METRIC_VALUES = dict.fromkeys(METRICS, 0.3) | {f"{name}_ci95": (0.2, 0.4) for name in METRICS}
REACHED = [
    OperatingPoint(
        gap_recovered=share,
        accuracy=0.5 + 0.4 * share,
        strong_tokens=share - 0.5,
        strong_tokens_ci95=(share - 0.6, share - 0.4),
        cost_usd=share - 0.2,
        cost_usd_ci95=(share - 0.3, share - 0.1),
        latency=share - 0.1,
        latency_ci95=(share - 0.2, share),
    )
    for share in (0.8, 0.9, 0.95)
]
NEVER = replace(
    REACHED[2],
    strong_tokens=None,
    strong_tokens_ci95=(0.4, None),
    cost_usd=None,
    cost_usd_ci95=(0.6, None),
    latency=None,
)

SUMMARY = Summary(
    name="hand-made",
    data="lab:test",
    policy="threshold",
    seed=0,
    problems=10,
    failed=1,
    undecided=2,
    weak=replace(POINT, knob=None, accuracy=0.5, strong_tokens=0.0, strong_share=0.0, cost_usd=0.00005),
    strong=replace(POINT, knob=None, accuracy=0.9, strong_tokens=80.0, strong_share=1.0, cost_usd=0.000246),
    points=[POINT, replace(POINT, knob=0.9, accuracy=0.88, strong_tokens=60.0, strong_share=0.75, cost_usd=0.0002)],
    metrics=METRIC_VALUES,
    metrics_usd=METRIC_VALUES,
    metrics_note="",
    baselines=[
        SeriesSummary(
            name="oracle",
            points=[replace(POINT, knob=1.0, accuracy=0.92)],
            metrics=METRIC_VALUES,
            operating_points=REACHED,
        )
    ],
    leads=[Lead(baseline="oracle", c=0.1, accuracy=0.6, baseline_accuracy=0.65, lead_ci95=(-0.08, -0.02))],
    spent_usd=0.5,
    interrupted_usd=0.01,
    settings={"route": {"strategy": "stepwise"}},
    operating_points=REACHED,
    contents=Contents(
        problems=11,
        seeds=[0],
        routes=[
            "single/weak",
            "single/strong",
            "stepwise/threshold=0.5",
            "stepwise/threshold=0.9",
            "stepwise/oracle=1",
        ],
        new_traces=15,
        earlier_traces=40,
        new_usd=0.1,
        earlier_usd=0.4,
    ),
    failures=[
        FailureGroup(
            count=1,
            role="prm",
            reason="BackendUnavailable: prm-7b: status 503: <busy>, request 12.",
            problem="p",
            route="stepwise/threshold=0.5",
            seed=0,
        )
    ],
)
UNREACHED = replace(
    SUMMARY,
    metrics=METRIC_VALUES | {"cpt95": None, "cpt95_ci95": (0.4, None)},
    operating_points=[*REACHED[:2], NEVER],
)
