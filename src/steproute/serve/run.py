"""The gateway as a process, or as several behind one port."""

import os
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import msgspec
import uvicorn
from starlette.applications import Starlette

from steproute.config import Setup, read_setup
from steproute.config.gateway import ServeSettings, database_of
from steproute.serve.app import application
from steproute.serve.logs import log_to_stderr
from steproute.serve.metrics import SHARED_FOLDER
from steproute.solving import LAB_ROUTE

_VARIABLE: Final = "STEPROUTE_SERVE"
_SLACK_S: Final = 5.0
"""What the server allows beyond `drain_s`, by which the gateway itself has ended all requests."""


def gateway_setup(config: Path | None, options: dict[str, Any]) -> Setup:
    """The configuration with options in the place of fields of `[serve]`. Raises ConfigError that names the field."""
    setup = read_setup(config)
    serve = replace(setup.gateway.serve, **options)
    setup = replace(setup, gateway=replace(setup.gateway, serve=serve))
    return setup if config is not None else replace(setup, route=LAB_ROUTE)


def run(config: Path | None, options: dict[str, Any], serve: ServeSettings) -> None:
    """Serve until a signal comes."""
    log_to_stderr()
    os.environ[_VARIABLE] = msgspec.json.encode([None if config is None else str(config), options]).decode()
    with TemporaryDirectory(prefix="steproute-metrics-") as folder:
        if serve.workers > 1:
            os.environ.setdefault(SHARED_FOLDER, folder)
        uvicorn.run(
            "steproute.serve.run:worker",
            factory=True,
            host=serve.host,
            port=serve.port,
            workers=serve.workers,
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=round(serve.drain_s + _SLACK_S),
            lifespan="on",
        )


def worker() -> Starlette:
    """The application of one process; what it serves is in the environment."""
    log_to_stderr()
    config, options = msgspec.json.decode(os.environ[_VARIABLE], type=tuple[str | None, dict[str, Any]])
    setup = gateway_setup(None if config is None else Path(config), options)
    return application(setup, database_of(setup.gateway.serve))
