"""Options that several commands share."""

import math
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from steproute.config import parsed_settings
from steproute.core.bounds import check_seed
from steproute.core.errors import ConfigError

_MOST_SEEDS = 10_000
_COMMA = re.compile(r",(?![^()]*\))")


def checked_seed(seed: int) -> int:
    """A seed from a command line; raises ConfigError if libraries do not accept it."""
    check_seed("seed", seed)
    return seed


Config = Annotated[Path | None, typer.Option(help="A steproute.toml with your models. Default: the bundled lab.")]
Data = Annotated[
    str,
    typer.Option(
        help="Data set: lab, lab:test/hard, trim-world, gsm8k, math500, hf:org/name:split, or a .jsonl, .csv or "
        ".parquet file."
    ),
]
QuestionField = Annotated[
    str, typer.Option(help="Field of a file that holds the question. Default: problem, text or question.")
]
AnswerField = Annotated[
    str, typer.Option(help="Field that holds the gold answer. Default: answer, or the box that ends solution.")
]
IdField = Annotated[str, typer.Option(help="Field that holds the problem's id. Default: id, or the line's number.")]
Problems = Annotated[int | None, typer.Option(help="Number of problems. Default: all; 300 of the lab.")]
Strategy = Annotated[str | None, typer.Option(help="stepwise, pipelined, cascade, budgeted, …")]
Policy = Annotated[
    str | None, typer.Option(help="A policy's name, such as threshold, or the folder of a trained policy.")
]
Knobs = Annotated[str, typer.Option(help="Knob values, separated by commas. Default: the policy's own grid.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A setting of the strategy, such as takeover_steps=2."),
]
AnswerRule = Annotated[
    str | None,
    typer.Option(help="How solutions state their answers: boxed, final_line, choice or none. Default: boxed."),
]
Grader = Annotated[
    str | None,
    typer.Option(help="math, exact, numeric, choice, regex, python, judge, or the name of a plugin. Default: math."),
]
GraderSettings = Annotated[
    list[str] | None,
    typer.Option("--grader-set", metavar="NAME=VALUE", help="A setting of the grader, such as relative=0.01."),
]
Seed = Annotated[int, typer.Option(help="Seed of the problems and of every random draw.", callback=checked_seed)]
Seeds = Annotated[
    str, typer.Option(help="Solve each problem with each of these seeds, such as 0,1,2 or 0-4. Default: --seed alone.")
]
InFlight = Annotated[int, typer.Option(help="Number of problems solved at the same time.")]
Name = Annotated[str | None, typer.Option(help="Name of the run. The same name resumes it.")]
Runs = Annotated[Path, typer.Option(help="Folder of all runs.")]
RUNS = Path("runs")
KeepFailed = Annotated[
    bool,
    typer.Option(
        "--keep-failed", help="Leave problems that failed or fell back as they are. By default they are tried again."
    ),
]
MaxUsd = Annotated[
    float | None,
    typer.Option(
        help="Maximum dollars of the whole command, earlier runs of it included. It stops before it exceeds them."
    ),
]
Estimate = Annotated[
    bool, typer.Option("--estimate", help="Print the expected calls, tokens, dollars and minutes, and exit.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def numbers(text: str) -> tuple[float, ...]:
    """A list of numbers from a command line; raises ConfigError."""
    try:
        found = tuple(float(part) for part in listed(text))
    except ValueError:
        found = (math.nan,)
    if not all(map(math.isfinite, found)):
        raise ConfigError(
            f"{text!r} is not a list of numbers.", where="knobs", remedy="Give them with commas, such as 0,0.5,1."
        )
    return found


def whole_numbers(option: str, text: str) -> tuple[int, ...]:
    """Whole numbers and ranges such as 0-4 from a command line; raises ConfigError."""
    parts = [re.fullmatch(r"(\d{1,18})(?:-(\d{1,18}))?", part) for part in listed(text)]
    ranges = [range(int(part[1]), int(part[2] or part[1]) + 1) for part in parts if part is not None]
    if len(ranges) < len(parts) or not all(ranges):
        raise ConfigError(f"{text!r} is no list of whole numbers.", where=option, remedy="Write 0,1,2 or 0-4.")
    if (count := sum(map(len, ranges))) > _MOST_SEEDS:
        raise ConfigError(
            f"{text!r} are {count} numbers.", where=option, remedy=f"Give at most {_MOST_SEEDS}, such as 0,1,2 or 0-4."
        )
    return tuple(number for each in ranges for number in each)


def listed(text: str) -> list[str]:
    """The parts of a list from a command line, without surrounding blanks; a comma in parentheses separates none."""
    return [part.strip() for part in _COMMA.split(text) if part.strip()]


def names(option: str, text: str) -> list[str]:
    """A list of names from a command line; raises ConfigError for an empty list or a repeated name."""
    found = listed(text)
    if not found or len(set(found)) != len(found):
        raise ConfigError(
            f"{text!r} names none, or one of them twice.", where=option, remedy="Give each once, with commas."
        )
    return found


def parsed_grader_settings(assignments: list[str] | None) -> dict[str, Any]:
    """The settings of `--grader-set`; raises ConfigError."""
    return parsed_settings(assignments, "grader-set", "relative=0.01")
