"""False equalities beside ProcessBench's labels: precision of the exact checkers and of a crude one.

    STEPROUTE_DATA=... python benchmarks/step_arithmetic.py [--half develop|report] [--list]

A flag is the first step of a solution that states a false equality. It is right if the step is the labelled first
error, and counts for nothing if it comes after it. The checkers were developed on one half of the problems, chosen by a
hash of their ids.
"""

import argparse
import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

from steproute.evaluation.datasets import data_file, read_rows
from steproute.tools.algebra import AlgebraChecker
from steproute.tools.arithmetic import Finding, checked

SETS = ("gsm8k", "math", "olympiadbench")
Flags = Callable[[str], list[str]]
_NUMBER = r"\d[\d,]*(?:\.\d+)?"
_CRUDE = re.compile(rf"({_NUMBER}(?:\s*[-+*/]\s*{_NUMBER})+)\s*=\s*({_NUMBER})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--half", choices=("develop", "report", "both"), default="both")
    parser.add_argument("--list", action="store_true", help="print every flag that is not a first error")
    asked = parser.parse_args()
    halves = ("develop", "report") if asked.half == "both" else (asked.half,)
    columns = "set|half|checker|solutions|first errors|flags|of these first errors|precision|flags after an error"
    print(f"|{columns}|\n" + "|---" * 9 + "|")
    with AlgebraChecker() as algebra:
        checkers: dict[str, Flags] = {
            "crude": crude,
            "arithmetic": lambda text: _false(text, checked(text)),
            "algebra": lambda text: _false(text, algebra.check_now(text)),
        }
        for name in SETS:
            for half in halves:
                rows = [row for row in _rows(name) if half_of(row["problem_id"] or row["id"]) == half]
                for checker, flags in checkers.items():
                    _print(name, half, checker, rows, flags, listed=asked.list and checker != "crude")


def half_of(problem_id: str) -> str:
    """The half that a problem belongs to."""
    return "report" if hashlib.sha256(problem_id.encode()).digest()[0] % 2 else "develop"


def crude(text: str) -> list[str]:
    """False equalities between plain numbers and + - * /, wherever they stand."""
    text = re.sub(r"\\times|\\cdot|×", "*", text).replace("\\div", "/").replace("\\$", "").replace("$", "")
    return [match[0] for match in _CRUDE.finditer(text) if _is_wrong(match)]


def _print(name: str, half: str, checker: str, rows: list[Any], flags: Flags, *, listed: bool) -> None:
    counts = Counter(_places(rows, flags, listed=listed))
    errors = sum(row["label"] >= 0 for row in rows)
    total = counts["first error"] + counts["other"]
    precision = f"{counts['first error'] / total:.2f}" if total else "none"
    print(
        f"| {name} | {half} | {checker} | {len(rows)} | {errors} | {total} | {counts['first error']} | {precision} | "
        f"{counts['after']} |"
    )


def _places(rows: list[Any], flags: Flags, *, listed: bool) -> Iterator[str]:
    for row in rows:
        for number, text in enumerate(row["steps"]):
            if not (found := flags(text)):
                continue
            label = row["label"]
            place = "first error" if number == label else "after" if 0 <= label < number else "other"
            if listed and place == "other":
                print(f"{row['id']} step {number}, labelled {label}: {found[0]}")
            yield place
            break


def _false(text: str, found: list[Any]) -> list[str]:
    return [text[each.equality.start : each.equality.end] for each in found if each.finding is Finding.FALSE]


def _rows(name: str) -> list[Any]:
    return [row for _, row in read_rows(data_file(f"processbench/{name}.jsonl.gz"))]


def _is_wrong(match: re.Match[str]) -> bool:
    try:
        return _value(match[1]) != _number(match[2])
    except ZeroDivisionError:
        return False


def _value(text: str) -> Fraction:
    """A sum of products, from left to right."""
    terms, sign = Fraction(0), ""
    product = Fraction(0)
    for sign, number in re.findall(rf"([-+*/]?)\s*({_NUMBER})", text):
        value = _number(number)
        if sign == "*":
            product *= value
        elif sign == "/":
            product /= value
        else:
            terms, product = terms + product, -value if sign == "-" else value
    return terms + product


def _number(text: str) -> Fraction:
    return Fraction(text.replace(",", ""))


if __name__ == "__main__":
    main()
