"""Recorded solutions: what a model once wrote, step by step, and how it was scored."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from steproute.core.solution import DEFAULT_SEPARATOR, Prefix
from steproute.core.splitting import split_steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One recorded solution. `scores` may be shorter than `steps`: later steps have no recorded score.

    `step_tokens` are output tokens per step; `estimated` says that they were not recorded step by step.
    """

    problem_id: str
    steps: tuple[str, ...]
    step_tokens: tuple[int, ...]
    scores: tuple[float, ...] = ()
    estimated: bool = True


def spliced(recording: Recording) -> Recording:
    """The recording as an episode splits it: each step without blank lines, and none degenerate (no letter, no digit).

    A degenerate step's tokens go to the step that follows; one at the end is kept.
    """
    steps: list[str] = []
    tokens: list[int] = []
    scores: list[float] = []
    carried = 0
    last = len(recording.steps) - 1
    for index, (text, count) in enumerate(zip(recording.steps, recording.step_tokens, strict=True)):
        text = "\n".join(split_steps(text, DEFAULT_SEPARATOR))
        if index != last and not any(character.isalnum() for character in text):
            carried += count
            continue
        steps.append(text)
        tokens.append(count + carried)
        carried = 0
        if index < len(recording.scores):
            scores.append(recording.scores[index])
    return replace(recording, steps=tuple(steps), step_tokens=tuple(tokens), scores=tuple(scores))


class Recordings:
    """Recordings of one model by problem."""

    def __init__(self, recordings: Iterable[Recording]) -> None:
        self._by_problem: dict[str, list[Recording]] = {}
        for recording in recordings:
            self._by_problem.setdefault(recording.problem_id, []).append(spliced(recording))

    def through(self, prefix: Prefix) -> Iterator[Recording]:
        """The recordings of the prefix's problem that begin with exactly its steps."""
        texts = prefix.texts
        for recording in self._by_problem.get(prefix.problem.id, []):
            if recording.steps[: len(texts)] == texts:
                yield recording


def estimated_tokens(text: str) -> int:
    """A rough count if none was recorded: four characters per token."""
    return -(-len(text) // 4)
