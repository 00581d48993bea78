"""The OpenAPI document is valid, names every path, and describes what the gateway answers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from starlette.routing import Route
from tests.serve.running import PROBLEM, RunningGateway

from steproute.serve.app import application
from steproute.serve.openapi import document
from steproute.serve.run import gateway_setup

TURNS = [{"role": "user", "content": PROBLEM}]
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"model": "default", "messages": TURNS},
    "/v1/completions": {"model": "default", "prompt": PROBLEM},
    "/v1/responses": {"model": "default", "input": PROBLEM},
    "/v1/messages": {"model": "default", "messages": TURNS, "max_tokens": 500},
    "/v1/simulate": {"model": "default", "messages": TURNS},
}
PATHS = document(keys=False)["paths"]


@pytest.mark.parametrize("keys", [False, True])
def test_the_document_is_valid(keys: bool) -> None:
    validate(document(keys=keys))


def test_it_names_every_path_of_the_application(tmp_path: Path) -> None:
    routes = application(gateway_setup(None, {}), f"sqlite:///{tmp_path / 'x.db'}").routes
    paths = {
        (route.path.replace(":path", ""), *route.methods - {"HEAD"}) for route in routes if isinstance(route, Route)
    }
    assert {(path, *(method.upper() for method in methods)) for path, methods in PATHS.items()} == paths


def calls() -> Iterator[tuple[str, str]]:
    for path, methods in PATHS.items():
        for method in methods:
            yield method, path.replace("{name}", "default")


@pytest.mark.parametrize(("method", "path"), [call for call in calls() if call[1] != "/metrics"])
def test_answers_and_errors_are_as_it_describes_them(lab_gateway: RunningGateway, method: str, path: str) -> None:
    described = httpx2.get(f"{lab_gateway.url}/openapi.json").json()
    operation = described["paths"][path.replace("/default", "/{name}")][method]

    def check(body: dict[str, Any] | None, status: int) -> None:
        answer = httpx2.request(method, lab_gateway.url + path, json=body, timeout=60)
        schema = operation["responses"][str(status)]["content"]["application/json"]["schema"]
        Draft202012Validator({**schema, "components": described["components"]}).validate(answer.json())
        assert answer.status_code == status

    check(BODIES.get(path), 404 if "/traces/" in path else 200)
    if path in BODIES:
        request = operation["requestBody"]["content"]["application/json"]["schema"]
        Draft202012Validator({**request, "components": described["components"]}).validate(BODIES[path])
        check({**BODIES[path], "model": "nothing"}, 404)
