"""The gateway as a process, or as several behind one port."""

import os
import signal
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import msgspec
import uvicorn
from starlette.applications import Starlette
from uvicorn.config import STARTUP_FAILURE

from steproute.config import Setup, read_setup
from steproute.config.gateway import ServeSettings, database_of
from steproute.serve.app import application
from steproute.serve.connection import LimitedConnection
from steproute.serve.logs import log_to_stderr
from steproute.serve.metrics import SHARED_FOLDER
from steproute.serve.workers import run_workers
from steproute.solving import LAB_ROUTE

_VARIABLE: Final = "STEPROUTE_SERVE"
_SLACK_S: Final = 5.0
"""What the server allows beyond `drain_s`, by which the gateway itself has ended all requests."""
_KEEP_ALIVE_S: Final = 75
"""Longer than clients keep idle connections (httpx 5 s, proxies 60 s), so that they never send into a closing one."""
_HUNG_S: Final = 30
"""A worker that does not say for so long that it runs is replaced; on a busy machine a start takes a while."""


def gateway_setup(config: Path | None, options: dict[str, Any]) -> Setup:
    """The configuration with options in the place of fields of `[serve]`. Raises ConfigError that names the field."""
    setup = read_setup(config)
    serve = replace(setup.gateway.serve, **options)
    setup = replace(setup, gateway=replace(setup.gateway, serve=serve))
    return setup if config is not None else replace(setup, route=LAB_ROUTE)


def run(config: Path | None, options: dict[str, Any], serve: ServeSettings) -> None:
    """Serve until a signal comes. Exits with 0 then, and with 3 if the gateway cannot start."""
    log_to_stderr(with_texts=serve.keep_texts)
    os.environ[_VARIABLE] = msgspec.json.encode([None if config is None else str(config), options]).decode()
    server = uvicorn.Config(
        "steproute.serve.run:worker",
        factory=True,
        http=LimitedConnection,
        host=serve.host,
        port=serve.port,
        workers=serve.workers,
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=round(_SLACK_S),
        timeout_worker_healthcheck=_HUNG_S,
        lifespan="on",
    )
    if serve.workers > 1:
        with TemporaryDirectory(prefix="steproute-metrics-") as folder:
            os.environ.setdefault(SHARED_FOLDER, folder)
            return run_workers(server)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit())  # the server raises it again when it has stopped
    with suppress(KeyboardInterrupt):
        running = uvicorn.Server(server)
        running.run()
        if not running.started:
            sys.exit(STARTUP_FAILURE)


def worker() -> Starlette:
    """The application of one process; what it serves is in the environment."""
    log_to_stderr()
    config, options = msgspec.json.decode(os.environ[_VARIABLE], type=tuple[str | None, dict[str, Any]])
    setup = gateway_setup(None if config is None else Path(config), options)
    log_to_stderr(with_texts=setup.gateway.serve.keep_texts)
    return application(setup, database_of(setup.gateway.serve))
