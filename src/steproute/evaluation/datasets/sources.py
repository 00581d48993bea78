"""Where the originals of benchmarks are, how they are recognised, and how their rows become ours."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from steproute.core.boxed import closed_boxed

Converter = Callable[[int, Mapping[str, Any]], dict[str, object]]
"""Our row from a row of the original and its number from 0. Raises KeyError for a field that is missing, ValueError
or OverflowError for a value that cannot be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An original file, pinned to a revision, and what is known of it.

    sha256: of its bytes. Where it is not known (empty), its rows are counted and the ids of the first and last row
    compared instead.
    """

    url: str
    licence: str
    rows: int
    convert: Converter
    sha256: str = ""
    first_id: str = ""
    last_id: str = ""

    @property
    def file(self) -> str:
        """Its name as `--from` looks for it: the last two parts of its address, so that no two are the same."""
        return "-".join(self.url.split("/")[-2:])


def _gsm8k(split: str) -> Converter:
    def convert(number: int, row: Mapping[str, Any]) -> dict[str, object]:
        answer = row["answer"].rpartition("####")[2].strip().replace(",", "")
        return {
            "id": f"gsm8k/{split}/{number:05d}",
            "problem": row["question"],
            "answer": answer,
            "solution": row["answer"],
        }

    return convert


def _math500(number: int, row: Mapping[str, Any]) -> dict[str, object]:
    return {
        "id": "math/" + row["unique_id"].removesuffix(".json"),
        **{name: row[name] for name in ("problem", "answer", "solution", "level", "subject")},
    }


def _aime24(number: int, row: Mapping[str, Any]) -> dict[str, object]:
    year, part, place = re.findall(r"(\d{4})_AIME_(I+)_Problems/Problem_(\d+)", row["url"])[0]
    answer = str(row["answer"]).lstrip("0") or "0"
    return {
        "id": f"aime/{year}-{part}-{place}",
        "problem": row["problem"],
        "answer": answer,
        "solution": row.get("solution"),
    }


def _amc23(number: int, row: Mapping[str, Any]) -> dict[str, object]:
    return {"id": f"amc23/{row['id']:02d}", "problem": row["question"], "answer": f"{_finite(row['answer']):g}"}


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"answer {str(value)[:40]} is no finite number")
    return number


def _minerva(number: int, row: Mapping[str, Any]) -> dict[str, object]:
    solution = row["solution"]
    return {
        "id": f"minerva_math/{number:03d}",
        "problem": row["problem"],
        "answer": closed_boxed(solution),
        "solution": solution,
        "subject": row.get("type"),
    }


def _olympiad(number: int, row: Mapping[str, Any]) -> dict[str, object]:
    return {
        "id": f"olympiadbench/{row['id']}",
        "problem": row["question"],
        "answer": _without_dollars(row["final_answer"][0].strip()),
        "solution": "\n\n".join(row.get("solution") or []),
        "subject": row.get("subfield"),
        "unit": row.get("unit"),
    }


def _without_dollars(text: str) -> str:
    """Without the signs around a single formula; those of several formulas are left."""
    return text[1:-1] if text.startswith("$") and text.endswith("$") and text.count("$") == 2 else text


_GSM8K: Final = (
    "https://raw.githubusercontent.com/openai/grade-school-math/3101c7d5072418e28b9008a6636bde82a006892c"
    "/grade_school_math/data"
)
_QWEN: Final = (
    "https://raw.githubusercontent.com/QwenLM/Qwen2.5-Math/a45202bd16f1ec06f433442dc1152d0074773465/evaluation/data"
)
_HUGGING_FACE: Final = "https://huggingface.co/datasets"

SOURCES: Final[Mapping[str, Source]] = {
    "gsm8k": Source(
        url=f"{_GSM8K}/test.jsonl",
        licence="MIT",
        rows=1319,
        convert=_gsm8k("test"),
        sha256="3730d312f6e3440559ace48831e51066acaca737f6eabec99bccb9e4b3c39d14",
    ),
    "gsm8k:train": Source(
        url=f"{_GSM8K}/train.jsonl",
        licence="MIT",
        rows=7473,
        convert=_gsm8k("train"),
        sha256="17f347dc51477c50d4efb83959dbb7c56297aba886e5544ee2aaed3024813465",
    ),
    "math500": Source(
        url=f"{_HUGGING_FACE}/HuggingFaceH4/MATH-500/resolve/6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be/test.jsonl",
        licence="MIT",
        rows=500,
        convert=_math500,
        sha256="35dc41080a3680858b27fa7e0533d2d547825316fc5dafe5d316f4ccc5a06132",
    ),
    "aime24": Source(
        url=f"{_QWEN}/aime24/test.jsonl",
        licence="problems (c) MAA: evaluation only",
        rows=30,
        first_id="aime/2024-I-1",
        last_id="aime/2024-II-9",
        convert=_aime24,
    ),
    "amc23": Source(
        url=f"{_QWEN}/amc23/test.jsonl",
        licence="problems (c) MAA: evaluation only",
        rows=40,
        first_id="amc23/00",
        last_id="amc23/49",
        convert=_amc23,
    ),
    "minerva_math": Source(
        url=f"{_QWEN}/minerva_math/test.jsonl",
        licence="CC BY-NC-SA 4.0 (MIT OpenCourseWare)",
        rows=272,
        first_id="minerva_math/000",
        last_id="minerva_math/271",
        convert=_minerva,
    ),
    "olympiadbench": Source(
        url=f"{_QWEN}/olympiadbench/test.jsonl",
        licence="Apache-2.0",
        rows=675,
        first_id="olympiadbench/1606",
        last_id="olympiadbench/3102",
        convert=_olympiad,
    ),
}
