"""From a row of a file to a problem: which of its fields are the question, the gold answer and the id."""

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from steproute.core.boxed import closed_boxed
from steproute.core.errors import DatasetError
from steproute.core.problem import Problem

Row = dict[str, object]
_GSM8K_ANSWER: Final = "####"
_QUESTIONS: Final = ("problem", "text", "question")
_ANSWER, _SOLUTION, _ID = "answer", "solution", "id"


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of a row that hold the question, the gold answer and the id.

    Empty: problem, text or question; answer, or the box that ends solution; and id, or the row's place.
    """

    question: str = ""
    answer: str = ""
    id: str = ""


DEFAULT_FIELDS: Final = Fields()


def problems_of(rows: Iterable[tuple[int, Row]], source: str, fields: Fields = DEFAULT_FIELDS) -> Iterator[Problem]:
    """A problem for each (line, row); the row's further fields become tags. A row without an id gets the name of
    `source`, such as a file's path, and its line.

    Raises DatasetError that names `source`, the line and the field.
    """
    lines: dict[str, int] = {}
    name = source.rpartition("/")[2]
    for number, row in rows:
        problem = _problem(f"{source}, line {number}", f"{name}:{number}", row, fields)
        if problem.id in lines:
            raise DatasetError(
                f"id {problem.id!r} is on line {lines[problem.id]} already. Ids must differ.",
                where=f"{source}, line {number}",
            )
        lines[problem.id] = number
        yield problem


def _problem(where: str, place: str, row: Row, fields: Fields) -> Problem:
    question = _question_field(where, row, fields.question)
    text = row[question]
    if not isinstance(text, str) or not text.strip():
        raise DatasetError(f"{question} is {text!r}.", where=where, remedy="Give each line a non-empty string.")
    used = {question, fields.answer or _ANSWER, fields.id or _ID}
    problem = Problem.ask(
        id=_id(where, place, row, fields.id),
        text=text,
        answer=_gold_answer(where, row, fields.answer),
        tags={name: _tag(value) for name, value in row.items() if name not in used and value not in (None, "")},
    )
    texts = {"id": problem.id, "problem": problem.text, "answer": problem.answer or "", **problem.tags}
    check_encoding(where, texts.items())
    return problem


def _question_field(where: str, row: Row, name: str) -> str:
    if name:
        return _existing(where, row, name, "question-field")
    found = next((each for each in _QUESTIONS if each in row), None)
    if found is None:
        raise DatasetError(
            f"no {', '.join(_QUESTIONS[:-1])} or {_QUESTIONS[-1]}. {_has(row)} Name the one that "
            "holds the question with --question-field.",
            where=where,
        )
    return found


def _id(where: str, place: str, row: Row, name: str) -> str:
    """The row's id, which may be the number 0; its place if it has none."""
    value = row[_existing(where, row, name, "id-field")] if name else row.get(_ID)
    if value is None or (isinstance(value, str) and not value.strip()):
        return place
    if not isinstance(value, str | int | float | Decimal):
        raise DatasetError(f"id is {value!r}.", where=where, remedy="Give a string or a number.")
    return _text(value)


def _gold_answer(where: str, row: Row, name: str) -> str:
    """The answer, or the box that ends the solution of a row without one."""
    answer = row[_existing(where, row, name, "answer-field")] if name else row.get(_ANSWER)
    if isinstance(answer, str):
        answer = answer.rpartition(_GSM8K_ANSWER)[2].strip()
    elif answer is not None and not _is_number(answer):
        raise DatasetError(f"{name or _ANSWER} is {answer!r}.", where=where, remedy="Give a string or a number.")
    if not name and answer in (None, ""):
        answer = closed_boxed(str(row.get(_SOLUTION) or ""))
    if answer in (None, ""):
        raise DatasetError(
            f"no gold answer. {_has(row)} Name the one that holds it with --answer-field. Without "
            "it give each line an 'answer', or a 'solution' that ends in \\boxed{…}; no solution "
            "could be graded otherwise.",
            where=where,
        )
    return _text(answer)


def _is_number(value: object) -> bool:
    """Whole numbers of any length, and finite others."""
    return isinstance(value, int) or (isinstance(value, float | Decimal) and math.isfinite(value))


def _text(value: object) -> str:
    """A decimal in all its digits, as a file of decimals holds it; anything else as Python writes it."""
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def _existing(where: str, row: Row, name: str, option: str) -> str:
    if name not in row:
        raise DatasetError(f"{option}: there is no field {name!r}. {_has(row)}", where=where)
    return name


def _has(row: Row) -> str:
    """The row's fields, in words."""
    return f"Its fields are {', '.join(row)}." if row else "It has no fields."


def _tag(value: object) -> str:
    """Text as it is, lists and tables as JSON, anything else as Python writes it."""
    return json.dumps(value, default=str, ensure_ascii=False) if isinstance(value, list | dict) else _text(value)


def check_encoding(where: str, fields: Iterable[tuple[str, str]]) -> None:
    """Raises DatasetError that names `where` and the field whose text no file can hold."""
    for name, value in fields:
        try:
            value.encode()
        except UnicodeEncodeError as failure:
            raise DatasetError(
                f"{name} holds half a character at position {failure.start} ({value[failure.start]!r}, "
                "a lone surrogate).",
                where=where,
                remedy="Remove it, or write the whole character.",
            ) from None
