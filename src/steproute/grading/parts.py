"""The structure of an answer: lists, tuples, intervals, sets, matrices and ratios, down to single values."""

import re
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["list", "set", "union", "tuple", "matrix", "ratio"]

_TOKEN: Final = re.compile(
    r"\\begin\{(?P<begin>\w+\*?)\}|\\end\{\w+\*?\}|\\text\{[^{}]*\}|\\(?P<open>[{]|langle|lfloor|lceil)|"
    r"\\(?P<close>[}]|rangle|rfloor|rceil)|\\[A-Za-z]+|\\.|(?P<left>[(\[{])|(?P<right>[)\]}])|"
    r"(?P<and>\b(?:and|or)\b)|.",
    re.DOTALL,
)
_MATRIX: Final = re.compile(r"\\begin\{([pb]?matrix|array)\}(?:\{[^{}]*\})?(.*)\\end\{\1\}", re.DOTALL)
_ASSIGNED: Final = re.compile(
    r"((?:[A-Za-z]|\\[A-Za-z]+ ?)'?(?:_\{[^{}]*\}|\\text\{[^{}]*\})?(?:\([A-Za-z0-9, ]+\))?|"
    r"[a-z]{3,}|\\text\{[^{}]*\}|\([A-Za-z](?:, ?[A-Za-z])+\))\s*(?:=|\\in(?![A-Za-z]))\s*(.+)",
    re.DOTALL,
)
_WORKED: Final = re.compile(r"(?:(?:\\[A-Za-z]+|[^A-Za-z=<>\\])+=)+\s*([^=]+)")
_SIGN: Final = re.compile(r"<|>|\\le(?![A-Za-z])|\\ge(?![A-Za-z])")
_VARIABLE: Final = re.compile(r"(?:[A-Za-z]|\\[A-Za-z]+)(?:_\{[^{}]*\})?(?:\([A-Za-z]\))?")
_RATIO: Final = re.compile(r"\s*\\?:\s*")
_THOUSANDS: Final = re.compile(r"([+-]?[1-9]\d{0,2})((?:,\d{3})+)(?!\d)(\.\d+)?(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Atom:
    """One value, in normal form."""

    text: str


@dataclass(frozen=True, slots=True)
class Group:
    """Several parts; `brackets` are those of a tuple or interval, or the shape of a matrix.

    Lists, sets and unions have no order.
    """

    kind: Kind
    items: "tuple[Part, ...]"
    brackets: str = ""


@dataclass(frozen=True, slots=True)
class Named:
    """A value with the name that it is given, as in `x = 5`; `text` is the whole equation."""

    name: str
    value: "Part"
    text: str


Part = Atom | Group | Named


def readings(text: str) -> list[Part]:
    """What an answer in normal form may mean; two for `61,328`, which is one number or a list of two."""
    whole = read_part(text)
    number = _THOUSANDS.fullmatch(text)
    if number is None or "," in number[4]:
        return [whole]
    return [Atom(number[1] + number[2].replace(",", "") + (number[3] or "") + number[4]), whole]


def read_part(text: str) -> Part:
    """The parts of an answer in normal form."""
    parts = [part for part in split_at(text, {",", ";", "and", "or"}) if part.strip()]
    if len(parts) > 1:
        items = tuple(_element(part.strip()) for part in parts)
        ranges = all(
            isinstance(each, Group) and each.kind == "tuple" and _SIGN.search(part)
            for each, part in zip(items, parts, strict=True)
        )
        return Group("union" if ranges else "list", _flat(items))
    return _element(text.strip())


def split_at(text: str, separators: set[str]) -> list[str]:
    """`text` cut at separators that no bracket encloses."""
    pieces, depth, start = [], 0, 0
    for token in _TOKEN.finditer(text):
        if token["begin"] or token["open"] or token["left"]:
            depth += 1
        elif token["close"] or token["right"] or token[0].startswith("\\end{"):
            depth -= 1
        elif depth == 0 and token[0] in separators:
            pieces.append(text[start : token.start()])
            start = token.end()
    return [*pieces, text[start:]]


def _element(text: str) -> Part:
    if (named := _ASSIGNED.fullmatch(text)) is not None:
        return Named(named[1].replace(" ", ""), read_part(named[2].rpartition("=")[2].strip()), text)
    if (worked := _WORKED.fullmatch(text)) is not None:
        return _element(worked[1])
    if len(pieces := split_at(text, {r"\cup"})) > 1:
        return Group("union", tuple(_element(piece.strip()) for piece in pieces))
    if (matrix := _MATRIX.fullmatch(text)) is not None:
        return _matrix(matrix[2])
    if (enclosed := _enclosed(text)) is not None:
        return enclosed
    if r"\pm" in text or r"\mp" in text:
        return _both_signs(text)
    if (between := _interval(text)) is not None:
        return between
    if len(terms := _RATIO.split(text)) > 1 and all(terms):
        return Group("ratio", tuple(Atom(term) for term in terms))
    return Atom(text)


def _enclosed(text: str) -> Part | None:
    """The group that brackets around the whole text make; None if there is no such pair."""
    for opening, closings in (("(", ")]"), ("[", ")]"), ("\\{", ("\\}",)), ("\\langle", ("\\rangle",))):
        closing = next((end for end in closings if text.endswith(end)), None)
        if text.startswith(opening) and closing is not None and _spans(text):
            inner = text[len(opening) : -len(closing)]
            items = tuple(_element(item.strip()) for item in split_at(inner, {",", ";"}) if item.strip())
            if opening == "\\{":
                return Group("set", _flat(items))
            if len(items) == 1 and opening + closing in ("()", "[]") and r"\pm" not in inner:
                return items[0]
            return (
                Group("tuple", items, {"\\langle\\rangle": "()"}.get(opening + closing, opening + closing))
                if len(items) > 1
                else None
            )
    return None


def _spans(text: str) -> bool:
    """Whether the first bracket closes at the end of the text, and not before."""
    depth = 0
    for token in _TOKEN.finditer(text):
        if token["begin"] or token["open"] or token["left"]:
            depth += 1
        elif token["close"] or token["right"] or token[0].startswith("\\end{"):
            depth -= 1
            if depth == 0:
                return token.end() == len(text)
    return False


def _matrix(content: str) -> Part:
    rows = [row for row in re.split(r"\\\\(?:\s*\[[^\]]*\])?", content.replace(r"\hline", "")) if row.strip()]
    cells = [[Atom(cell.strip()) for cell in split_at(row, {"&"})] for row in rows]
    return Group("matrix", tuple(cell for row in cells for cell in row), "x".join(str(len(row)) for row in cells))


def _both_signs(text: str) -> Part:
    upper = re.sub(r"\\pm ?", "+", re.sub(r"\\mp ?", "-", text))
    lower = re.sub(r"\\pm ?", "-", re.sub(r"\\mp ?", "+", text))
    return Group("list", _flat(tuple(_element(each.strip().removeprefix("+")) for each in (upper, lower))))


def _interval(text: str) -> Part | None:
    """`a < x \\le b`, `x > a` and the like as the interval that they bound; None for what bounds no single variable."""
    signs = [sign[0] for sign in _SIGN.finditer(text)]
    terms = [term.strip() for term in _SIGN.split(text)]
    if not 1 <= len(signs) <= 2 or not all(terms):
        return None
    upward = all(sign in ("<", r"\le") for sign in signs)
    if not upward and not all(sign in (">", r"\ge") for sign in signs):
        return None
    if not upward:
        terms, signs = terms[::-1], [{">": "<", r"\ge": r"\le"}[sign] for sign in signs[::-1]]
    if len(terms) == 2:
        if _VARIABLE.fullmatch(terms[0]) and not _VARIABLE.fullmatch(terms[1]):
            terms, signs = ["-\\infty", *terms], ["<", *signs]
        elif _VARIABLE.fullmatch(terms[1]) and not _VARIABLE.fullmatch(terms[0]):
            terms, signs = [*terms, "\\infty"], [*signs, "<"]
    if len(terms) != 3 or not _VARIABLE.fullmatch(terms[1]):
        return None
    brackets = ("(" if signs[0] == "<" else "[") + (")" if signs[1] == "<" else "]")
    return Group("tuple", (Atom(terms[0]), Atom(terms[2])), brackets)


def _flat(items: tuple[Part, ...]) -> tuple[Part, ...]:
    """Lists within a list opened, so that `1 \\pm 2, 5` has three items."""
    return tuple(
        inner
        for item in items
        for inner in (item.items if isinstance(item, Group) and item.kind == "list" else (item,))
    )
