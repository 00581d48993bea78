"""How good the lab models are, measured: step and answer accuracies and the PRM's step ROC-AUC."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count

from steproute.core.concurrency import map_concurrently
from steproute.core.ports import StepModel, StepScorer
from steproute.core.problem import Problem
from steproute.core.solution import Prefix, Step
from steproute.core.splitting import split_steps
from steproute.lab.checker import StepLabel, check_steps
from steproute.lab.models import LAB_SAMPLING
from steproute.lab.story import Story


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """One sampled solution: each step's verdict and, if requested, PRM score; the number of output tokens."""

    problem_id: str
    verdicts: tuple[StepLabel, ...]
    answer_right: bool
    tokens: int
    scores: tuple[float, ...] | None

    @property
    def on_right_prefix(self) -> tuple[bool, ...]:
        """Whether each step that follows a correct prefix is correct."""
        return tuple(v is StepLabel.CORRECT for v in self.verdicts if v is not StepLabel.AFTER_ERROR)


async def check_model(
    model: StepModel, problems: Sequence[Problem], seed: int, scorer: StepScorer | None = None, in_flight: int = 64
) -> list[Checked]:
    """Sample one solution per problem at the lab's temperature of 0.7 and judge it; `seed` decides the samples."""

    async def check(index: int, problem: Problem) -> Checked:
        return await _check_one(model, problem, seed * 1_000_003 + index, scorer)

    return await map_concurrently(check, count(), problems, in_flight=in_flight)


async def _check_one(model: StepModel, problem: Problem, seed: int, scorer: StepScorer | None) -> Checked:
    prefix = Prefix(problem=problem, session=f"check/{model.name}/{problem.id}")
    (draft,) = await model.propose(prefix, 1, replace(LAB_SAMPLING, stop=None, seed=seed))
    texts = split_steps(draft.text, prefix.separator)
    solved = prefix.extended(*(Step(role=model.name, text=text, tokens=0) for text in texts))
    scores = (await scorer.score(solved)).values if scorer else None
    return Checked(
        problem_id=problem.id,
        verdicts=tuple(check_steps(Story.parse(problem.text), texts)),
        answer_right=solved.answer == problem.answer,
        tokens=draft.usage.output_tokens,
        scores=scores,
    )
