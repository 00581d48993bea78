"""The dashboard queries metrics and labels that the gateway has."""

import json
import re
from pathlib import Path

import pytest
from prometheus_client.core import CounterMetricFamily

from steproute.serve.ledger_metrics import _left, _orphans, _up
from steproute.serve.metrics import Metrics

BOARD = json.loads((Path(__file__).parents[2] / "deploy/grafana/steproute.json").read_text())
PANELS = BOARD["panels"]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]]
VARIABLES = {each["name"] for each in BOARD["templating"]["list"]}


def metrics() -> dict[str, set[str]]:
    """The names that Prometheus stores, with their labels."""
    found: dict[str, set[str]] = {}
    for metric in vars(Metrics()).values():
        for family in metric.describe() if hasattr(metric, "_labelnames") else ():
            ending = {"counter": "_total", "histogram": "_bucket"}.get(family.type, "")
            found[family.name + ending] = {*metric._labelnames, *(["le"] if ending == "_bucket" else [])}
    for family in (*_left([]), _orphans(0), _up(1)):  # type: ignore[arg-type]
        ending = "_total" if isinstance(family, CounterMetricFamily) else ""
        found[family.name + ending] = set(family._labelnames)
    return found


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_asks_for_metrics_and_labels_that_exist(query: str) -> None:
    there = metrics()
    named = set(re.findall(r"steproute_\w+", query))
    assert named
    assert named <= there.keys()
    labels = set(re.findall(r"(\w+)[!=]~?\"", query))
    labels |= {name for group in re.findall(r"by \(([\w, ]+)\)", query) for name in group.split(", ")}
    assert labels <= set.union(*(there[name] for name in named))


def test_every_metric_is_on_the_dashboard() -> None:
    assert metrics().keys() == set(re.findall(r"steproute_\w+", " ".join(QUERIES)))


def test_legends_and_variables_exist() -> None:
    for panel in PANELS:
        for target in panel["targets"]:
            grouped = set(re.findall(r"by \(([\w, ]+)\)", target["expr"])[-1:] or [""])
            assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= set(", ".join(grouped).split(", "))
    used = set(re.findall(r"\$(?!__)\{?(\w+)", json.dumps(BOARD)))
    assert used <= VARIABLES


def test_panels_do_not_overlap() -> None:
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in PANELS)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
