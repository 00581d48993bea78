"""Reasoning that models put between tags in what they write."""

import re
from collections.abc import Iterator
from typing import Final, Literal

Thinking = Literal["keep", "hide", "off"]
"""Reasoning is kept as steps, hidden and paid for, or switched off."""

OPEN: Final = "<think>"
CLOSE: Final = "</think>"
TAGS: Final = (
    (OPEN, CLOSE),  # DeepSeek, Qwen, GLM, MiniMax, Nemotron, Hunyuan and most others
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),  # EXAONE Deep, Marco, Gemini
    ("<reasoning>", "</reasoning>"),  # Reka, models on Bedrock
    ("<think_fast>", "</think_fast>"),  # K2 Think
    ("<think_faster>", "</think_faster>"),
    ("<seed:think>", "</seed:think>"),  # Seed-OSS
    ("<longcat_think>", "</longcat_think>"),
    ("[THINK]", "[/THINK]"),  # Magistral
    ("◁think▷", "◁/think▷"),  # Kimi-VL
    ("<|START_THINKING|>", "<|END_THINKING|>"),  # Command A
    ("<|begin_of_thought|>", "<|end_of_thought|>"),  # Sky-T1, OpenThinker
    ("<|inner_prefix|>", "<|inner_suffix|>"),  # Apertus
    ("<unused94>", "<unused95>"),  # MedGemma
    ("<|channel>", "<channel|>"),  # Gemma 4
    ("<|think|>", "<|content|>"),  # Solar Open
    ("<|channel|>analysis", "<|channel|>final<|message|>"),  # gpt-oss
    ("<|channel|>commentary", "<|channel|>final<|message|>"),
    ("Here is my thought process:", "Here is my response:"),  # Granite
    ("Here's my thought process:", "Here's my response:"),
)
"""What opens reasoning and what closes it."""

_HARMONY: Final = "<|start|>assistant"
_HARMONY_WITHOUT_TOKENS: Final = "assistantfinal"
"""What closes gpt-oss's reasoning if the server leaves out special tokens."""
_MARKS: Final = (
    *(_HARMONY, "<|return|>", "<|end|>", "<|START_RESPONSE|>", "<|END_RESPONSE|>", "<|START_TEXT|>", "<|END_TEXT|>"),
    *("<|begin_of_solution|>", "<|end_of_solution|>", "<answer>", "</answer>", "<response>", "</response>"),
)
"""What reasoning models put around their answers."""

_CLOSES: Final = {opening.lower(): closing for opening, closing in TAGS}
_ENDS: Final = frozenset(closing.lower() for _, closing in TAGS) | {_HARMONY_WITHOUT_TOKENS}
_ALL: Final = tuple(sorted({*_CLOSES, *_ENDS, *(mark.lower() for mark in _MARKS)}, key=len, reverse=True))
_FIRST: Final = frozenset(tag[0] for tag in _ALL)


def _any_of(tags: "frozenset[str] | tuple[str, ...]") -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, sorted(tags, key=len, reverse=True))), re.IGNORECASE)


_TAG: Final = _any_of(_ALL)
_END: Final = _any_of(_ENDS)
_END_OF: Final = {opening: _any_of((closing,)) for opening, closing in _CLOSES.items()}


class SpokenText:
    """Leaves the reasoning out of a text that arrives in pieces, in time linear in the text.

    begins: whether the text begins inside reasoning; None if it may. closed: whether reasoning has ended. cut: whether
    anything was left out.
    """

    def __init__(self, begins: bool | None) -> None:
        self.begins = begins
        self.closed = self.cut = False
        self._opened = False
        self._end: re.Pattern[str] | None = None
        self._held = ""

    @property
    def inside(self) -> bool:
        """Whether what came last is part of the reasoning."""
        return self._end is not None or (self.begins is True and not self.closed)

    @property
    def rest(self) -> str:
        """The spoken ones of the characters that could yet become a tag."""
        return "" if self.inside else self._held

    def feed(self, piece: str) -> Iterator[str | None]:
        """The next piece's spoken parts; None if all that seemed spoken so far turns out to be reasoning."""
        text, at, self._held = self._held + piece, 0, ""
        while True:
            match = (self._end or (_END if self.inside else _TAG)).search(text, at)
            if match is None:
                break
            if match.start() > at and not self.inside:
                yield text[at : match.start()]
            at = match.end()
            if self._take(match.group().lower()):
                yield None
        kept = _beginning_of_a_tag(text, at)
        self._held = text[kept:]
        self.cut |= self.inside and kept > at
        if kept > at and not self.inside:
            yield text[at:kept]

    def _take(self, tag: str) -> bool:
        """Whether the tag closes reasoning that was never opened."""
        self.cut = True
        if self.inside:
            self._end, self.closed, self._opened = None, True, True
            return False
        if tag in _CLOSES:
            self._end, self._opened = _END_OF[tag], True
            return False
        unopened = tag in _ENDS and not self._opened
        self.closed |= unopened
        self._opened |= unopened
        return unopened


def ends_in_reasoning(written: str) -> bool:
    """Whether a text ends inside reasoning, so that what follows belongs to it."""
    last = ""
    for match in _TAG.finditer(written):
        last = match.group().lower()
    return last in _CLOSES


def opens_reasoning(prompt: str) -> bool | None:
    """Whether a prompt ends with an opening reasoning tag; None if it leaves that to the model."""
    end = prompt.rstrip().lower()
    if end.endswith(_HARMONY):
        return None
    return end.endswith(tuple(_CLOSES))


def with_reasoning_closed(prompt: str, thinking: Thinking, begun: bool) -> str:
    """The prompt, with reasoning that its chat template opens closed again, unless reasoning is kept or comes first.

    If reasoning is hidden, the half-written answer that follows the prompt holds steps alone. begun: whether there are
    any steps.
    """
    opens = opens_reasoning(prompt)
    if thinking == "keep" or (thinking == "hide" and not begun) or opens is False:
        return prompt
    end = prompt.rstrip()
    if opens is None:
        return f"{end}{_CLOSES['<|channel|>analysis']}"
    opening = max((tag for tag in _CLOSES if end.lower().endswith(tag)), key=len)
    return f"{end}\n\n{_CLOSES[opening]}\n\n"


def _beginning_of_a_tag(text: str, start: int) -> int:
    """Where the longest end of `text` begins that a tag could begin with; its length if there is none."""
    for at in range(max(start, len(text) - len(_ALL[0]) + 1), len(text)):
        end = text[at:].lower()
        if end[0] in _FIRST and any(tag.startswith(end) for tag in _ALL):
            return at
    return len(text)
