"""Final answers that are stated in words: "So the final answer is 210.", "Final answer: 210" or "#### 210"."""

import re
from typing import Final

from steproute.core.boxed import closed_boxed, is_placeholder
from steproute.core.statements import lines_backwards, sentences_backwards, stated

_NOUNS: Final = frozenset({"answer"})
_MOST_WORDS: Final = 4
_MOST_MARKED_WORDS: Final = 40
_LONGEST_OPERAND: Final = 80
_HASHES: Final = re.compile(r"####\s*(?P<value>\S.*)")
_LISTED: Final = re.compile(r"\d[\d.]*(?:[):]|(?<=\.))\s+\S")
_TITLED: Final = re.compile(r"\d[\d.]*\s+[A-Z][a-z]")
_BEGINS_WORK: Final = re.compile(
    r"(?:(?:let|let['’]s|we|I|wait|hmm+|okay|consider|note|if|suppose|assume|step\s+\d|as\s+follows)(?=[\s,:.])|"
    r"(?:first|now|since|because|see)(?:,|\s+(?:we|I|let|the|below|above)\b)|"
    r"to\s+(?:find|solve|get|compute|calculate|determine|answer|figure|show|prove)\b)",
    re.IGNORECASE,
)
_PART_OF_MORE: Final = re.compile(
    r"(?:\d\S*\s+(?:or|nor|and)|\b(?:of|by|than|from|to|plus|minus|times|over|not)|\d\s*[-+*/×·÷^])\s*$", re.IGNORECASE
)
_HEADING: Final = re.compile(
    r"(?:#{1,6}\s*)?(?:the\s+)?(?:final\s+answer|answer(?=\s*:))(?:\s+is)?\s*:?", re.IGNORECASE
)
_REVERSED: Final = re.compile(
    r"(?P<before>.*?(?:^|[\s,;:]))(?P<value>[-+−]?[$€£¥]?\d[\d,./]*%?|\$[^$]+\$)\s+(?:is|as)\s+(?:the|our|my)\s+"
    r"(?:(?:final|correct)\s+)?answer",
    re.IGNORECASE,
)
_NUMBER: Final = re.compile(
    r"[-+−±]?\s*(?:\\?[$€£¥₹]\s*)?[-+−]?(?:\d[\d,. ]*|\.\d+)(?:\s*/\s*\d+)?\s*(?:\\?%|°)?(?:\s+[A-Za-z%°²³/-]+){0,3}"
)
_HEDGE: Final = re.compile(r"(?:approximately|about|roughly|around|exactly|equal\s+to)\b\s*:?\s*", re.IGNORECASE)
_GOES_ON: Final = re.compile(
    r"\b(?:if|then|when|because|since|but|unless|whether|not|so|which|while|where|let|is|are|was|we|you|need|must|"
    r"than|times|therefore|right|wrong|incorrect|mistake\w*|neither|nor|divided|multiplied)\b|[?]",
    re.IGNORECASE,
)
_DESCRIBES: Final = re.compile(
    r"an?\s|(?:the|in|to|of|as|by|at|from|found|given|obtained|what|that|this|these|just|still|also|always|only|(?:in)?correct|"
    r"wrong|right|clear|obvious|simple|unknown|never|not|no|going|it|its|there|here|on|one|positive|negative|between|"
    r"therefore|thus|both|likely|probably|reasonable|consistent|unique|ready|now|yet|easy|easily|hard|difficult|straightforward|trivial|hidden|based|"
    r"derived|computed|calculated|determined|expected|required|needed|asked|supposed|meant|different|similar|divisible|"
    r"bounded|well|very|too|quite|rather|almost|nearly|such|like|for|with|without|through|being|we|you|I|he|she|they)\b(?=\s|$)",
    re.IGNORECASE,
)
_ONE_WORD: Final = re.compile(r"(?:yes|no|true|false|none|both|positive|negative|one)", re.IGNORECASE)
_FORMULA: Final = re.compile(r"(?P<open>\$\$?|\\\(|\\\[)(?P<inside>.+?)(?:\$\$?|\\\)|\\\])")
_AROUND: Final = " \t*_`\"'“”‘’"
_ENDS: Final = ".!。"


def final_line(text: str) -> str | None:
    """The final answer that `text` states last, in a sentence of its own or on a line of its own; None if it has none.

    Questions, conditions ("if the answer is 5 then …") and denials state no answer. A box, dollar signs, bold type and
    the full stop around the answer are removed. Takes linear time.
    """
    for line, after in lines_backwards(text):
        answer = _on_a_line(line, after) or _in_a_sentence(line, after)
        if answer is not None:
            return answer
    return None


def undressed(value: str) -> str:
    """An answer without the box, the mathematics delimiters, the quotes and the full stop around it."""
    boxed = closed_boxed(value)
    if boxed is not None:
        return boxed.strip()
    value = value.strip(_AROUND).rstrip(_ENDS).strip(_AROUND)
    formula = _FORMULA.fullmatch(value)
    return formula["inside"].strip(" .") if formula and "$" not in formula["inside"] else value


def is_heading(line: str) -> bool:
    """Whether a line says that the answer comes next, such as "**Final Answer**"."""
    return _HEADING.fullmatch(line) is not None


def _on_a_line(line: str, after: str) -> str | None:
    hashes = _HASHES.fullmatch(line)
    if hashes is not None:
        value = hashes["value"]
        return _sound(value) if _is_plain(value) and not _TITLED.match(value) else None
    if is_heading(line) and (_is_plain(after) or (_is_short(after) and not _LISTED.match(after))):
        return _sound(after)
    return _sound(line) if _is_a_box(line) else None


def _in_a_sentence(line: str, after: str) -> str | None:
    sentences = sentences_backwards(line)
    for number, sentence in enumerate(sentences):
        statement = stated(sentence, _NOUNS)
        if statement is None:
            value = _reversed(sentence)
        elif not _HEDGE.sub("", statement.value).strip(" :"):
            value = _sound(after) if number == 0 and _is_plain(after) else None
        else:
            marked = statement.marked
            value = _marked(statement.value, sentences[:number]) if marked else _plain_value(statement.value)
        if value is not None:
            return value
    return None


def _marked(rest: str, later: list[str]) -> str | None:
    """What follows "Final answer:"; a number ends with its sentence, other text with its line."""
    if _is_plain(rest) or "\\boxed" in rest:
        return _sound(rest)
    text = " ".join([rest, *reversed(later)])
    return _sound(text) if _is_short(text, _MOST_MARKED_WORDS) else None


def _plain_value(rest: str) -> str | None:
    """What follows "the answer is", if that is an answer and the end of the sentence."""
    rest = _HEDGE.sub("", rest, count=1) if _HEDGE.match(rest) else rest
    bare = rest.strip(_AROUND).rstrip(_ENDS)
    if _ONE_WORD.fullmatch(bare):
        return _sound(rest)
    if closed_boxed(rest) is None and (_GOES_ON.search(_FORMULA.sub("", rest)) or _DESCRIBES.match(bare)):
        return None
    symbols = any(not each.isalpha() for each in bare.replace(" ", ""))
    return _sound(rest) if symbols or len(bare.split()) <= _MOST_WORDS else None


def _reversed(sentence: str) -> str | None:
    """The 210 of "So 210 is the final answer."."""
    match = _REVERSED.match(sentence)
    if match is None or sentence[match.end() :].strip(_AROUND + _ENDS):
        return None
    if _PART_OF_MORE.search(match["before"][-_LONGEST_OPERAND:]):
        return None
    mock = stated(f"{match['before']}the answer is {match['value']}", _NOUNS)
    return None if mock is None else _sound(match["value"])


def _is_plain(value: str) -> bool:
    """Whether a value is a number, with a currency or a unit, or a formula or box."""
    value = value.strip(_AROUND).rstrip(_ENDS).strip(_AROUND)
    if _LISTED.match(value):
        return False
    formula = _FORMULA.fullmatch(value)
    return bool(formula) or _NUMBER.fullmatch(value) is not None or _is_a_box(value)


def _is_short(text: str, most_words: int = _MOST_WORDS) -> bool:
    """Whether a text may be an answer in words, and not the beginning of a working."""
    bare = text.strip(_AROUND)
    return len(bare.split()) <= most_words and not _BEGINS_WORK.match(bare)


def _is_a_box(line: str) -> bool:
    bare = line.strip(_AROUND + "$" + _ENDS).removeprefix("\\(").removeprefix("\\[")
    bare = bare.removesuffix("\\)").removesuffix("\\]").strip(" $" + _ENDS)
    return bare.startswith(("\\boxed", "\\fbox")) and bare.endswith("}") and closed_boxed(bare) is not None


def _sound(value: str) -> str | None:
    answer = undressed(value)
    return None if not answer or is_placeholder(answer) else answer
