"""The tables `[serve]` and `[serve.routes]`: what they become, and which field an error names."""

from pathlib import Path
from typing import Any

import pytest

from steproute.config import RouteSettings, lab_roles, read_setup
from steproute.config.gateway import GatewayRoute, ServeSettings, database_of, gateway_routes
from steproute.core.answer_rule import BOXED, NONE
from steproute.core.errors import ConfigError
from steproute.engine.limits import Limits

ROLES = lab_roles()


def routes(**tables: dict[str, Any]) -> dict[str, GatewayRoute]:
    return gateway_routes(tables, RouteSettings(), Limits(max_steps=9), ROLES)


def test_without_routes_there_are_the_default_and_each_role() -> None:
    found = routes()
    assert list(found) == ["default", "weak", "mid", "strong"]
    assert found["default"].solves == RouteSettings()
    assert found["default"].rule is BOXED
    assert (found["weak"].solves, found["weak"].passthrough) == (None, "weak")


def test_a_route_has_fields_of_its_own_of_the_limits_and_of_the_solver() -> None:
    found = routes(cheap={"policy": "threshold", "knob": 0.2, "knobs": [0.0, 0.5], "max_tokens": 99, "rule": "none"})
    cheap = found["cheap"]
    assert "default" not in found
    assert cheap.solves == RouteSettings(policy="threshold", knob=0.2)
    assert (cheap.knobs, cheap.rule) == ((0.0, 0.5), NONE)
    assert cheap.limits == Limits(max_steps=9, max_tokens=99)


def test_a_route_of_one_role_takes_the_place_of_that_role() -> None:
    found = routes(weak={"role": "strong", "max_cost_usd": 0.5})
    assert (found["weak"].passthrough, found["weak"].solves) == ("strong", None)


@pytest.mark.parametrize(
    ("table", "field"),
    [
        ({"role": "nobody"}, "role"),
        ({"passthrough": "nobody"}, "passthrough"),
        ({"role": "weak", "policy": "threshold"}, "policy"),
        ({"role": "weak", "knobs": [0, 1]}, "knobs"),
        ({"role": "weak", "auto": "rule"}, "auto"),
        ({"role": "weak", "paced": [0, 1]}, "paced"),
        ({"strategy": "single"}, "strategy"),
        ({"knobs": [0.5, 0.1]}, "knobs"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_cost_usd": "much"}, "max_cost_usd"),
        ({"auto": "rule", "strong_below": 0.95}, "strong_below"),
        ({"lookahead": 3}, "lookahead"),
    ],
)
def test_a_wrong_field_of_a_route_is_named(table: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError) as failure:
        routes(mine=table)
    assert failure.value.where == f"serve.routes.mine.{field}"


@pytest.mark.parametrize("name", ["", "a b", "steproute/a", "-a"])
def test_a_name_that_no_client_could_use_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="is no name"):
        routes(**{name: {}})


@pytest.mark.parametrize(
    ("table", "field"),
    [
        ('host = "0.0.0.0"', "serve.host"),
        ("port = 99999", "serve.port"),
        ("workers = 0", "serve.workers"),
        ("colour = 1", "serve.colour"),
        ("routes = 3", "serve.routes"),
    ],
)
def test_a_wrong_field_of_the_gateway_is_named(tmp_path: Path, table: str, field: str) -> None:
    file = tmp_path / "steproute.toml"
    file.write_text(f'[models.weak]\nbackend = "lab"\nname = "lab-weak"\n[serve]\n{table}\n')
    with pytest.raises(ConfigError) as failure:
        read_setup(file)
    assert failure.value.where == f"steproute.toml: {field}"


def test_the_database_may_be_in_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ServeSettings(database_env="LEDGER")
    with pytest.raises(ConfigError, match="LEDGER is not set"):
        database_of(settings)
    monkeypatch.setenv("LEDGER", "postgresql://db/x")
    assert database_of(settings) == "postgresql://db/x"
