"""Benchmarks whose files lie in the data folder, and the embedded data sets."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from steproute.core.errors import DatasetError
from steproute.core.problem import Problem
from steproute.evaluation.datasets.folder import data_folder, find_data
from steproute.evaluation.datasets.readers import read_rows
from steproute.evaluation.datasets.rows import problems_of
from steproute.evaluation.datasets.sources import SOURCES
from steproute.lab.story import Split, generate
from steproute.lab.trim_world import world

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


@dataclass(frozen=True, slots=True)
class Benchmark:
    """The data set of that name; each of its variants has a file."""

    name: str

    def __call__(self, variant: str, seed: int) -> Iterator[Problem]:
        """All its problems; raises DatasetError that says how to get the file if it is missing."""
        return problems_of(read_rows(path := self._file(variant)), str(path))

    def _file(self, variant: str) -> Path:
        spec = f"{self.name}:{variant}" if variant else self.name
        if spec not in BENCHMARKS:
            known = ", ".join(each for each in BENCHMARKS if each.partition(":")[0] == self.name)
            raise DatasetError(f"{spec!r} is unknown.", where="data", remedy=f"Use {known}.")
        if (path := find_data(BENCHMARKS[spec])) is None:
            raise DatasetError(f"{spec} is not on this machine. {_how_to_get(spec)}", where="data")
        return path


class Lab:
    """Word problems of the lab, without end; the variant is a split and a difficulty, such as test/hard."""

    default_count: Final = 300

    def __call__(self, variant: str, seed: int) -> Iterator[Problem]:
        """Problems written with `seed`; raises ConfigError for an unknown split or difficulty."""
        split, _, difficulty = (variant or "test").partition("/")
        return generate(cast(Split, split), seed, difficulty or "standard")


class TrimWorld:
    """Problems of TRIM's world, without end; the variant is a split and an assumption, such as test/spread."""

    default_count: Final = 500

    def __call__(self, variant: str, seed: int) -> Iterator[Problem]:
        """Problems drawn with `seed`; raises ConfigError for an unknown variant."""
        return world.generate(variant, seed)


def _how_to_get(spec: str) -> str:
    place = data_folder() / BENCHMARKS[spec]
    if spec in SOURCES:
        return f"Run: steproute data get {spec}"
    return f"Put it at {place}, one JSON object with problem and answer per line; no original source is known."


lab: Final = Lab()
trim_world: Final = TrimWorld()
math500, math, gsm8k, aime, aime24, amc23, olympiadbench, minerva_math = (
    Benchmark(name) for name in ("math500", "math", "gsm8k", "aime", "aime24", "amc23", "olympiadbench", "minerva_math")
)
