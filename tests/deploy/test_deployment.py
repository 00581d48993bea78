"""The deployment files name commands, ports, paths and variables that exist, and agree with one another.

No image is built and no container started here: only what can be read is checked.
"""

import configparser
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from steproute.cli.main import app
from steproute.config import read_config, read_setup
from steproute.config.gateway import ServeSettings
from steproute.serve.gateway import served_routes

DEPLOY = Path(__file__).parents[2] / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
MANIFESTS = {path.stem: yaml.safe_load(path.read_text()) for path in sorted((DEPLOY / "kubernetes").glob("*.yaml"))}
POD = MANIFESTS["deployment"]["spec"]["template"]["spec"]
CONTAINER = POD["containers"][0]
CONFIG = "/etc/steproute/steproute.toml"
PROBES = {"/healthz", "/readyz"}
USER = 10001


def unit() -> Any:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(DEPLOY / "systemd/steproute.service")
    return parser["Service"]


def in_dockerfile(instruction: str) -> str:
    """What the last instruction of that name says."""
    return re.findall(rf"^{instruction} (.*(?:\\\n.*)*)$", DOCKERFILE, re.MULTILINE)[-1]


def config_map(tmp_path: Path) -> Path:
    file = tmp_path / "steproute.toml"
    file.write_text(MANIFESTS["configmap"]["data"]["steproute.toml"])
    return file


@pytest.mark.parametrize("place", ["compose", "kubernetes"])
def test_a_configuration_can_be_served(place: str, tmp_path: Path) -> None:
    file = DEPLOY / "steproute.toml" if place == "compose" else config_map(tmp_path)
    setup = read_setup(file)
    assert "default" in served_routes(setup)
    serve = setup.gateway.serve
    assert (serve.host, serve.port, serve.keys) == ("0.0.0.0", ServeSettings().port, True)
    assert serve.database_env == "STEPROUTE_DATABASE"


@pytest.mark.parametrize(
    "words",
    [
        [*yaml.safe_load(in_dockerfile("ENTRYPOINT")), *yaml.safe_load(in_dockerfile("CMD"))],
        ["steproute", *CONTAINER["args"]],
        ["steproute", *shlex.split(unit()["ExecStart"])[1:]],
        *(
            shlex.split(line)
            for line in re.findall(
                r"exec gateway (steproute [^#]*?)(?=\n#   docker|\n\n)",
                (DEPLOY / "compose.yaml").read_text().replace(" \\\n#    ", ""),
            )
        ),
    ],
    ids=" ".join,
)
def test_a_command_is_one_of_ours(words: list[str]) -> None:
    assert words[0] == "steproute"
    command: Any = get_command(app)
    rest = words[1:]
    while hasattr(command, "commands"):
        command, rest = command.resolve_command(command.make_context("x", [], resilient_parsing=True), rest)[1:]
    with command.make_context("x", rest) as context:
        assert str(context.params["config"]) == CONFIG


def test_every_port_is_the_gateways() -> None:
    port = ServeSettings().port
    assert in_dockerfile("EXPOSE") == str(port)
    assert f"127.0.0.1:{port}/healthz" in DOCKERFILE
    assert COMPOSE["services"]["gateway"]["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert CONTAINER["ports"] == [{"name": "http", "containerPort": port}]
    annotations = MANIFESTS["deployment"]["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(port)


def test_probes_ask_paths_that_exist() -> None:
    asked = {CONTAINER[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "liveness", "readiness")}
    assert asked == PROBES
    assert CONTAINER["livenessProbe"]["httpGet"]["path"] == "/healthz"


def test_the_configuration_is_where_the_command_reads_it() -> None:
    assert COMPOSE["services"]["gateway"]["volumes"] == [f"./steproute.toml:{CONFIG}:ro"]
    mounts = {mount["name"]: mount["mountPath"] for mount in CONTAINER["volumeMounts"]}
    assert f"{mounts['config']}/{next(iter(MANIFESTS['configmap']['data']))}" == CONFIG
    assert mounts["tmp"] == "/tmp"
    assert {volume["name"] for volume in POD["volumes"]} == mounts.keys()


def test_the_database_comes_from_a_secret() -> None:
    (variable,) = CONTAINER["env"]
    assert variable["name"] == "STEPROUTE_DATABASE"
    assert variable["valueFrom"]["secretKeyRef"]["name"] == "steproute"
    assert "secret" not in MANIFESTS
    assert "${POSTGRES_PASSWORD:?" in COMPOSE["services"]["gateway"]["environment"]["STEPROUTE_DATABASE"]


def test_nothing_runs_as_root_or_writes_to_its_image() -> None:
    assert in_dockerfile("USER") == f"{USER}:{USER}"
    gateway = COMPOSE["services"]["gateway"]
    assert (gateway["user"], gateway["read_only"], gateway["cap_drop"]) == (f"{USER}:{USER}", True, ["ALL"])
    assert POD["securityContext"]["runAsUser"] == USER
    assert POD["securityContext"]["runAsNonRoot"] is True
    security = CONTAINER["securityContext"]
    assert security["readOnlyRootFilesystem"] is True
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert unit()["DynamicUser"] == "yes"
    assert unit()["ProtectSystem"] == "strict"


def test_a_stopping_gateway_has_time_to_finish() -> None:
    drain_s = ServeSettings().drain_s
    assert float(COMPOSE["services"]["gateway"]["stop_grace_period"].removesuffix("s")) > drain_s
    pause_s = CONTAINER["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert POD["terminationGracePeriodSeconds"] > drain_s + pause_s
    assert float(unit()["TimeoutStopSec"]) > drain_s
    assert unit()["KillMode"] == "mixed"


def test_labels_select_the_pods() -> None:
    labels = MANIFESTS["deployment"]["spec"]["template"]["metadata"]["labels"]
    assert MANIFESTS["deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert MANIFESTS["service"]["spec"]["selector"] == labels
    assert MANIFESTS["poddisruptionbudget"]["spec"]["selector"]["matchLabels"] == labels
    assert MANIFESTS["service"]["spec"]["ports"][0]["targetPort"] == CONTAINER["ports"][0]["name"]


def test_the_model_servers_are_services_with_the_configured_models() -> None:
    tables = read_config(DEPLOY / "steproute.toml").tables
    for role, table in (tables["models"] | tables["scorers"]).items():
        assert table["base_url"] == f"http://{role}:8000/v1"
        assert COMPOSE["services"][role]["command"][0] == table["model"]


def test_the_image_holds_what_the_package_is_built_from() -> None:
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
    for name in " ".join(copied).split():
        assert f"!{name}" in ignored
        assert (DEPLOY.parent / name).exists()
