"""Problems by name: the lab's splits, the benchmarks of the data folder, or a user's own file."""

import gzip
import json
import math
import os
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Final, cast

from steproute.core.boxed import closed_boxed
from steproute.core.errors import DatasetError
from steproute.core.problem import Problem
from steproute.lab.story import Split, generate
from steproute.lab.trim_world import world as trim_world

LAB_PROBLEMS: Final = 300
TRIM_PROBLEMS: Final = 500
_DEFAULT_FOLDER: Final = "../shared/data"
_GSM8K_ANSWER: Final = "####"
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
    the fields `problem` and `answer` (or a `solution` that ends in a box), and optionally `id`. Raises DatasetError,
    which names the file and the line at fault.
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
    with opener(path, "rt", encoding="utf-8-sig") as file:
        try:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, _object(path, number, line)
        except (OSError, EOFError, UnicodeDecodeError) as failure:
            raise DatasetError(f"{path}: cannot be read ({failure}). Is it whole, and UTF-8?") from None


def _object(path: Path, number: int, line: str) -> dict[str, object]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as failure:
        raise DatasetError(f"{path}, line {number}: not JSON ({failure}). Give one JSON object per line.") from None
    if not isinstance(row, dict):
        raise DatasetError(
            f"{path}, line {number}: {line.strip()[:60]!r} is not an object. Give one JSON object per line."
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
    problem = Problem(
        id=_id(path, number, row.get("id")),
        text=text,
        answer=_gold_answer(path, number, row),
        tags={name: str(row[name]) for name in ("level", "subject", "source") if row.get(name) is not None},
    )
    _check_encoding(path, number, problem)
    return problem


def _id(path: Path, number: int, value: object) -> str:
    """The row's id, which may be the number 0; the file's name and the line if it has none."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return f"{path.name}:{number}"
    if not isinstance(value, str | int | float):
        raise DatasetError(f"{path}, line {number}: id is {value!r}. Give a string or a number.")
    return str(value)


def _gold_answer(path: Path, number: int, row: dict[str, object]) -> str:
    """The answer, or the box that ends the solution of a row without one."""
    answer = row.get("answer")
    if isinstance(answer, str):
        answer = answer.rpartition(_GSM8K_ANSWER)[2].strip()
    elif answer is not None and (not isinstance(answer, int | float) or not math.isfinite(answer)):
        raise DatasetError(f"{path}, line {number}: answer is {answer!r}. Give a string or a number.")
    if answer is None or answer == "":
        answer = closed_boxed(str(row.get("solution") or ""))
    if answer is None:
        raise DatasetError(
            f"{path}, line {number}: no gold answer. Give each line an 'answer', or a 'solution' that ends in "
            "\\boxed{…}; no solution could be graded without it."
        )
    return str(answer)


def _check_encoding(path: Path, number: int, problem: Problem) -> None:
    fields = {"id": problem.id, "problem": problem.text, "answer": problem.answer or "", **problem.tags}
    for name, value in fields.items():
        try:
            value.encode()
        except UnicodeEncodeError as failure:
            raise DatasetError(
                f"{path}, line {number}: {name} holds half a character at position {failure.start} "
                f"({value[failure.start]!r}, a lone surrogate). Remove it, or write the whole character."
            ) from None
