"""Problems by name: the lab's splits, the benchmarks of the data folder, or a user's own file."""

import gzip
import json
import os
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Final, cast

from steproute.core.errors import DatasetError
from steproute.core.problem import Problem
from steproute.lab.story import Split, generate
from steproute.lab.trim_world import world as trim_world

LAB_PROBLEMS: Final = 300
TRIM_PROBLEMS: Final = 500
_DEFAULT_FOLDER: Final = "../shared/data"
_TEXT_FIELDS: Final = ("problem", "text", "question")

BENCHMARKS: Final[Mapping[str, str]] = {
    "math500": "math500/test.jsonl.gz",
    "math": "math/test_minus_math500.jsonl.gz",
    "math:train": "math/train.jsonl.gz",
    "gsm8k": "gsm8k/test.jsonl.gz",
    "gsm8k:train": "gsm8k/train.jsonl.gz",
    "aime": "aime/train_1983_2023.jsonl.gz",
    "aime24": "aime/aime24.jsonl.gz",
    "amc23": "amc23/test.jsonl.gz",
    "olympiadbench": "olympiadbench/test.jsonl.gz",
    "minerva_math": "minerva_math/test.jsonl.gz",
}


def load_problems(spec: str, limit: int | None = None, seed: int = 0) -> list[Problem]:
    """The problems of a data set, the first `limit` of them.

    spec: `lab`, `lab:validation` or `lab:test/hard` (written with `seed`, 300 unless limited); `trim-world`,
    `trim-world:train` or `trim-world:test/spread` (drawn with `seed`, 500 unless limited); a benchmark's name, such
    as `math500` or `gsm8k:train`, whose file lies in the data folder; or the path of a .jsonl or .jsonl.gz file with
    the fields `problem` and `answer`, and `id` if wanted. Raises DatasetError, which names the file and line at fault.
    """
    if limit is not None and limit < 1:
        raise DatasetError(f"problems: {limit} is below 1. Give the number of problems to load.")
    name, _, variant = spec.partition(":")
    if name == "lab":
        split, _, difficulty = (variant or "test").partition("/")
        problems = generate(cast(Split, split), seed, difficulty or "standard")
        return list(islice(problems, limit or LAB_PROBLEMS))
    if trim_world.is_trim_world(spec):
        return list(islice(trim_world.generate(variant, seed), limit or TRIM_PROBLEMS))
    if spec in BENCHMARKS:
        return list(islice(_problems(data_file(BENCHMARKS[spec])), limit))
    if Path(spec).suffix in (".jsonl", ".gz"):
        return list(islice(_problems(Path(spec)), limit))
    raise DatasetError(
        f"data: {spec!r} is unknown. Use lab, trim-world, {', '.join(BENCHMARKS)}, or the path of a .jsonl or "
        ".jsonl.gz file."
    )


def data_file(name: str) -> Path:
    """A file of the data folder, which STEPROUTE_DATA names; raises DatasetError where it is missing."""
    folder = Path(os.environ.get("STEPROUTE_DATA", _DEFAULT_FOLDER))
    path = folder / name
    if not path.exists():
        raise DatasetError(f"data: {path} does not exist. Set STEPROUTE_DATA to the folder that holds {name}.")
    return path


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    """(line number from 1, object) of a JSON-lines file, gzipped or not; empty lines are skipped.

    Raises DatasetError for a missing file and, with the line's number, for a line that is not a JSON object.
    """
    if not path.is_file():
        raise DatasetError(f"data: {path} does not exist. Give the path of a .jsonl or .jsonl.gz file.")
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as file:
        try:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, _object(path, number, line)
        except (OSError, EOFError, UnicodeDecodeError) as failure:
            raise DatasetError(f"{path}: cannot be read ({failure}). Is it whole, and UTF-8?") from None


def _object(path: Path, number: int, line: str) -> dict[str, object]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as failure:
        raise DatasetError(f"{path}, line {number}: not JSON ({failure}). Give one JSON object a line.") from None
    if not isinstance(row, dict):
        raise DatasetError(
            f"{path}, line {number}: {line.strip()[:60]!r} is not an object. Give one JSON object a line."
        )
    return row


def _problems(path: Path) -> Iterator[Problem]:
    lines: dict[str, int] = {}
    for number, row in read_rows(path):
        problem = _problem(path, number, row)
        if problem.id in lines:
            raise DatasetError(
                f"{path}, line {number}: id {problem.id!r} stands on line {lines[problem.id]} already. Ids must differ."
            )
        lines[problem.id] = number
        yield problem


def _problem(path: Path, number: int, row: dict[str, object]) -> Problem:
    text = next((row[field] for field in _TEXT_FIELDS if field in row), None)
    if not isinstance(text, str) or not text.strip():
        raise DatasetError(f"{path}, line {number}: problem is {text!r}. Give each line a non-empty string 'problem'.")
    answer = row.get("answer")
    if answer is not None and not isinstance(answer, str | int | float):
        raise DatasetError(f"{path}, line {number}: answer is {answer!r}. Give a string or a number.")
    tags = {name: str(row[name]) for name in ("level", "subject", "source") if row.get(name) is not None}
    return Problem(
        id=str(row.get("id") or f"{path.name}:{number}"),
        text=text,
        answer=None if answer is None else str(answer),
        tags=tags,
    )
