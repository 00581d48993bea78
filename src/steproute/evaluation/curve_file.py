"""Reads an accuracy-cost curve from a JSON file, ours or of the shape that TRIM's authors published."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from steproute.core.errors import DatasetError
from steproute.evaluation.metrics import Anchor, Curve, CurvePoint


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """The field names of a kind of file; `dial` is the knob that runs from always-weak (0) to always-strong (1)."""

    dial: str
    other_knobs: tuple[str, ...]
    strong_tokens: str


_OURS: Final = _Shape(dial="knob", other_knobs=(), strong_tokens="strong_tokens")
_PUBLISHED: Final = _Shape(
    dial="threshold", other_knobs=("cost_per_token",), strong_tokens="avg_target_tokens_per_question"
)
_ANCHOR_REMEDY: Final = (
    "Add an object {0!r} with accuracy and strong_tokens beside 'points', or take the anchors from another curve of "
    "the file (anchors_from)."
)


def read_curve(path: Path, name: str | None = None, *, anchors_from: str | None = None) -> Curve:
    """The curve in a JSON file, or the one called `name` in a file that holds several.

    A curve is either an object with `points` (each with `knob`, `accuracy`, `strong_tokens`) and, if wanted, the
    anchors `weak` and `strong` (each with `accuracy`, `strong_tokens`), or a list in the published shape
    (`threshold` or `cost_per_token`, `accuracy`, `avg_target_tokens_per_question`). A file with several curves is an
    object of them by name. An anchor that is not given is taken from the points: weak is the one with 0 strong tokens;
    strong the one with the largest `knob` or `threshold`, which must be 1 and spend the most. `anchors_from` takes both
    anchors from another curve of the file instead, as TRIM-POMDP's published points need. Raises DatasetError that
    names file, field, value and remedy.
    """
    document = _load(path)
    chosen = _select(path, document, name)
    points = _points(chosen)
    source = _select(path, document, anchors_from) if anchors_from is not None else chosen
    return Curve(points=points, weak=_weak(source), strong=_strong(source))


@dataclass(frozen=True, slots=True)
class _Node:
    """A value in the document and its place, for messages."""

    where: str
    value: object

    def get(self, field: str) -> "_Node":
        if not isinstance(self.value, dict):
            raise DatasetError(
                f"{_short(self.value)} is not an object.", where=self.where, remedy=f"Give one with {field!r}."
            )
        if field not in self.value:
            raise DatasetError(
                "missing.", where=f"{self.where}.{field}", remedy=f"Add it; fields here: {_names(self.value)}."
            )
        return _Node(f"{self.where}.{field}", self.value[field])

    def has(self, field: str) -> bool:
        return isinstance(self.value, dict) and field in self.value

    def items(self) -> "list[_Node]":
        if not isinstance(self.value, list) or not self.value:
            raise DatasetError(
                f"{_short(self.value)} is not a list of points.", where=self.where, remedy="Give one for each knob."
            )
        return [_Node(f"{self.where}[{index}]", value) for index, value in enumerate(self.value)]

    def number(self) -> float:
        if not isinstance(self.value, float) or not math.isfinite(self.value):
            raise DatasetError(
                f"{_short(self.value)} is not a number.", where=self.where, remedy="Give a finite one, without quotes."
            )
        return self.value


def _load(path: Path) -> object:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DatasetError(
            "there is no such file.", where=path, remedy="Give the path of a curve's JSON file."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(
            f"cannot be read as text ({error}).", where=path, remedy="Give a curve's JSON file."
        ) from error
    try:
        document: object = json.loads(text, parse_int=float)
    except (json.JSONDecodeError, RecursionError) as error:
        raise DatasetError(
            f"not valid JSON ({error}).", where=path, remedy="Correct it there, or write the file again."
        ) from error
    return document


def _select(path: Path, document: object, name: str | None) -> _Node:
    if isinstance(document, list) or (isinstance(document, dict) and "points" in document):
        if name is not None:
            raise DatasetError(
                f"{name!r} was asked for, but the file holds one curve without a name.", where=path, remedy="Name none."
            )
        return _Node(f"{path}: $", document)
    if not isinstance(document, dict) or not document:
        raise DatasetError(
            f"{_short(document)} holds no curve.",
            where=path,
            remedy="Give an object with 'points', or a list of points.",
        )
    if name is None and len(document) > 1:
        raise DatasetError("holds several curves.", where=path, remedy=f"Name one of {_names(document)}.")
    curve = next(iter(document)) if name is None else name
    if curve not in document:
        raise DatasetError(f"has no curve {curve!r}.", where=path, remedy=f"Name one of {_names(document)}.")
    return _Node(f"{path}: {curve}", document[curve])


def _points(curve: _Node) -> tuple[CurvePoint, ...]:
    shape = _shape(curve)
    points = []
    for row in _rows(curve):
        knob = next((field for field in (shape.dial, *shape.other_knobs) if row.has(field)), shape.dial)
        outcome = _outcome(row, shape)
        points.append(
            CurvePoint(knob=row.get(knob).number(), accuracy=outcome.accuracy, strong_tokens=outcome.strong_tokens)
        )
    return tuple(points)


def _weak(curve: _Node) -> Anchor:
    if curve.has("weak"):
        return _outcome(curve.get("weak"), _OURS)
    outcomes = [_outcome(row, _shape(curve)) for row in _rows(curve)]
    free = {outcome for outcome in outcomes if outcome.strong_tokens == 0}
    if len(free) != 1:
        found = f"points with 0 strong tokens differ in accuracy ({sorted(x.accuracy for x in free)})"
        raise DatasetError(
            f"missing, and {found if free else 'no point spends 0 strong tokens'}. {_ANCHOR_REMEDY.format('weak')}",
            where=f"{curve.where}.weak",
        )
    return free.pop()


def _strong(curve: _Node) -> Anchor:
    if curve.has("strong"):
        return _outcome(curve.get("strong"), _OURS)
    shape = _shape(curve)
    dialled = [(row.get(shape.dial).number(), row) for row in _rows(curve) if row.has(shape.dial)]
    largest, row = max(dialled, key=lambda pair: pair[0], default=(None, curve))
    if largest != 1:
        raise DatasetError(
            f"missing, and the largest {shape.dial} is {largest}, not 1 (always strong). "
            f"{_ANCHOR_REMEDY.format('strong')}",
            where=f"{curve.where}.strong",
        )
    strong = _outcome(row, shape)
    if strong.strong_tokens < max(_outcome(other, shape).strong_tokens for other in _rows(curve)):
        raise DatasetError(
            f"missing, and the point with {shape.dial} 1 spends {strong.strong_tokens} strong "
            "tokens, less than another point, so it may not be always strong. "
            f"{_ANCHOR_REMEDY.format('strong')}",
            where=f"{curve.where}.strong",
        )
    return strong


def _shape(curve: _Node) -> _Shape:
    return _PUBLISHED if isinstance(curve.value, list) else _OURS


def _rows(curve: _Node) -> list[_Node]:
    return (curve if isinstance(curve.value, list) else curve.get("points")).items()


def _outcome(row: _Node, shape: _Shape) -> Anchor:
    accuracy, strong_tokens = row.get("accuracy"), row.get(shape.strong_tokens)
    if not 0 <= accuracy.number() <= 1:
        raise DatasetError(
            f"{accuracy.value} is outside [0, 1].", where=accuracy.where, remedy="Give the share of problems, as 0.73."
        )
    if strong_tokens.number() < 0:
        raise DatasetError(
            f"{strong_tokens.value} is negative.", where=strong_tokens.where, remedy="Give the mean per problem."
        )
    return Anchor(accuracy=accuracy.number(), strong_tokens=strong_tokens.number())


def _names(fields: dict[str, object]) -> str:
    return ", ".join(sorted(fields)) or "none"


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:40]}…"
