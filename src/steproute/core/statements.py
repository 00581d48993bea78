"""Sentences that state an answer, such as "So the final answer is 210.", as opposed to those that only mention one."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_DETERMINER: Final = r"(?:the|my|our|your|this)\s+"
_ADJECTIVES: Final = (
    r"(?:(?:final|correct|right|best|numerical|numeric|exact|desired|required|requested|overall|simplified)\s+)"
)
_TO_WHAT: Final = (
    r"(?:\s+(?:to|for|of)\s+(?:the|this|our|your)\s+(?:(?:original|given|whole|main)\s+)?"
    r"(?:question|problem|exercise|task|puzzle))?"
)
_ASIDE: Final = r"(?:\s*,?\s*(?:therefore|thus|then|hence|here|now|indeed|simply|just|so|clearly)\b,?)?"
_INSERTED: Final = r"(?:,[^.;:!?]{1,100},(?=\s+(?:is|are|would|must)\b))?"
_VERB: Final = (
    r"(?P<verb>\s*[:=]|\s+(?:[-–—]|->|→)(?=\s)|\s+(?:is|are|equals|(?:would|will|must|should)\s+be|has\s+to\s+be|"
    r"comes(?:\s+out)?\s+to|of)\b(?:\s+equal\s+to\b)?\s*:?)"
)
_STATEMENT: Final = re.compile(
    rf"(?<![\w'’-])(?P<determiner>(?:{_DETERMINER}|an?\s+(?=final\b)))?(?P<adjectives>{_ADJECTIVES}{{0,2}})"
    rf"(?P<noun>answer|result|solution|option|choice)s?{_TO_WHAT}{_INSERTED}{_ASIDE}{_VERB}{_ASIDE}",
    re.IGNORECASE,
)
_CONCLUSION: Final = re.compile(r"\b(?:so|thus|therefore|hence|consequently|accordingly)\b", re.IGNORECASE)
_CONDITION: Final = re.compile(
    r"\b(?:if|suppos\w*|assum\w*|unless|whether|when|whenever|until|imagine|were|provided|otherwise|case\s+\d|"
    r"for\s+(?:example|instance)|in\s+(?:the\s+)?(?:first|second|third|last|latter|former|other|best|worst|that)\s+case)\b",
    re.IGNORECASE,
)
_OWN_VIEW: Final = re.compile(
    r"\b(?:(?:I|we)\s+(?:(?:would|can|could|must|do|now|also|still|therefore|strongly)\s+)*|(?:safe|fair|correct|right)\s+to\s+)"
    r"(?:think|believe|say)\b",
    re.IGNORECASE,
)
_DOUBT: Final = re.compile(
    r"\b(?:not|never|cannot|no|none|nobody|neither|nor|either|hardly|unsure|uncertain\w*|unclear|untrue|check\w*|verif\w*|"
    r"confirm\w*|doubt\w*|guess\w*|claim\w*|wonder\w*|mistak\w*|wrong\w*|incorrect\w*|false\w*|erroneous\w*|"
    r"perhaps|maybe|might|may|possibly|(?:im)?possible\s+(?:that|to)|(?:un)?likely|(?:im)?probabl[ey]|contradict\w*|refut\w*|reject\w*|den(?:y|ies)|"
    r"disprov\w*|rules?\s+out|absurd|tempt\w*|naive\w*|mislead\w*|misled|misconception|fallacy|trap|"
    r"pitfall|hop(?:e|es|ing)|wish\w*|suspect\w*|conjectur\w*|hypothes\w*|pretend\w*|first\s+(?:sight|glance)|"
    r"thinks?|thought|believ\w*|says?|said|told|tells?|wr(?:ote|ites?)|"
    r"would\s+(?:mean|imply|suggest|make)|given(?:\s+that)?\s*$|"
    r"(?:want|wish|need|try|trying|aim|going|remains|have|order)\s+to\s+(?:show|prove|establish)|"
    r"(?:will|shall|must|should|let\s+us)\s+(?:(?:now|first|then)\s+)?(?:show|prove|establish))\b|n['’]t\b|"
    r"\blet['’]s\s+(?:show|prove)\b",
    re.IGNORECASE,
)
_PLAN: Final = re.compile(r"\b(?:to|let|lets|need|can|could|may|might|must|should|will)\b|\blet['’]s\b", re.IGNORECASE)
_CLAUSE_START: Final = re.compile(
    r"(?:^|[,;:.()\u2013\u2014>*-]|\b(?:so|thus|therefore|hence|then|and|finally|now|is|that))\s*$", re.IGNORECASE
)
_CLAUSE_END: Final = re.compile(r"[,;]|\b(?:but|however)\b", re.IGNORECASE)
_WORD: Final = re.compile(r"\w")
_BOLD: Final = re.compile(r"(?<![\w*])(\*\*|__)(?=\S)(.{1,300}?)(?<=\S)\1(?![\w*])")
_SENTENCE_END: Final = re.compile(
    r"(?<=[.!?])(?<!\bDr\.)(?<!\bMr\.)(?<!\bMs\.)(?<!\bMrs\.)(?<!\bSt\.)(?<!\bNo\.)(?<!\bvs\.)(?<![ie]\.[ge]\.)\s+(?=\S)"
)


def lines_backwards(text: str) -> Iterator[tuple[str, str]]:
    """Each line that is not blank with the next such line after it (empty if none), last line first, without bold."""
    after = ""
    for raw in reversed(text.splitlines()):
        line = _BOLD.sub(r"\2", raw).strip()
        if line:
            yield line, after
            after = line


def sentences_backwards(line: str) -> list[str]:
    """The sentences of a line, last one first."""
    return _SENTENCE_END.split(line.lstrip("#> \t"))[::-1]


def after_conclusion(text: str) -> str:
    """What follows the last "so", "therefore" or the like; all of a text without one."""
    return _CONCLUSION.split(text)[-1]


@dataclass(frozen=True, slots=True)
class Statement:
    """What a sentence states as the final answer; `marked` if it says so in a way that any text may follow."""

    value: str
    marked: bool


def stated(sentence: str, nouns: frozenset[str]) -> Statement | None:
    """What a sentence states as the final answer; "Answer: …" marks it.

    nouns: which of answer, option and choice count; result and solution do only if they are called final. None for a
    sentence that states none: a question, a condition, a denial, a plan.
    """
    if sentence.rstrip(" \t*_\"'").endswith("?"):
        return None
    *_, match = [None, *_STATEMENT.finditer(sentence)]
    if match is None or not _is_named(match, nouns) or not _is_claimed(sentence[: match.start()], match):
        return None
    verb = match["verb"].strip()
    marked = verb in (":", "=", "-", "–", "—", "->", "→") and match["determiner"] is None
    return Statement(sentence[match.end() :].strip(), marked)


def _is_named(match: re.Match[str], nouns: frozenset[str]) -> bool:
    noun, final = match["noun"].lower(), "final" in match["adjectives"].lower()
    if match["verb"].strip().lower() == "of" and not final:
        return False
    if noun in ("result", "solution"):
        return final
    return noun in nouns and (noun == "answer" or bool(match["adjectives"]))


def _is_claimed(before: str, match: re.Match[str]) -> bool:
    """Whether what stands before makes it a claim."""
    concluded = after_conclusion(before)
    clause = _CLAUSE_END.split(concluded)[-1]
    if _CONDITION.search(concluded) or _DOUBT.search(_OWN_VIEW.sub("", clause)) or _is_quoted(before):
        return False
    if match["determiner"] is None and not _CLAUSE_START.search(before):
        return False
    return match["verb"].strip() != ":" or not _PLAN.search(clause)


def _is_quoted(before: str) -> bool:
    """Whether a sentence only quotes what follows."""
    return before.rstrip().endswith(('"', "“")) and _WORD.search(before) is not None
