"""The equalities that a step states between expressions, and what speaks against taking one at its word."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from steproute.grading.units import without_unit
from steproute.tools.tokens import Kind, Token, tokens_of

_EXPRESSION: Final = frozenset({Kind.NUMBER, Kind.OPERATOR, Kind.OPEN, Kind.CLOSE, Kind.FUNCTION, Kind.SIGN, Kind.TEXT})
_FORMULA: Final = _EXPRESSION | {Kind.LETTER}
_VALUES: Final = frozenset({Kind.NUMBER, Kind.CLOSE, Kind.SIGN, Kind.TEXT})
_MOST_UNIT_WORDS: Final = 4
_OPERATING_WORDS: Final = frozenset(
    {
        "mod",
        "modulo",
        "remainder",
        "base",
        "floor",
        "ceil",
        "ceiling",
        "round",
        "rounded",
        "approximately",
        "about",
        "around",
        "nearly",
        "roughly",
        "plus",
        "minus",
        "times",
        "by",
        "over",
        "and",
        "or",
        "of",
        "than",
        "to",
        "from",
        "less",
        "more",
        "log",
        "ln",
        "sin",
        "cos",
        "tan",
        "gcd",
        "lcm",
        "max",
        "min",
        "sum",
        "difference",
        "product",
        "quotient",
        "average",
        "mean",
        "not",
        "divided",
        "multiplied",
        "squared",
        "cubed",
        "through",
        "between",
        "with",
        "half",
        "twice",
        "thrice",
        "out",
        "until",
    }
)
_LINKING_WORDS: Final = frozenset({"and", "or"})
_DOUBT: Final = re.compile(
    r"\b(?:mod|modulo|remainder|base|floor|ceil(?:ing)?|round(?:ed|ing|s)?|nearest|approx\w*|estimate\w*|truncat\w*|"
    r"cannot|false|untrue|contradict\w*|impossible|incorrect\w*|wrong\w*|invalid|mistake\w*|error|"
    r"no solutions?|fails?|inconsistent|"
    r"(?:not|n['’]t)\s+(?:\w+\s+){0,2}?(?:equal|true|valid|hold|correct|possible|match|satisf\w*|work|consistent|same|"
    r"so|the case))\b|\\(?:bmod|pmod|mod|lfloor|lceil|neq?|equiv|stackrel)|≠|"
    r"≡|\?\s*=|=\s*\?|\d\s*R\s*\d|digit",
    re.IGNORECASE,
)
_SENTENCE_END: Final = re.compile(r"(?<=[.?!])\s+(?=[A-Z\\$*])|\n")
_AFTERTHOUGHT: Final = re.compile(
    r"\s*\W*(?:(?:but|which|this|that|however|since|we)\b[^.]{0,60})?\b"
    r"(?:not|n['’]t|false|contradict\w*|impossible|incorrect|wrong|invalid)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Equality:
    """`left = right` in a step.

    doubt: why it may not be meant as an equality of these two values; empty for none. unit: the word behind it.
    """

    left: tuple[Token, ...]
    right: tuple[Token, ...]
    doubt: str = ""
    unit: str = ""

    @property
    def start(self) -> int:
        """Where it begins in the step's text."""
        return self.left[0].start

    @property
    def end(self) -> int:
        """Where it ends."""
        return self.right[-1].end


def equalities(text: str) -> list[Equality]:
    """Those of a step whose sides hold no variables, in order."""
    tokens = _with_units(_without_joints(tokens_of(text)))
    return list(_found(text, tokens))


def identities(text: str) -> list[Equality]:
    """Neighbours in a chain of three sides or more that hold the same variables, as in `p = (x + 1)^2 = x^2 + 2x + 1`.

    The first two sides of a chain are left out: they may define something, or be an equation to be solved.
    """
    tokens = _without_joints(tokens_of(text))
    return [each for each in _found(text, tokens, _FORMULA) if _is_identity(tokens, each)]


def _is_identity(tokens: Sequence[Token], equality: Equality) -> bool:
    names = [{token.text for token in side if token.kind is Kind.LETTER} for side in (equality.left, equality.right)]
    start = next(at for at, token in enumerate(tokens) if token is equality.left[0])
    before = tokens[start - 1] if start else None
    in_chain = before is not None and before.kind is Kind.RELATION and before.text == "="
    return in_chain and bool(names[0]) and names[0] == names[1]


def _found(text: str, tokens: Sequence[Token], kinds: frozenset[Kind] = _EXPRESSION) -> Iterator[Equality]:
    for at, token in enumerate(tokens):
        if token.kind is not Kind.RELATION or token.text != "=":
            continue
        start, end = _left_start(tokens, at, kinds), _right_end(tokens, at + 1, kinds)
        left, right = tokens[start:at], tokens[at + 1 : end]
        if left and right:
            doubt = (
                _before(tokens, start)
                or _named(tokens, start, at)
                or _after(tokens, start, end)
                or _around(text, left[0].start, right[-1].end)
            )
            unit = tokens[end].text if end < len(tokens) and tokens[end].kind is Kind.WORD else ""
            yield Equality(tuple(left), tuple(right), doubt, unit)


def _without_joints(tokens: list[Token]) -> list[Token]:
    """Without delimiters of formulas within one calculation, as in `$3$ + $4$ = $7$`, and without new lines before an
    equals sign."""
    tokens = _with_powers_of_units(tokens)
    kept: list[Token] = []
    for at, token in enumerate(tokens):
        before, after = kept[-1] if kept else None, tokens[at + 1] if at + 1 < len(tokens) else None
        if token.kind is Kind.DELIMITER and _joins(before, after):
            continue
        if token.text == "\n" and after is not None and after.kind is Kind.RELATION and before is not None:
            continue
        kept.append(token)
    return kept


def _with_powers_of_units(tokens: list[Token]) -> list[Token]:
    """`\\text{cm}^2` as one token."""
    kept: list[Token] = []
    while tokens:
        first, tokens = tokens[0], tokens[1:]
        if first.kind is Kind.TEXT and tokens and tokens[0].text == "^":
            count = 2 if len(tokens) > 1 and tokens[1].kind is Kind.NUMBER else 4
            first = replace(
                first, end=tokens[:count][-1].end, text=first.text + "".join(t.text for t in tokens[:count])
            )
            tokens = tokens[count:]
        kept.append(first)
    return kept


def _joins(before: Token | None, after: Token | None) -> bool:
    """Whether a delimiter stands between a value and a sign, or behind a sign."""
    signs = (Kind.OPERATOR, Kind.RELATION)
    if before is not None and before.kind in signs:
        return True
    is_value = before is not None and (before.kind in _VALUES or before.kind is Kind.LETTER)
    return is_value and after is not None and after.kind in signs


def _with_units(tokens: list[Token]) -> list[Token]:
    """Words between a value and a sign as its unit, and without a name before a value, as in `3 + Cleo 4`."""
    kept: list[Token] = []
    at = 0
    while at < len(tokens):
        count = _unit_words(tokens, at) if kept and kept[-1].kind in _VALUES else 0
        if count:
            words = " ".join(token.text for token in tokens[at : at + count])
            kept.append(Token(Kind.TEXT, words, tokens[at].start, tokens[at + count - 1].end, apart=tokens[at].apart))
        elif not _is_name(kept, tokens, at):
            kept.append(tokens[at])
        at += count or 1
    return kept


def _unit_words(tokens: Sequence[Token], at: int) -> int:
    """How many words, from `at`, stand between a value and a sign."""
    end = at
    while end < len(tokens) and tokens[end].kind is Kind.WORD and tokens[end].text.lower() not in _OPERATING_WORDS:
        end += 1
    if not 0 < end - at <= _MOST_UNIT_WORDS or end == len(tokens):
        return 0
    words = " ".join(token.text for token in tokens[at:end])
    if not without_unit(f"1 {words}" if tokens[at].apart else f"1{words}")[1]:
        return 0
    follows = tokens[end]
    return end - at if follows.kind in (Kind.OPERATOR, Kind.RELATION) or follows.text == ")" else 0


def _is_name(kept: Sequence[Token], tokens: Sequence[Token], at: int) -> bool:
    if tokens[at].kind is not Kind.WORD or not tokens[at].text.istitle() or not kept or at + 1 == len(tokens):
        return False
    return kept[-1].kind is Kind.OPERATOR and kept[-1].apart and tokens[at + 1].kind is Kind.NUMBER


def _left_start(tokens: Sequence[Token], at: int, kinds: frozenset[Kind]) -> int:
    """Where the expression begins that ends before the sign at `at`."""
    depth = 0
    while at > 0 and tokens[at - 1].kind in kinds:
        kind = tokens[at - 1].kind
        depth += (kind is Kind.CLOSE) - (kind is Kind.OPEN)
        if depth < 0:
            break
        at -= 1
    return at


def _right_end(tokens: Sequence[Token], at: int, kinds: frozenset[Kind]) -> int:
    """Where the expression ends that begins at `at`."""
    depth = 0
    while at < len(tokens) and tokens[at].kind in kinds:
        kind = tokens[at].kind
        depth += (kind is Kind.OPEN) - (kind is Kind.CLOSE)
        if depth < 0:
            break
        at += 1
    return at


def _before(tokens: Sequence[Token], start: int) -> str:
    """What in front of the left side could belong to it."""
    first = tokens[start]
    is_signed = first.text in ("+", "-")
    if start == 0:
        return ""
    previous = tokens[start - 1]
    match previous.kind:
        case Kind.RELATION:
            return "" if previous.text != "!=" else "it is in a chain with an inequality"
        case Kind.DELIMITER:
            return ""
        case Kind.OPEN:
            behind = tokens[start - 2].kind if start > 1 else Kind.HALT
            return "its left side is an argument" if behind in (Kind.LETTER, Kind.OTHER, Kind.CLOSE) else ""
        case Kind.HALT:
            return _after_halt(tokens, start, previous, is_signed)
        case Kind.WORD:
            if previous.text.lower() in _OPERATING_WORDS - _LINKING_WORDS:
                return f"{previous.text!r} comes before it"
            if start > 1 and tokens[start - 2].kind in _VALUES:
                return "a value comes before it"
            return "a dash may come before it" if is_signed and first.apart and _is_dash(tokens, start) else ""
    return f"{previous.text!r} comes before it"


def _after_halt(tokens: Sequence[Token], start: int, halt: Token, is_signed: bool) -> str:
    before = tokens[start - 2].kind if start > 1 else Kind.HALT
    if halt.text in ",:;" and before in _VALUES:
        return "it may be an item of a list"
    return "a dash may come before it" if is_signed and halt.text == "\n" and _is_dash(tokens, start) else ""


def _is_dash(tokens: Sequence[Token], at: int) -> bool:
    """Whether the sign stands apart from what follows it."""
    return tokens[at + 1].start > tokens[at].end


def _named(tokens: Sequence[Token], start: int, at: int) -> str:
    """Whether the left side is one number at the end of a phrase, as in `the rate for 20 frogs = 1800 / 9`."""
    if any(token.kind in (Kind.OPERATOR, Kind.FUNCTION) for token in tokens[start:at]) or start == 0:
        return ""
    previous = tokens[start - 1]
    is_bare = all(token.kind is not Kind.TEXT for token in tokens[start:at])
    starts = previous.kind is Kind.RELATION or (is_bare and previous.text in ("(", "[", "\n", "."))
    return "" if starts else "its left side may end a phrase"


def _after(tokens: Sequence[Token], start: int, end: int) -> str:
    """What behind the right side could belong to it."""
    if end == len(tokens):
        return ""
    following = tokens[end]
    match following.kind:
        case Kind.RELATION | Kind.DELIMITER:
            return ""
        case Kind.HALT:
            beyond = tokens[end + 1] if end + 1 < len(tokens) else None
            is_list = following.text in ",:" and beyond is not None and beyond.kind is Kind.NUMBER
            return "it may be an item of a list" if is_list else ""
        case Kind.CLOSE:
            inside = start > 0 and tokens[start - 1].kind in (Kind.OPEN, Kind.RELATION)
            return "" if inside else "a bracket is closed in its right side"
        case Kind.WORD:
            part = following.text.lower() in _OPERATING_WORDS - _LINKING_WORDS or _is_product(following)
            return f"{following.text!r} follows" if part else ""
    return f"{following.text!r} follows"


def _is_product(word: Token) -> bool:
    """Whether letters behind a number are variables, as in 5AD."""
    return (not word.apart and not without_unit(f"1{word.text}")[1]) or word.text.isupper()


def _around(text: str, start: int, end: int) -> str:
    """A word of the same sentence, or an afterthought, that says that no equality of these numbers is meant."""
    begin = max((match.end() for match in _SENTENCE_END.finditer(text, 0, start)), default=0)
    stop = next((match.start() for match in _SENTENCE_END.finditer(text, end)), len(text))
    if (word := _DOUBT.search(text[begin:stop])) is not None:
        return f"its sentence says {word[0]!r}"
    if (word := _AFTERTHOUGHT.match(text, stop)) is not None:
        return f"the next sentence says {word[0].strip()!r}"
    return ""
