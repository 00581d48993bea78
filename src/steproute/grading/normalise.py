"""One normal form of a final answer, for the model's answer and for the gold answer alike."""

import re
from typing import Final

from steproute.grading.braces import with_braces
from steproute.grading.symbols import in_ascii

_LONGEST: Final = 4_000
_DEEPEST: Final = 50
_OPEN, _CLOSE = "\ue000", "\ue001"  # words while their surroundings are rewritten; `in_ascii` leaves no such signs

_DECORATION: Final = re.compile(
    r"\\(?:left|right|middle|[bB]igg?[lrm]?)(?![A-Za-z])\s*\.?|"
    r"\\(?:displaystyle|textstyle|scriptstyle|limits|nolimits|mathstrut|strut|bf|rm|it|sf|tt|bfseries)(?![A-Za-z])|"
    r"\\(?:hspace|vspace|[hv]?phantom|label|tag)\*?\s*\{[^{}]*\}|\\(?:text)?color\s*\{[^{}]*\}|"
    r"(?<!\\)\\[()\[\]]|\*\*|__|(?<!\\)\$|\\!|`"
)
_SPACES: Final = re.compile(
    r"\\(?:quad|qquad|enspace|thinspace|medspace|thickspace|space|nobreakspace)(?![A-Za-z])|(?<!\\)\\[,;:> ]|~|\s+"
)
_CURRENCY: Final = re.compile(
    r"^\s*([+-]?)\s*(?:\\\$|([€£¥₹₩₽])|\\(?:pounds|euro)(?![A-Za-z]))\s*([+-]?.*)$", re.DOTALL
)
_WRAPPER: Final = re.compile(
    r"\\(?:(?P<text>text(?:bf|it|rm|sf|tt|normal|up|sc|md)?|mathrm|mathnormal|mbox|hbox|emph|underline|uline|"
    r"operatorname\*?)|math(?:bf|bb|it|sf|tt)|boldsymbol|bm|boxed|fbox|framebox)\s*\{"
)
_BRACE: Final = re.compile(r"\\.|[{}]", re.DOTALL)
_FUNCTIONS: Final = (
    "arcsin|arccos|arctan|arccot|sinh|cosh|tanh|coth|sin|cos|tan|cot|sec|csc|ln|log|exp|sqrt|pi|infty|theta|alpha|beta|"
    "gamma|lambda|omega|sigma|phi|gcd|lcm"
)
_BARE_FUNCTION: Final = re.compile(rf"(?<![A-Za-z\\\ue000])({_FUNCTIONS})(?![A-Za-z])")
_SPELLINGS: Final = tuple(
    (re.compile(pattern), spelling)
    for pattern, spelling in (
        (r"\\[dtc]frac(?![A-Za-z])", r"\\frac"),
        (r"\\(?:leq|leqslant|leqq|le)(?![A-Za-z])|<=", r"\\le "),
        (r"\\(?:geq|geqslant|geqq|ge)(?![A-Za-z])|>=", r"\\ge "),
        (r"\\lt(?![A-Za-z])", "<"),
        (r"\\gt(?![A-Za-z])", ">"),
        (r"\\neq?(?![A-Za-z])|!=", r"\\ne "),
        (r"\\(?:times|cdotp?|ast)(?![A-Za-z])|\\?\*", r"\\cdot "),
        (r"\\div(?![A-Za-z])", "/"),
        (r"\\(?:infin|infinity)(?![A-Za-z])|(?<![A-Za-z\\])(?:infinity|oo)(?![A-Za-z])", r"\\infty "),
        (r"\\(?:degrees?|textdegree)(?![A-Za-z])|\^\s*\\circ(?![A-Za-z])|\^\s*\{\s*\\circ\s*\}", r"^{\\circ}"),
        (r"\\(?:ldots|cdots|dots[cbmio]?|textellipsis)(?![A-Za-z])|\.{3,}", r"\\dots "),
        (r"\\(?:lvert|rvert|vert)(?![A-Za-z])", "|"),
        (r"\\begin\s*\{array\}\s*\{[^{}]*\}", r"\\begin{pmatrix}"),
        (r"\\end\s*\{array\}", r"\\end{pmatrix}"),
        (r"\\lbrace(?![A-Za-z])", r"\\{"),
        (r"\\rbrace(?![A-Za-z])", r"\\}"),
        (r"\\varnothing(?![A-Za-z])|\\\{\s*\\\}", r"\\emptyset "),
        (r"\\(?:backslash|smallsetminus)(?![A-Za-z])", r"\\setminus "),
        (r"\\(?:long)?rightarrow(?![A-Za-z])", r"\\to "),
        (r"\\(?:lor|vee)(?![A-Za-z])", " or "),
        (r"\\(?:land|wedge)(?![A-Za-z])", " and "),
        (r"\\var(phi|epsilon|theta|rho|sigma|pi)(?![A-Za-z])", r"\\\1 "),
        (r"\^\s*(?:\\prime(?![A-Za-z])|\{\s*\\prime\s*\})", "'"),
        (r"\\mathbb\s*([A-Z])", r"\1 "),
        (r"\\tbinom(?![A-Za-z])|\\dbinom(?![A-Za-z])", r"\\binom"),
        (r"\\(?:percent)(?![A-Za-z])|\\?%", r"\\% "),
        (r"\\\$", ""),
    )
)
_PREAMBLE: Final = re.compile(
    rf"^\s*({_OPEN}?)\s*(?:the )?(?:final )?(?:answer|option|choice|approximately|about)\b(?: is)?\s*:?\s*"
    rf"(?:{_CLOSE}\s*)?(?=[^\s{_CLOSE}])",
    re.IGNORECASE,
)
_MAGNITUDES: Final = {"thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_MAGNITUDE: Final = re.compile(rf"(?<=\d)\s*({_OPEN}?)\s*({'|'.join(_MAGNITUDES)})s?\b\s*({_CLOSE}?)")
_THOUSANDS: Final = re.compile(r"(?<=\d)(?:\{\s*,\s*\}|,?\\!|,?\\,|\\ )\s*(?=\d{3}(?!\d))")
_SPACED_THOUSANDS: Final = re.compile(r"(?<![\d.,])[1-9]\d{0,2}(?: \d{3})+(?!\d)")
_LEADING_POINT: Final = re.compile(r"(?<![\d.])\.(?=\d)")
_E_NOTATION: Final = re.compile(r"(?<![A-Za-z\d.])(\d+\.?\d*)[eE]([+-]?\d+)(?![\w^]|\.\d)")
_ANY_INTEGER: Final = re.compile(
    rf"\s*(?:[,;]|(?={_OPEN}|\b[fw]))\s*(?:{_OPEN}(?:for|where|with)[^{_CLOSE}]*{_CLOSE}|\b(?:for|where|with)\b)?\s*"
    r"(?<![A-Za-z\\])[a-z]\s*\\in\s*Z\s*$"
)
_LEADING: Final = re.compile(r"^(?:[=:,;]|\\(?:approx|sim|therefore|implies|Rightarrow)(?![A-Za-z])|\s)+")
_TRAILING: Final = re.compile(r"(?:(?<!\\)[,;:]|\s|\\\\|(?<!\.)\.|(?<=[\w}\]])\?)+$")
_INNER_SPACE: Final = re.compile(r"(?<=\{) | (?=\})")
_WORD: Final = re.compile(r"[^\W\d_]{2,}|^[a-z]\.?$|^[a-z]\.[a-z]\.$")
_NAME: Final = re.compile(r"^[^\W\d_]{2,}(?: [^\W\d_]+)*$")
_PARENTHESISED: Final = re.compile(r"\(([^()]*)\)")
_LISTED: Final = re.compile(r"\s*[,;]\s*(?:and\s+|or\s+)?|\s+(?:and|or)\s+")
_CONJUNCTION: Final = re.compile(r"[\s,;]*(?:and|or)[\s,;]*")
_COUNTED: Final = re.compile(r"([+-]?[\d.,/]*\d\.?)\s*((?!\d)[^\d].*)", re.DOTALL)


def is_readable(text: str) -> bool:
    """False for what no person writes: thousands of characters, or brackets dozens deep."""
    if len(text) > _LONGEST:
        return False
    depth = 0
    for sign in text:
        depth += (sign in "([{") - (sign in ")]}")
        if depth > _DEEPEST:
            return False
    return True


def normalised(text: str) -> str:
    """The answer in one spelling: ASCII, no decoration, arguments in braces, words as `\\text{…}`, single spaces."""
    return _tidied(with_braces(_respelled(_undressed(in_ascii(text)))))


def _undressed(text: str) -> str:
    """Without type faces, delimiters and spacing commands; words between private marks."""
    text = _TRAILING.sub("", _THOUSANDS.sub("", text))
    if (priced := _CURRENCY.match(text)) is not None and priced[3].strip():
        text = f"{priced[1]}{priced[3]} {_OPEN}{priced[2] or 'dollar'}{_CLOSE}"
    text = _DECORATION.sub("", text)
    for wrapper in reversed(list(_WRAPPER.finditer(text))):
        end = _closing_brace(text, wrapper.end())
        text = text[: wrapper.start()] + _words(text[wrapper.end() : end], bool(wrapper["text"])) + text[end + 1 :]
    text = _PREAMBLE.sub(lambda said: said[1] if _CLOSE not in said[0] else "", _SPACES.sub(" ", text))
    return _MAGNITUDE.sub(_power_of_ten, text)


def _power_of_ten(match: re.Match[str]) -> str:
    """`1.5 million` as a number; what else its type face encloses stays in it."""
    rest = match[1] if match[1] and not match[3] else ""
    return f"\\cdot 10^{{{_MAGNITUDES[match[2]]}}} {rest}"


def _closing_brace(text: str, start: int) -> int:
    """Where the group that begins at `start` ends."""
    depth = 1
    for brace in _BRACE.finditer(text, start):
        depth += {"{": 1, "}": -1}.get(brace[0], 0)
        if not depth:
            return brace.start()
    return len(text)


def _words(content: str, is_text: bool) -> str:
    """What a type face encloses: marked words, or bare mathematics if it holds no words."""
    if _OPEN in content:
        return content
    content = _SPACES.sub(" ", content).strip().strip("'\"")
    if _CONJUNCTION.fullmatch(content):
        return " , "
    if not (_WORD if is_text else _NAME).search(content) or "\\" in content:
        return content
    if len(parts := _LISTED.split(content)) > 1:
        return ", ".join(_words(part, is_text) for part in parts)
    if (counted := _COUNTED.fullmatch(content)) is not None:
        return f"{counted[1]} {_OPEN}{counted[2].strip()}{_CLOSE}"
    if (parenthesised := _PARENTHESISED.fullmatch(content)) is not None:
        content = parenthesised[1]
    return f"{_OPEN}{content}{_CLOSE}"


def _respelled(text: str) -> str:
    for pattern, spelling in _SPELLINGS:
        text = pattern.sub(spelling, text)
    text = _BARE_FUNCTION.sub(r"\\\1 ", text)
    text = _LEADING_POINT.sub("0.", text)
    text = _E_NOTATION.sub(r"\1\\cdot 10^{\2}", text)
    return _SPACED_THOUSANDS.sub(lambda number: number[0].replace(" ", ""), text)


def _tidied(text: str) -> str:
    text = _LEADING.sub("", _INNER_SPACE.sub("", _SPACES.sub(" ", text)))
    text = _TRAILING.sub("", _ANY_INTEGER.sub("", _TRAILING.sub("", text)))
    return text.replace(_OPEN, "\\text{").replace(_CLOSE, "}").strip()
