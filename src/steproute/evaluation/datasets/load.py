"""From a data set's name, or a file's path, to problems."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final, cast

from steproute.core.bounds import MOST_PROBLEMS, check_between
from steproute.core.errors import DatasetError
from steproute.core.ports import DEFAULT_COUNT, DataSet
from steproute.core.problem import Problem
from steproute.core.registry import datasets
from steproute.evaluation.datasets.readers import SUFFIXES, hugging_face_rows, read_rows, suffix_of
from steproute.evaluation.datasets.rows import DEFAULT_FIELDS, Fields, problems_of

_HUGGING_FACE: Final = "hf"


def load_problems(spec: str, limit: int | None = None, seed: int = 0, fields: Fields = DEFAULT_FIELDS) -> list[Problem]:
    """The problems of a data set, the first `limit` of them.

    spec: a data set's name and variant, such as `lab:test/hard`, `trim-world`, `math500` or `gsm8k:train` (see the
    entry-point group `steproute.datasets`); `hf:org/name:split` or `hf:org/name/config:split`, read by the library
    `datasets`; or the path of a .jsonl, .csv (either may end in .gz) or .parquet file. fields: which fields of a file's
    or Hugging Face data set's rows are meant. Raises DatasetError, which names the file, the line and its fields, or
    says that there is no problem, and ConfigError for a `limit` below 1 or above 10 000 000.
    """
    if limit is not None:
        check_between("problems", limit, 1, MOST_PROBLEMS, "Give the number of problems to load, or leave it out.")
    problems = list(_problems(spec, limit, seed, fields))
    if not problems:
        raise DatasetError(
            f"{spec} holds no problem.", where="data", remedy="Give each line a 'problem' and an 'answer'."
        )
    return problems


def _problems(spec: str, limit: int | None, seed: int, fields: Fields) -> Iterator[Problem]:
    name, _, variant = spec.partition(":")
    if name == _HUGGING_FACE:
        return islice(problems_of(hugging_face_rows(variant), spec, fields), limit)
    if suffix_of(spec) in SUFFIXES:
        return islice(problems_of(read_rows(Path(spec)), spec, fields), limit)
    if name not in datasets.names():
        raise DatasetError(
            f"{spec!r} is unknown.",
            where="data",
            remedy=f"Use one of {', '.join(datasets.names())}; hf:org/name:split; or the path of a file "
            f"that ends in {', '.join(SUFFIXES)}.",
        )
    if fields != DEFAULT_FIELDS:
        raise DatasetError(
            f"question-field, answer-field, id-field: {name} has no fields to choose.", remedy="Leave them out."
        )
    data_set = cast(DataSet, datasets.get(name))
    count = limit or DEFAULT_COUNT.of(data_set)
    return _each_once(name, islice(data_set(variant, seed), count))


def _each_once(name: str, problems: Iterable[Problem]) -> Iterator[Problem]:
    ids: set[str] = set()
    for problem in problems:
        if problem.id in ids:
            raise DatasetError(f"{name} gives the id {problem.id!r} twice. Ids must differ.", where="data")
        ids.add(problem.id)
        yield problem
