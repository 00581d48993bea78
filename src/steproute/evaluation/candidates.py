"""Several candidates for one step of a lab problem, scored and checked: what a within-prefix AUC is measured on."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain, count
from typing import Final

import numpy as np

from steproute.core.concurrency import map_concurrently
from steproute.core.errors import BackendError, DatasetError, ScorerError
from steproute.core.ports import StepScorer
from steproute.core.problem import Problem
from steproute.core.solution import Draft, Prefix, Step, Stop
from steproute.core.splitting import split_steps
from steproute.engine.drafting import call_seed
from steproute.engine.roles import ModelRole, Roles
from steproute.engine.step_tree import StepTree
from steproute.evaluation.labelled import LabelledSteps
from steproute.lab.checker import StepLabel, check_steps
from steproute.lab.story import Story

DRAWS: Final = 4
PREFIXES: Final = 2
_IN_FLIGHT: Final = 64
_FEW: Final = 64  # samples per prefix that are tried one by one; `compare` allows 2**32 and takes those of its seeds
_ATTEMPTS: Final = 8  # of one model at one place of a run
_Row = tuple[str, str, float, bool]


async def sample_candidates(
    writers: Mapping[str, ModelRole],
    scorer: StepScorer,
    problems: Sequence[Problem],
    seed: int,
    *,
    draws: int = DRAWS,
    prefixes: int = PREFIXES,
) -> LabelledSteps:
    """Candidates of every writer after the same correct prefixes of lab problems.

    The `weak` writer solves each problem; `prefixes` of the correct prefixes that its solution goes through are drawn,
    and each writer proposes `draws` steps after each of them. `seed` decides every draw. Raises DatasetError if no
    problem has a correct prefix, which cannot be for the lab's own problems.
    """

    async def of_problem(index: int, problem: Problem) -> list[_Row]:
        rng = np.random.default_rng([seed, index])
        starts = await _correct_prefixes(writers["weak"], problem, rng)
        chosen = rng.permutation(len(starts))[:prefixes]
        rows: list[_Row] = []
        for place in sorted(chosen.tolist()):
            seeds = rng.integers(2**31, size=draws).tolist()
            drafts = [await _draft(writers[role], starts[place], each) for role in sorted(writers) for each in seeds]
            judged = {text: await _judged(scorer, starts[place], text) for text in {d.text: d for d in drafts}}
            rows += [judged[draft.text] for draft in drafts]
        return rows

    rows = await map_concurrently(of_problem, count(), problems, in_flight=_IN_FLIGHT)
    return LabelledSteps.of(list(chain.from_iterable(rows)))


async def candidates_in_tree(tree: StepTree, roles: Roles, problems: Sequence[Problem], seed: int) -> LabelledSteps:
    """Every scored candidate that a step tree holds for lab problems; no model is called.

    The tree is one of `train`, or of `compare` with `seed`. Raises DatasetError if it holds none for these problems.
    """
    known = tree.roles(roles, grow=False)
    rows = [row for problem in problems for row in await _walk(tree, known, problem, seed)]
    if not rows:
        raise DatasetError(
            "it holds no scored step of these problems.",
            where="tree",
            remedy="Name the data and seed that it grew from.",
        )
    return LabelledSteps.of(rows)


async def _walk(tree: StepTree, known: Roles, problem: Problem, seed: int) -> list[_Row]:
    """The candidates after every correct prefix that the tree leads to from the problem.

    A step that no call scored as the newest has the score that a longer prefix gave it, as a strong model's has.
    """
    prefixes: list[tuple[Prefix, bool]] = []
    scores: dict[str, float] = {}
    places, visited = [Prefix(problem=problem, session=f"candidates/{problem.id}")], {""}
    while places:
        prefix = places.pop()
        for draft in await _drafts_in_tree(tree, known, prefix, seed):
            longer = _after(prefix, [draft.text])
            prefixes.append((longer, _correct(longer)))
            for end, score in enumerate(await _scores_in_tree(known, longer), start=1):
                scores[replace(longer, steps=longer.steps[:end]).text] = score
            if prefixes[-1][1] and draft.stop is Stop.SEPARATOR and longer.text not in visited:
                visited.add(longer.text)
                places.append(longer)
    return [_row(step, scores[step.text], correct) for step, correct in prefixes if step.text in scores]


async def _drafts_in_tree(tree: StepTree, known: Roles, prefix: Prefix, seed: int) -> list[Draft]:
    drafts = []
    for role, writer in known.models.items():
        for each in _seeds(tree.width, seed, prefix.problem.id, role, len(prefix.steps)):
            with suppress(BackendError):
                drafts.append(await _draft(writer, prefix, each))
    return drafts


async def _scores_in_tree(known: Roles, prefix: Prefix) -> tuple[float, ...]:
    try:
        return (await known.scorer().scorer.score(prefix)).values
    except ScorerError:
        return ()


def _seeds(width: int, seed: int, problem_id: str, role: str, step: int) -> list[int]:
    """The seeds of all samples of a narrow tree, or of those that a run with `seed` may have asked for."""
    if width <= _FEW:
        return list(range(width))
    return [call_seed(seed, problem_id, role, step, attempt + 1) for attempt in range(_ATTEMPTS)]


async def _correct_prefixes(writer: ModelRole, problem: Problem, rng: np.random.Generator) -> list[Prefix]:
    """The prefixes of one sampled solution whose steps are all correct and that another step follows."""
    start = Prefix(problem=problem, session=f"candidates/{problem.id}")
    whole = replace(writer.sampling, stop=None, seed=int(rng.integers(2**31)))
    (draft,) = await writer.model.propose(start, 1, whole)
    texts = split_steps(draft.text, start.separator)
    verdicts = check_steps(Story.parse(problem.text), texts)
    correct = [verdict is StepLabel.CORRECT for verdict in verdicts]
    count = max(1, len(texts) if all(correct) else correct.index(False) + 1)
    return [_after(start, texts[:end]) for end in range(count)]


async def _draft(writer: ModelRole, prefix: Prefix, seed: int) -> Draft:
    (draft,) = await writer.model.propose(prefix, 1, replace(writer.sampling, stop=prefix.separator, seed=seed))
    return draft


async def _judged(scorer: StepScorer, prefix: Prefix, text: str) -> _Row:
    longer = _after(prefix, [text])
    return _row(longer, (await scorer.score(longer)).values[-1], _correct(longer))


def _after(prefix: Prefix, texts: Iterable[str]) -> Prefix:
    return prefix.extended(*(Step(role="candidate", text=text, tokens=0) for text in texts))


def _correct(solution: Prefix) -> bool:
    story = Story.parse(solution.problem.text)
    return check_steps(story, [step.text for step in solution.steps])[-1] is StepLabel.CORRECT


def _row(candidate: Prefix, score: float, correct: bool) -> _Row:
    name = candidate.problem.id
    return name, repr((name, [step.text for step in candidate.steps[:-1]])), score, correct
