"""`steproute serve`: the gateway."""

from typing import Annotated, Any

import typer

from steproute.cli.gateway_store import missing_package
from steproute.cli.options import Config
from steproute.cli.terminal import Terminal
from steproute.config.gateway import database_of


def serve(
    config: Config = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on. Default: 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on. Default: 8700.")] = None,
    workers: Annotated[int | None, typer.Option(help="Number of processes behind the port. Default: 1.")] = None,
    database: Annotated[
        str | None,
        typer.Option(help="The ledger: sqlite:///FILE or postgresql://…. Default: sqlite:///steproute.db."),
    ] = None,
    keys: Annotated[bool | None, typer.Option("--keys/--no-keys", help="Whether requests need an API key.")] = None,
) -> None:
    """Run the OpenAI-compatible gateway. Any OpenAI client talks to it; each route is a model.

    Options take the place of fields of [serve]. Without --config it serves the bundled lab.

    Example: steproute serve --port 8700
    """
    try:
        from steproute.serve.gateway import served_routes
        from steproute.serve.run import gateway_setup, run
    except ModuleNotFoundError as missing:
        raise missing_package(missing.name) from None
    given = {"host": host, "port": port, "workers": workers, "database": database, "keys": keys}
    options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    setup = gateway_setup(config, options)
    settings = setup.gateway.serve
    database_of(settings)
    names = served_routes(setup)
    address = f"http://{settings.host}:{settings.port}/v1"
    Terminal(stderr=True).print(
        f"steproute gateway at {address}\nmodels: {', '.join(names)}\n"
        f"keys: {'required' if settings.keys else 'none needed'}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    run(config, options, settings)
