"""`steproute init`: a commented configuration to start from."""

import shlex
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Final

import typer

from steproute.cli.program import program
from steproute.cli.terminal import Terminal
from steproute.core.errors import ConfigError

TEMPLATES: Final = (
    "lab",
    "vllm",
    "three",
    "hosted",
    "openrouter",
    "gateway",
    "openai",
    "anthropic",
    "llama.cpp",
)


def init(
    template: Annotated[
        str,
        typer.Option(
            help="lab; vllm (weak, strong, PRM) or three (with mid); hosted (two endpoints, no PRM), openrouter or "
            "gateway (one address); openai or anthropic (strong hosted, weak local); llama.cpp (a laptop)."
        ),
    ] = "lab",
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path("steproute.toml"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite it.")] = False,
) -> None:
    """Write a commented steproute.toml.

    Example: steproute init --template vllm
    """
    if template not in TEMPLATES:
        raise ConfigError(f"{template!r} is unknown.", where="template", remedy=f"Use one of {', '.join(TEMPLATES)}.")
    if out.exists() and not force:
        raise ConfigError(f"{out} exists. Overwrite it with --force, or name another file.", where="out")
    text = (files("steproute.cli") / "templates" / f"{template}.toml").read_text()
    try:
        out.write_text(text)
    except OSError as failure:
        raise ConfigError(
            f"{out} cannot be written ({failure.strerror}).", where="out", remedy="Name a file in a folder that exists."
        ) from None
    edits = "edit what its # EDIT lines name, then:" if "# EDIT" in text else "next:"
    problem, data = ("--sample 1", "lab") if template == "lab" else ("'…'", "gsm8k")
    file = shlex.quote(str(out))
    me = program()
    fetch = "" if template == "lab" else f"  {me} data get {data}\n"
    Terminal().print(
        f"wrote {out}; {edits}\n  {me} doctor --config {file}\n"
        f"  {me} solve --config {file} {problem}\n{fetch}  {me} eval --config {file} --data {data} --problems 50",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
