"""A bank of solved steps: the one that is most like a first try becomes an example for the next try.

On disk it is an artefact, whose numbers are the index of the steps, and `bank.jsonl`, the texts.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from steproute.artifacts import Artifact, UnsoundArtifact, artifact_digests, read_artifact, sound_arrays
from steproute.core.errors import ArtifactError
from steproute.core.problem import Problem
from steproute.core.solution import DEFAULT_SEPARATOR, Advice, Prefix
from steproute.retrieval.tfidf import TextIndex

EXAMPLE_BANK: Final = "example-bank"
ROWS: Final = "bank.jsonl"
THRESHOLD: Final = 0.7
NEAR: Final = 0.95
_REMEDY: Final = "Make it again with `steproute train --policy example-bank`."


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A correct step and what a model has to see of its problem.

    problem: its text, or the part of it that the step works on. before: the steps in front of it, as far as they are
    shown. origin: `origin_of` the whole problem. author: who wrote the step, `labelled` for a given solution.
    """

    problem: str
    step: str
    origin: str
    before: tuple[str, ...] = ()
    author: str = "labelled"

    @property
    def text(self) -> str:
        """The problem and its steps up to this one; later steps would tell how the other problem ends."""
        return DEFAULT_SEPARATOR.join([self.problem, *self.before, self.step])


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The row of the bank that is most like a text, and its cosine similarity in [0, 1]."""

    row: int
    example: Example
    similarity: float


@dataclass(frozen=True, kw_only=True, eq=False)
class ExampleBank:
    """Examples, and the index of their steps."""

    examples: Sequence[Example]
    index: TextIndex

    @classmethod
    def of(cls, examples: Sequence[Example]) -> "ExampleBank":
        """The bank of these examples; of equals the first is found, so put the best ones first."""
        return cls(examples=examples, index=TextIndex.of([example.step for example in examples]))

    def nearest(self, text: str, problem: Problem) -> Match | None:
        """The example whose step is most like `text`, of those that do not come from `problem`; None if all do."""
        similarities = self.index.similarities(text)
        similarities[self._rows_of.get(origin_of(problem), [])] = -1.0
        row = int(similarities.argmax()) if len(similarities) else -1
        if row < 0 or similarities[row] < 0:
            return None
        return Match(row=row, example=self.examples[row], similarity=float(similarities[row]))

    @cached_property
    def _rows_of(self) -> dict[str, list[int]]:
        """Rows by origin."""
        rows: defaultdict[str, list[int]] = defaultdict(list)
        for row, example in enumerate(self.examples):
            rows[example.origin].append(row)
        return rows


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleAdviser:
    """Advice for a step that was tried once: the solved step that is most like the try (BoostStep, arXiv 2501.03226).

    threshold: the least cosine similarity of an example that is given.
    """

    bank: ExampleBank
    threshold: float = THRESHOLD

    def advice(self, prefix: Prefix, text: str) -> Advice | None:
        """What to show the writer who tries again after `prefix`; text: the first try. None if nothing is near."""
        match = self.bank.nearest(text, prefix.problem)
        return None if match is None or match.similarity < self.threshold else Advice(example=match.example.text)


def origin_of(problem: Problem) -> str:
    """Names a problem by its content, so that no problem is shown its own solution under another id."""
    return hashlib.blake2b(problem.canonical.encode(), digest_size=8).hexdigest()


def near_duplicates(bank: ExampleBank, steps: Iterable[tuple[Problem, str]]) -> int:
    """How many steps, each with its problem, could find one of similarity NEAR or more in the bank."""
    matches = (bank.nearest(text, problem) for problem, text in steps)
    return sum(match is not None and match.similarity >= NEAR for match in matches)


def bank_artifact(bank: ExampleBank, facts: Mapping[str, Any]) -> Artifact:
    """A bank as an artefact; `facts` say what it was made of."""
    index = bank.index
    return Artifact(
        kind=EXAMPLE_BANK,
        arrays={
            "starts": index.starts,
            "texts": index.texts,
            "weights": index.weights,
            "terms": np.frombuffer("\n".join(index.terms).encode(), np.uint8),
        },
        facts={**facts, "examples": len(bank.examples)},
        files={ROWS: b"".join(msgspec.json.encode(example) + b"\n" for example in bank.examples)},
    )


def load_bank(folder: Path) -> ExampleBank:
    """A bank from its folder; raises ArtifactError if it is missing, damaged or of another kind."""
    try:
        return _loaded(folder, tuple(sorted(artifact_digests(folder).items())))
    except UnsoundArtifact as failure:
        raise ArtifactError(f"{failure.message}.", where="bank", remedy=_REMEDY) from None


@lru_cache(maxsize=4)
def _loaded(folder: Path, digests: tuple[tuple[str, str], ...]) -> ExampleBank:
    """The bank of these digests; each route of a sweep asks for it."""
    artifact = read_artifact(folder)
    if artifact.kind != EXAMPLE_BANK:
        raise UnsoundArtifact(f"{folder} is of kind {artifact.kind!r}, not an {EXAMPLE_BANK}")
    try:
        rows = artifact.files[ROWS].splitlines()
        examples = msgspec.json.decode(b"[" + b",".join(rows) + b"]", type=list[Example])
    except (KeyError, msgspec.DecodeError) as failure:
        raise UnsoundArtifact(f"{folder / ROWS} holds no examples ({failure})") from None
    return ExampleBank(examples=examples, index=_index(artifact, len(examples)))


def _index(artifact: Artifact, count: int) -> TextIndex:
    arrays = sound_arrays(artifact, starts=1, texts=1, weights=1, terms=1)
    starts, texts = arrays["starts"].astype(np.int64), arrays["texts"].astype(np.int64)
    terms = tuple(artifact.arrays["terms"].astype(np.uint8).tobytes().decode(errors="replace").split("\n"))
    fits = len(starts) == len(terms) + 1 and starts[0] == 0 and starts[-1] == len(texts) == len(arrays["weights"])
    if not fits or (np.diff(starts) < 0).any() or not ((texts >= 0) & (texts < count)).all():
        raise UnsoundArtifact("starts, texts, weights, terms: they do not fit together")
    return TextIndex(terms=terms, starts=starts, texts=texts, weights=arrays["weights"].astype(np.float32), count=count)
