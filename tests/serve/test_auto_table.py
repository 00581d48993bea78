"""A gateway route that chooses among routes by a trained table, over the lab's models."""

import asyncio
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from tests.serve.running import PROBLEM, RunningGateway, gateway

from steproute.config import read_config, read_setup
from steproute.core.errors import ArtifactError, ConfigError
from steproute.doctor import Severity, examine
from steproute.policies.query import TfIdf
from steproute.policies.route_table_file import write_table
from steproute.policies.routes import Readout, RouteFamily, RoutePredictor, SeparateTable
from steproute.serve.gateway import served_routes

ROUTES = """
[serve.routes.auto]
strategy = "routed"
policy = "{table}"
knob = 0.8
knobs = [0.0, 1.0]
auto = "{table}"
"""
CHEAP, STEPS, DEAR = "single/weak", "stepwise/threshold=0.4", "single/strong"
"""In the order of their costs."""


def table(*routes: str) -> RouteFamily:
    """Coins are easy for every route, toys for all but the cheapest one, and stamps for the last one alone."""
    words = TfIdf(("coins", "stamps", "toys"), np.ones(3))
    easy = {CHEAP: (4, -4, -4), STEPS: (4, -4, 4), DEAR: (4, 4, 4)}
    predictors = []
    for route, usd in zip(routes, (0.01, 0.04, 0.1), strict=False):
        weights = np.zeros((4, 5))
        weights[0, :3], weights[1, -1] = easy.get(route, (0, 0, 0)), np.log(usd)
        ends = Readout(
            route=route,
            logits=np.array([-4.0, 4.0]),
            chances=np.array([0.05, 0.95]),
            smearing=np.array([1.0, 1.0, 1.0]),
        )
        predictors.append(RoutePredictor(readout=ends, weights=weights))
    return RouteFamily(SeparateTable(words, tuple(predictors)), unit=0.1)


def configured(folder: Path, routes: str = ROUTES, *, family: RouteFamily | None = None, digest: str = "") -> Path:
    """A file with the lab's models, and a table beside it. digest: of the models that the table says it is of."""
    lab = files("steproute.cli").joinpath("templates", "lab.toml").read_text()
    path = folder / "steproute.toml"
    path.write_text(lab + routes.format(table=folder / "table"))
    write_table(
        family or table(CHEAP, STEPS, DEAR), {"config_digest": digest or read_config(path).digest}, folder / "table"
    )
    return path


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    folder = tmp_path_factory.mktemp("table")
    with gateway(folder, "--config", str(configured(folder))) as started:
        yield started


def explained(running: RunningGateway, text: str, **overrides: object) -> tuple[dict[str, str], list[str]]:
    """What an answer says of its choice, and the notes of its trace."""
    reply = running.client().chat.completions.create(
        model="steproute/auto", messages=[{"role": "user", "content": text}], extra_body={"steproute": overrides}
    )
    facts = reply.model_extra["steproute"]
    return facts, running.get(f"/v1/traces/{facts['trace_id']}").json()["trace"]["notes"]


@pytest.mark.parametrize(
    ("things", "choice", "route", "roles"),
    [
        ("coins", "weak", CHEAP, {"weak"}),
        ("toys", "steps", STEPS, {"weak", "strong", "prm"}),
        ("stamps", "passthrough", DEAR, {"strong"}),
    ],
)
def test_an_answer_and_its_trace_say_which_route_was_worth_most(
    running: RunningGateway, things: str, choice: str, route: str, roles: set[str]
) -> None:
    facts, notes = explained(running, PROBLEM.replace("coins", things))
    reason = f"{route} is worth most: correct with a predicted chance of 0.95, for $"
    assert (facts["choice"], facts["route"]) == (choice, "auto")
    assert facts["reason"].startswith(reason)
    assert notes[0] == facts["reason"]
    assert (f"route {route}" in notes) == (choice == "steps")
    assert set(facts["usage_by_role"]) <= roles
    assert facts["answer"] or choice != "steps"


def test_the_weight_of_a_request_changes_the_choice(running: RunningGateway) -> None:
    stamps = PROBLEM.replace("coins", "stamps")
    assert explained(running, stamps, knob=0.0)[0]["choice"] == "weak"
    assert explained(running, stamps, knob=1.0)[0]["choice"] == "passthrough"


def test_a_table_that_does_not_solve_its_route_is_refused(tmp_path: Path) -> None:
    path = configured(tmp_path, ROUTES.replace('strategy = "routed"\npolicy = "{table}"', 'policy = "threshold"'))
    with pytest.raises(ConfigError, match="is a route table, and the route is not solved by it") as failure:
        served_routes(read_setup(path))
    assert failure.value.where == "serve.routes.auto.auto"


def test_a_damaged_table_is_refused(tmp_path: Path) -> None:
    path = configured(tmp_path)
    next((tmp_path / "table" / "parts").glob("*/policy.safetensors")).write_bytes(b"")
    with pytest.raises(ArtifactError, match="truncated"):
        served_routes(read_setup(path))


@pytest.mark.parametrize(
    ("routes", "digest", "check", "severity", "text"),
    [
        ((CHEAP, STEPS, DEAR), "", "route table", Severity.OK, f"chooses among {DEAR}, {CHEAP}, {STEPS}"),
        ((CHEAP, DEAR), "of others", "route table", Severity.WARNING, "other models or scorers"),
        ((CHEAP, "single/mid"), "", "route", Severity.FAILED, "asks the model 'mid'"),
    ],
)
def test_doctor_says_what_a_table_chooses_among(
    tmp_path: Path, routes: tuple[str, ...], digest: str, check: str, severity: Severity, text: str
) -> None:
    path = configured(tmp_path, family=table(*routes), digest=digest)
    found = {(each.backend, each.check): each for each in asyncio.run(examine(read_config(path)))}
    finding = found["serve.routes.auto", check]
    assert finding.severity is severity
    assert text in finding.seen
