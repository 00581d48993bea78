"""Whether two final answers are the same."""

import re
from collections.abc import Callable, Iterable
from typing import Final

from steproute.grading.normalise import is_readable, normalised
from steproute.grading.numerals import Numeral, equal_numerals, read_numeral, same_integer
from steproute.grading.parts import Atom, Group, Named, Part, readings
from steproute.grading.units import in_base, number_word, without_unit

Formulas = Callable[[str, str], bool | None]

_MOST_PARTS: Final = 100
_TEXT: Final = re.compile(r"\\text\{([^{}]*)\}")
_SPACES: Final = re.compile(r"(\\[A-Za-z]+|\d)\s+(?:(?<=\d\s)(?=\d)|(?<!\d\s)(?=[A-Za-z]))|\s+")
_WORDS: Final = re.compile(r"[^\W\d_]+(?:[\s.'/-]+[^\W\d_]+)*\.?")
_BLANKS: Final = re.compile(r"(?<!\d)\s+|\s+(?!\d)")
_BARE_WORD: Final = re.compile(r"[^\W\d_]{4,}|[A-Z][a-z]+")
_MIXED: Final = re.compile(r"^([+-]?\d+) (\d+) ?/ ?(\d+)$")
_OPTION: Final = re.compile(r"\(?([A-J])(?:\)|\.|:|\)\.|\)\s*:)\s*(.*)|\(([A-J])\)\s*(.*)|([A-J])", re.DOTALL)


def equal(answer: str, gold: str, formulas: Formulas) -> bool | None:
    """Whether two answers are the same; None if `formulas` could not decide about a formula on which it depends.

    Answers of thousands of characters, and brackets dozens deep, are compared as text.

    formulas: whether two formulas in normal form, without spaces, are equal; False if one cannot be read whole.
    """
    if (same := equal_text(answer, gold)) is not None:
        return same
    if not (is_readable(answer) and is_readable(gold)):
        return False
    left, right = normalised(answer), normalised(gold)
    if plain(left) == plain(right):
        return True
    if (options := _same_option(left, right)) is not None:
        return options
    pairs = [(one, other) for one in readings(left) for other in readings(right)]
    return _any(_equal_parts(one, other, formulas) for one, other in pairs)


def equal_text(answer: str, gold: str) -> bool | None:
    """True for the same text, spaces aside; whether two integers are the same; else None."""
    if _BLANKS.sub("", answer.strip()) == _BLANKS.sub("", gold.strip()):
        return True
    return same_integer(answer.strip(), gold.strip())


def plain(text: str) -> str:
    """An answer in normal form without its spaces and without the marks of words."""
    return _SPACES.sub(lambda space: f"{space[1]} " if space[1] else "", _TEXT.sub(r"\1", text))


def _equal_parts(one: Part, other: Part, formulas: Formulas) -> bool | None:
    if isinstance(one, Named) or isinstance(other, Named):
        return _equal_named(one, other, formulas)
    if isinstance(one, Atom) and isinstance(other, Atom):
        return _equal_atoms(one.text, other.text, formulas)
    left, right = _as_group(one), _as_group(other)
    if left.kind in _UNORDERED and right.kind in _UNORDERED:
        return (
            _equal_sets(left, right, formulas)
            if "union" not in (left.kind, right.kind) or left.kind == right.kind
            else False
        )
    return _equal_sequences(left, right, formulas)


_UNORDERED: Final = ("list", "set", "union")


def _as_group(part: Part) -> Group:
    return part if isinstance(part, Group) else Group("list", (part,))


def _equal_named(one: Part, other: Part, formulas: Formulas) -> bool | None:
    """Equal values, and equal names if both have one; two equations may be the same in another form, too."""
    if not (isinstance(one, Named) and isinstance(other, Named)):
        value = one.value if isinstance(one, Named) else one
        rival = other.value if isinstance(other, Named) else other
        same = _equal_parts(value, rival, formulas)
        whole = [part for part in (one, other) if isinstance(part, Atom)]
        if same or not whole or "=" not in whole[0].text:
            return same
        left, right = (part.text if isinstance(part, Atom | Named) else "" for part in (one, other))
        return formulas(_formula(left), _formula(right))
    if plain(one.name) == plain(other.name):
        return _equal_parts(one.value, other.value, formulas)
    return formulas(_formula(one.text), _formula(other.text))


def _equal_sets(one: Group, other: Group, formulas: Formulas) -> bool | None:
    """Each item of one is in the other, and the other way round."""
    if max(len(one.items), len(other.items)) > _MOST_PARTS:
        return False
    covered = [
        _any(_equal_parts(item, rival, formulas) for rival in theirs)
        for mine, theirs in ((one.items, other.items), (other.items, one.items))
        for item in mine
    ]
    return _all(covered)


def _equal_sequences(one: Group, other: Group, formulas: Formulas) -> bool | None:
    """Item by item; a bare list stands for a tuple, too."""
    pair = {one.kind, other.kind}
    if pair == {"list", "tuple"}:
        if len({each.brackets for each in (one, other) if each.kind == "tuple"} - {"()"}):
            return False
    elif one.kind != other.kind or one.brackets != other.brackets:
        return False
    if len(one.items) != len(other.items):
        return False
    return _all(_equal_parts(mine, theirs, formulas) for mine, theirs in zip(one.items, other.items, strict=True))


def _equal_atoms(one: str, other: str, formulas: Formulas) -> bool | None:
    left, right = plain(one), plain(other)
    if left == right:
        return True
    if (integers := same_integer(left, right)) is not None:
        return integers
    based = in_base(one), in_base(other)
    if any(based):
        return based[0] == based[1]
    one, other = number_word(left) or one, number_word(right) or other
    if _are_words(one) or _are_words(other):
        return _letters(one) == _letters(other)
    (value, unit), (rival, rival_unit) = without_unit(one), without_unit(other)
    if unit and rival_unit and unit != rival_unit:
        return False
    return _equal_values(value, rival, {unit, rival_unit} == {"", "%"}, formulas)


def _equal_values(one: str, other: str, hundredths: bool, formulas: Formulas) -> bool | None:
    """hundredths: one is a percentage, and the other may be its hundredth."""
    left, right = plain(one), plain(other)
    if left == right:
        return True
    number, rival = _numeral(one), _numeral(other)
    if number is not None and rival is not None:
        return equal_numerals(number, rival) or (hundredths and _hundredfold(number, rival))
    return formulas(_formula(one), _formula(other))


def _numeral(text: str) -> Numeral | None:
    return read_numeral(plain(_MIXED.sub(r"\1\\frac{\2}{\3}", text)))


def _hundredfold(one: Numeral, other: Numeral) -> bool:
    return one.value == 100 * other.value or other.value == 100 * one.value


def _formula(text: str) -> str:
    return _TEXT.sub(
        lambda words: f"\\text{{{words[1].strip()}}}", _SPACES.sub(lambda space: f"{space[1] or ''} ", text)
    )


def _are_words(text: str) -> bool:
    """Whether an atom is a name or words, and no product of variables."""
    marked = _TEXT.fullmatch(text.strip())
    words = marked[1].strip() if marked is not None else text.strip()
    if _WORDS.fullmatch(words) is None:
        return False
    if marked is not None:
        return len(words) > 1
    return "/" not in words and _BARE_WORD.search(words) is not None


def _letters(text: str) -> str:
    """The letters of a name or words; empty for anything else."""
    words = _TEXT.sub(r"\1", text).strip()
    return re.sub(r"\W", "", words).casefold() if _WORDS.fullmatch(words) else ""


def _same_option(one: str, other: str) -> bool | None:
    """Whether two options have the same letter, one of them without its text; None if they are no options."""
    matches = [_OPTION.fullmatch(plain_option(text)) for text in (one, other)]
    if matches[0] is None or matches[1] is None:
        return None
    letters = [match[1] or match[3] or match[5] for match in matches if match is not None]
    texts = [(match[2] or match[4] or "").strip() for match in matches if match is not None]
    if letters[0] != letters[1]:
        return False
    return True if not all(texts) else None


def plain_option(text: str) -> str:
    """An option without the marks of words."""
    return _TEXT.sub(r"\1", text).strip()


def _any(verdicts: Iterable[bool | None]) -> bool | None:
    unknown = False
    for verdict in verdicts:
        if verdict:
            return True
        unknown = unknown or verdict is None
    return None if unknown else False


def _all(verdicts: Iterable[bool | None]) -> bool | None:
    unknown = False
    for verdict in verdicts:
        if verdict is False:
            return False
        unknown = unknown or verdict is None
    return None if unknown else True
