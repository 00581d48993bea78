"""A step's text as tokens of mathematics and of prose, each with its place in the text."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Final

from steproute.grading.numerals import read_numeral
from steproute.grading.symbols import in_ascii


class Kind(StrEnum):
    """What a token is. TEXT is what `\\text{…}` encloses, LETTER a variable, HALT a stop, a comma or a new line."""

    NUMBER = "number"
    OPERATOR = "operator"
    OPEN = "open"
    CLOSE = "close"
    FUNCTION = "function"
    SIGN = "sign"
    RELATION = "relation"
    WORD = "word"
    TEXT = "text"
    LETTER = "letter"
    HALT = "halt"
    DELIMITER = "delimiter"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Token:
    """`text` is in one spelling (`*` for `\\times`); `start` and `end` are places in the step's text.

    value and place: of a number; see `grading.numerals.Numeral`. apart: white space comes before it.
    """

    kind: Kind
    text: str
    start: int
    end: int
    value: Fraction | None = None
    place: int | None = None
    apart: bool = False


EXACT_FUNCTIONS: Final = frozenset({"frac", "sqrt", "binom"})
_FUNCTIONS: Final = EXACT_FUNCTIONS | {
    "sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "ln", "log", "pi", "exp",
}  # fmt: skip
_OPERATORS: Final = {"times": "*", "cdot": "*", "ast": "*", "div": "/", "+": "+", "-": "-", "*": "*", "/": "/"}
_RELATIONS: Final = {
    "=": "=", "==": "=", "<": "<", ">": "<", "<=": "<", ">=": "<", "!=": "!=",
    **dict.fromkeys(("le", "leq", "leqslant", "ge", "geq", "geqslant", "lt", "gt", "ll", "gg"), "<"),
    **dict.fromkeys(("ne", "neq"), "!="),
    **dict.fromkeys(("approx", "sim", "simeq", "cong", "equiv", "propto"), "≈"),
}  # fmt: skip
_GLUE: Final = frozenset(
    {
        "left",
        "right",
        "big",
        "Big",
        "bigg",
        "Bigg",
        "bigl",
        "bigr",
        "Bigl",
        "Bigr",
        "displaystyle",
        "quad",
        "qquad",
        "boxed",
        "mathbf",
        "textbf",
        "boldsymbol",
        "bf",
        ",",
        ";",
        "!",
        ":",
        "&",
        "cancel",
        "underline",
        "limits",
    }
)
_SPELLINGS: Final = {"dfrac": "frac", "tfrac": "frac", "cfrac": "frac", "dbinom": "binom", "tbinom": "binom"}
_DELIMITERS: Final = {"(": "(", "[": "(", ")": ")", "]": ")"}
_Maker = Callable[..., Token]
_CONNECTIVE: Final = re.compile(
    r"\b(?:and|or|if|when|where|with|so|for|since|because|is|are|as|then|thus|hence|therefore|which|that|from|mod|base|"
    r"remainder|otherwise|but|not|to)\b",
    re.IGNORECASE,
)
_TOKEN: Final = re.compile(
    r"""
    (?P<bullet>(?:^|(?<=\n))[ \t]*(?:(?:[-*•]|\d{1,2}[.)])(?=[ \t])|\(\d{1,2}\)(?=[ ][A-Z])))
    |\\(?P<words>text|mathrm|textrm|mbox|textnormal|operatorname)\s*\{(?P<content>[^{}]*)\}
    |\\(?P<short>[dtc]?frac)\s*(?P<above>\d)\s*(?P<below>\d)
    |(?P<environment>\\(?:begin|end)\s*\{(?:align|gather|equation|split|multline)(?:ed)?\*?\})
    |(?P<degree>\^\s*\{?\s*\\circ\s*\}?|°)
    |\\(?P<command>[A-Za-z]+|\\|.)
    |(?P<ordinal>\d+(?:st|nd|rd|th)(?![A-Za-z]))
    |(?P<number>(?<![\d.])(?:\d{1,3}(?:(?:,|\{,\}|\\,|\\!\s*,)\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)(?!\.?\d))
    |(?P<word>[A-Za-z][A-Za-z'’]+(?:/[A-Za-z]{2,})*(?![A-Za-z]))
    |(?P<letter>[A-Za-z])
    |(?P<break>\n)
    |(?P<dots>\.{2,}|…)
    |(?P<relation>[<>!=]=|[=<>])
    |(?P<power>(?<=[\d)])[ ]?\*\*\s*(?=[\d(])|\^)
    |(?P<bold>\*\*)
    |(?P<sign>[-+*/()\[\]{}%!$.,;:?&])
    |(?P<other>\S)
    """,
    re.VERBOSE | re.DOTALL,
)


def tokens_of(text: str) -> list[Token]:
    """The tokens of a step, without spacing and faces of type."""
    return list(_tokens(text))


def _tokens(text: str) -> Iterator[Token]:
    end = 0
    for match in _TOKEN.finditer(text):
        token = _token(match, apart=match.start() > end)
        end = match.end()
        if token is not None:
            yield token


def _token(match: re.Match[str], *, apart: bool) -> Token | None:
    """None for what only sets type."""
    start, end, kind, raw = match.start(), match.end(), match.lastgroup, match[0]

    def of(kind: Kind, text: str = raw) -> Token:
        return Token(kind, text, start, end, apart=apart)

    match kind:
        case "content":
            return _words(match["content"].strip(), of)
        case "below":
            above, below = int(match["above"]), int(match["below"])
            return Token(Kind.NUMBER, raw, start, end, Fraction(above, below), apart=apart) if below else of(Kind.OTHER)
        case "command":
            return _command(match["command"], of)
        case "number":
            return _number(raw, start, end, apart)
        case "word" | "ordinal":
            return of(Kind.WORD)
        case "letter":
            return of(Kind.LETTER)
        case "break" | "bullet":
            return of(Kind.HALT, "\n")
        case "environment":
            return of(Kind.DELIMITER)
        case "relation":
            return of(Kind.RELATION, _RELATIONS[raw])
        case "power":
            return of(Kind.OPERATOR, "^")
        case "sign":
            return _sign(raw, of)
        case "bold":
            return None
    return _foreign(raw, of) if kind == "other" else of(Kind.OTHER)


def _words(content: str, of: _Maker) -> Token:
    """What `\\text{…}` encloses: a unit, or prose."""
    if re.search(r"[\d=+*]", content):
        return of(Kind.OTHER, content)
    return of(Kind.WORD if _CONNECTIVE.search(content) else Kind.TEXT, content)


def _number(raw: str, start: int, end: int, apart: bool) -> Token:
    numeral = read_numeral(re.sub(r"[^\d.]", "", raw))
    if numeral is None:
        return Token(Kind.OTHER, raw, start, end, apart=apart)
    return Token(Kind.NUMBER, raw, start, end, numeral.value, numeral.place, apart)


def _command(name: str, of: _Maker) -> Token | None:
    name = _SPELLINGS.get(name, name)
    if name in _GLUE:
        return None
    if name in _FUNCTIONS:
        return of(Kind.FUNCTION, name)
    for kind, table in ((Kind.OPERATOR, _OPERATORS), (Kind.RELATION, _RELATIONS), (Kind.DELIMITER, _DELIMITERS)):
        if name in table:
            return of(kind, table[name])
    if name in "%$":
        return of(Kind.SIGN, "%") if name == "%" else None
    if name == "\\":
        return of(Kind.HALT, "\n")
    return of(Kind.OTHER)


def _sign(raw: str, of: _Maker) -> Token | None:
    if raw in _OPERATORS:
        return of(Kind.OPERATOR)
    if raw in "([{":
        return of(Kind.OPEN)
    if raw in ")]}":
        return of(Kind.CLOSE)
    if raw in "%!":
        return of(Kind.SIGN)
    if raw == "$":
        return of(Kind.DELIMITER)
    return None if raw == "&" else of(Kind.HALT)


def _foreign(raw: str, of: _Maker) -> Token | None:
    """A sign outside ASCII by what it says in LaTeX."""
    spelled = in_ascii(raw).strip().removeprefix("\\")
    if spelled in {"times", "cdot", "div", "-", "/"} or spelled in _RELATIONS:
        return _command(spelled, of)
    return _command(spelled, of) if spelled in _FUNCTIONS else of(Kind.LETTER if raw.isalpha() else Kind.OTHER)
