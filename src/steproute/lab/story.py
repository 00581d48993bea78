"""The lab's problems: stories of three to twelve dependent quantities, written with a seed or read back from text."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

import numpy as np

from steproute.core.errors import ConfigError, DatasetError
from steproute.core.problem import Problem
from steproute.lab.wording import COLOURS, NAMES, OBJECTS, SIGNS, TEMPLATES, Op, readers

_T = TypeVar("_T")
Split = Literal["train", "validation", "test"]
MAX_VALUE: Final = 99
_SPLITS: Final[tuple[Split, ...]] = ("train", "validation", "test")
_JOINS: Final = (Op.SUM, Op.DIFFERENCE)
_DERIVATIONS: Final = (Op.ADD, Op.SUBTRACT, Op.MULTIPLY, Op.DIVIDE)
_CHANGES: Final = (Op.GAIN, Op.LOSE, Op.GROW, Op.SHARE)
_BUCKETS: Final[dict[Split, range]] = {"train": range(8), "validation": range(8, 9), "test": range(9, 10)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difficulty:
    """How long and how noisy stories are: `step_weights[i]` is the weight of `min_steps + i` steps."""

    min_steps: int
    step_weights: tuple[float, ...]
    max_asides: int


DIFFICULTIES: Final[dict[str, Difficulty]] = {
    "easy": Difficulty(min_steps=3, step_weights=(1, 1, 1), max_asides=1),
    "standard": Difficulty(min_steps=3, step_weights=(4, 5, 5, 4, 3, 2, 1, 1, 1, 1), max_asides=3),
    "hard": Difficulty(min_steps=8, step_weights=(1, 1, 1, 1, 1), max_asides=4),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """One numbered sentence: `x` takes the value of `y` (or its own) combined with `n` (or the value of `z`)."""

    label: int
    op: Op
    text: str
    x: str = ""
    y: str = ""
    z: str = ""
    n: int = 0

    @property
    def left(self) -> str:
        """Whose value the step's expression starts from; empty for a fact."""
        if self.op is Op.FACT:
            return ""
        return self.y or self.x

    def value(self, values: dict[str, int]) -> int:
        """The quantity that this sentence gives to `x`. Raises KeyError if `values` lacks one that it needs."""
        if self.op is Op.FACT:
            return self.n
        left, right = values[self.left], values[self.z] if self.z else self.n
        return _apply(SIGNS[self.op], left, right)

    def step(self, values: dict[str, int]) -> str:
        """The solution step for this sentence, given every value before it; a value stands after its person's name."""
        if self.op is Op.FACT:
            return f"({self.label}) {self.x} has {self.n}."
        right = f"{self.z} {values[self.z]}" if self.z else self.n
        expression = f"{self.left} {values[self.left]} {SIGNS[self.op]} {right}"
        return f"({self.label}) {self.x} has {expression} = {self.value(values)}."


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """A whole problem: its numbered sentences and who is asked about."""

    sentences: tuple[Sentence, ...]
    question: str
    asked: str

    @property
    def text(self) -> str:
        """The problem as the models read it."""
        numbered = " ".join(f"({sentence.label}) {sentence.text}" for sentence in self.sentences)
        return f"{numbered} {self.question}"

    @property
    def relevant(self) -> tuple[Sentence, ...]:
        """The sentences that take a step each."""
        return tuple(sentence for sentence in self.sentences if sentence.op is not Op.ASIDE)

    @property
    def answer(self) -> int:
        """What the question asks for."""
        values: dict[str, int] = {}
        for sentence in self.relevant:
            values[sentence.x] = sentence.value(values)
        return values[self.asked]

    def solution(self) -> list[str]:
        """The reference solution, one string per step; the last one holds the boxed answer."""
        values: dict[str, int] = {}
        steps = []
        for sentence in self.relevant:
            steps.append(sentence.step(values))
            values[sentence.x] = sentence.value(values)
        steps[-1] += f" So the answer is \\boxed{{{self.answer}}}."
        return steps

    def check_range(self) -> None:
        """Raises DatasetError for a quantity that the lab's models cannot write, or a share that is not whole."""
        values: dict[str, int] = {}
        for sentence in self.relevant:
            number = values[sentence.z] if sentence.z else sentence.n
            _check_value(sentence.text, number)
            if SIGNS.get(sentence.op) == "/" and values[sentence.left] % number:
                raise DatasetError(
                    f"lab problem: {sentence.text!r} divides {values[sentence.left]} by {number}, which leaves a rest. "
                    "The lab knows whole numbers only."
                )
            values[sentence.x] = sentence.value(values)
            _check_value(sentence.text, values[sentence.x])

    @classmethod
    def parse(cls, text: str) -> "Story":
        """Read a story back from its text.

        Raises DatasetError if a sentence is not of the lab's language, or a number is outside 1 … MAX_VALUE.
        """
        pieces = re.split(r"\((\d+)\) ", text)
        if len(pieces) < 3 or pieces[0].strip():
            raise DatasetError("lab problem: no numbered sentences. `steproute lab sample` shows the form.")
        *bodies, last = pieces[2::2]
        body, mark, question = last.strip().partition(". ")
        sentences = [
            _read(int(label), piece.strip())
            for label, piece in zip(pieces[1::2], [*bodies, body + mark.strip()], strict=True)
        ]
        asked = _read(0, question)
        if asked.op is not Op.QUESTION:
            raise DatasetError(f"lab problem: {question!r} is not a question of the lab's language.")
        known: set[str] = set()
        for sentence in (s for s in (*sentences, asked) if s.op is not Op.ASIDE):
            needs = {sentence.y, sentence.z} if sentence.y else {sentence.left}
            if needs - known - {""}:
                raise DatasetError(
                    f"lab problem: {sentence.text!r} needs {', '.join(needs - known)}, who has no value yet."
                )
            known.add(sentence.x)
        story = cls(sentences=tuple(sentences), question=question, asked=asked.x)
        story.check_range()
        return story


def is_lab(data: str) -> bool:
    """Whether a data set's name is one of the lab's: lab, lab:train, lab:test/hard."""
    return data.partition(":")[0] == "lab"


def generate(split: Split, seed: int = 0, difficulty: str = "standard") -> Iterator[Problem]:
    """Endless problems of one split; the splits share no text, whatever the seeds: a text's hash decides its split.

    Raises ConfigError for an unknown split or difficulty.
    """
    if split not in _BUCKETS:
        raise ConfigError(f"lab split: {split!r} is unknown.", remedy=f"Use one of {', '.join(_SPLITS)}.")
    if difficulty not in DIFFICULTIES:
        raise ConfigError(
            f"lab difficulty: {difficulty!r} is unknown.", remedy=f"Use one of {', '.join(DIFFICULTIES)}."
        )
    rng = np.random.default_rng([seed, _SPLITS.index(split), *difficulty.encode()])
    count = 0
    while True:
        story = write_story(rng, DIFFICULTIES[difficulty])
        text = story.text
        if hashlib.blake2b(text.encode(), digest_size=8).digest()[0] % 10 in _BUCKETS[split]:
            yield Problem.ask(id=f"lab/{difficulty}/{split}/{seed}/{count}", text=text, answer=str(story.answer))
            count += 1


def write_story(rng: np.random.Generator, difficulty: Difficulty) -> Story:
    """One random story. Every quantity is needed for the answer, every value lies in 1 … MAX_VALUE."""
    weights = np.asarray(difficulty.step_weights, dtype=np.float64)
    steps = difficulty.min_steps + int(rng.choice(len(weights), p=weights / weights.sum()))
    asides = int(rng.integers(difficulty.max_asides + 1))
    while (story := _Writer(rng, steps, asides).write()) is None:
        pass
    return story


class _Writer:
    """One attempt at a story. `open` are the people whose value still has to lead to the answer."""

    def __init__(self, rng: np.random.Generator, steps: int, asides: int) -> None:
        self.rng, self.steps, self.asides = rng, steps, asides
        self.names = [NAMES[i] for i in rng.permutation(len(NAMES))]
        self.object, *self.others = (OBJECTS[i] for i in rng.permutation(len(OBJECTS)))
        self.values: dict[str, int] = {}
        self.open: list[str] = []

    def write(self) -> Story | None:
        """The story, or None if the values drawn so far allow no fitting next sentence."""
        aside_at = set(self.rng.permutation(self.steps + self.asides)[: self.asides].tolist())
        sentences: list[Sentence] = []
        remaining = self.steps
        for index in range(self.steps + self.asides):
            if index in aside_at:
                sentences.append(self._aside(index + 1))
                continue
            remaining -= 1
            sentence = self._relevant(index + 1, remaining)
            if sentence is None:
                return None
            self.values[sentence.x] = sentence.value(self.values)
            used = {sentence.x, sentence.y, sentence.z}
            self.open = [*(name for name in self.open if name not in used), sentence.x]
            sentences.append(sentence)
        question = self._fill(Op.QUESTION, x=self.open[0])
        return Story(sentences=tuple(sentences), question=question, asked=self.open[0])

    def _relevant(self, label: int, remaining: int) -> Sentence | None:
        """A sentence after which `remaining` more can still join all open people into one."""
        for _ in range(20):
            op = self._draw_op(remaining)
            slots = self._slots(op)
            if slots is not None:
                x, y, z, n = slots
                self.names = [name for name in self.names if name != x]
                return Sentence(label=label, op=op, text=self._fill(op, x=x, y=y, z=z, n=n), x=x, y=y, z=z, n=n)
        return None

    def _draw_op(self, remaining: int) -> Op:
        if not self.open:
            return Op.FACT
        if len(self.open) > remaining + 1:
            return self._pick(_JOINS)
        draw = self.rng.random()
        if draw < 0.2 and len(self.open) <= min(remaining, 2):
            return Op.FACT
        if draw < 0.4 and len(self.open) > 1:
            return self._pick(_JOINS)
        return self._pick(_DERIVATIONS if draw < 0.75 else _CHANGES)

    def _slots(self, op: Op) -> tuple[str, str, str, int] | None:
        """(x, y, z, n) for a sentence, or None if the values at hand allow none."""
        new = self.names[0]
        if op is Op.FACT:
            return new, "", "", int(self.rng.integers(2, MAX_VALUE * 3 // 5))
        if op in _JOINS:
            first, second = (self.open[i] for i in self.rng.permutation(len(self.open))[:2])
            value = _apply(SIGNS[op], self.values[first], self.values[second])
            return (new, first, second, 0) if 1 <= value <= MAX_VALUE else None
        source = self._pick(self.open)
        n = self._operand(SIGNS[op], self.values[source])
        if n is None:
            return None
        return (source, "", "", n) if op in _CHANGES else (new, source, "", n)

    def _operand(self, sign: str, left: int) -> int | None:
        if sign == "+":
            return int(self.rng.integers(1, MAX_VALUE - left + 1)) if left < MAX_VALUE else None
        if sign == "-":
            return int(self.rng.integers(1, left)) if left > 1 else None
        factors = [n for n in range(2, 10) if (left * n <= MAX_VALUE if sign == "*" else left % n == 0)]
        return self._pick(factors) if factors else None

    def _aside(self, label: int) -> Sentence:
        text = self._fill(Op.ASIDE, x=self._pick(self.names), n=int(self.rng.integers(2, MAX_VALUE * 3 // 5)))
        return Sentence(label=label, op=Op.ASIDE, text=text)

    def _fill(self, op: Op, *, x: str, y: str = "", z: str = "", n: int = 0) -> str:
        other, colour = self._pick(self.others), self._pick(COLOURS)
        return self._pick(TEMPLATES[op]).format(x=x, y=y, z=z, n=n, o=self.object, p=other, c=colour)

    def _pick(self, choices: Sequence[_T]) -> _T:
        return choices[int(self.rng.integers(len(choices)))]


def _check_value(sentence: str, value: int) -> None:
    if not 1 <= value <= MAX_VALUE:
        raise DatasetError(
            f"lab problem: {sentence!r} brings in {value}. The lab's models know whole numbers "
            f"from 1 to {MAX_VALUE}, so no quantity may be another.",
            remedy="Use smaller numbers, or models of your own.",
        )


def _apply(sign: str, left: int, right: int) -> int:
    if sign == "+":
        return left + right
    if sign == "-":
        return left - right
    return left * right if sign == "*" else left // right


def _read(label: int, text: str) -> Sentence:
    for op, pattern in readers():
        match = pattern.fullmatch(text)
        if match:
            slots = match.groupdict()
            x, y, z = (slots.get(name) or "" for name in "xyz")
            if op is Op.ASIDE:
                return Sentence(label=label, op=op, text=text)
            return Sentence(label=label, op=op, text=text, x=x, y=y, z=z, n=int(slots.get("n") or 0))
    raise DatasetError(
        f"lab problem: sentence ({label}) {text!r} is not of the lab's language. "
        "`steproute lab sample` shows problems that the lab can read."
    )
