"""A draft's steps, and what is noted on a solution's steps: pure functions."""

from dataclasses import dataclass, replace

from steproute.core.apportioning import apportion
from steproute.core.decision import Accept, Decision
from steproute.core.ports import Response
from steproute.core.solution import ENVIRONMENT, Draft, Prefix, Step
from steproute.core.splitting import split_steps


@dataclass(frozen=True, slots=True)
class DecidedDraft:
    """A draft, its scores (None if the scorer failed) and what was decided about it."""

    draft: Draft
    scores: tuple[float, ...] | None
    decision: Decision


def steps_of(draft: Draft, separator: str) -> tuple[Step, ...]:
    """The draft's steps. Their tokens are those that it reports, else its output tokens in proportion to characters."""
    texts = split_steps(draft.text, separator)
    if len(texts) == 1:
        tokens = draft.usage.output_tokens if draft.step_tokens is None else _reported(draft, texts)[0]
        step = Step(
            role=draft.role,
            text=texts[0],
            tokens=tokens,
            confidence=draft.confidence,
            repaired_from=draft.repaired_from,
            width=draft.width,
            votes=draft.votes,
        )
        return (step,)
    pairs = zip(texts, _reported(draft, texts), strict=True)
    return tuple([Step(role=draft.role, text=text, tokens=tokens) for text, tokens in pairs])


def with_decision(steps: tuple[Step, ...], accepted: Draft, newest: DecidedDraft) -> tuple[Step, ...]:
    """The steps of the accepted draft, the first with the newest decision: about this draft, or the one it replaces."""
    score = newest.scores[-1] if newest.scores else None
    if newest.draft.id == accepted.id:
        first = replace(steps[0], score=score, decision=newest.decision)
    elif isinstance(newest.decision, Accept):  # of a draft that only showed who should write
        first = replace(steps[0], decision=newest.decision)
    else:
        first = replace(steps[0], decision=newest.decision, rejected=newest.draft.text, rejected_score=score)
    return (first, *steps[1:])


def with_scores(prefix: Prefix, values: tuple[float, ...]) -> Prefix:
    """The prefix with the scores of the steps that models wrote; further values are of a draft."""
    written = prefix.written
    if [step.score for step in written] == [*values[: len(written)]]:
        return prefix
    rest = iter(values)
    steps = tuple([step if step.role == ENVIRONMENT else _with_score(step, next(rest)) for step in prefix.steps])
    return prefix.with_steps(steps, prefix.drafts)


def with_response(prefix: Prefix, response: Response) -> Prefix:
    """The prefix with the reward of its newest step and the environment's answer to it."""
    rewarded = replace(prefix.steps[-1], reward=response.reward)
    answer = (Step(role=ENVIRONMENT, text=response.text, tokens=0),) if response.text else ()
    return prefix.with_steps((*prefix.steps[:-1], rewarded, *answer), prefix.drafts)


def shared_steps(one: Prefix, other: Prefix) -> int:
    """How many steps two prefixes begin with in common."""
    pairs = zip(one.texts, other.texts, strict=False)
    return next((number for number, (a, b) in enumerate(pairs) if a != b), min(len(one.steps), len(other.steps)))


def _reported(draft: Draft, texts: list[str]) -> list[int]:
    if draft.step_tokens is not None and len(draft.step_tokens) == len(texts):
        return list(draft.step_tokens)
    return apportion(draft.usage.output_tokens, [len(text) + 1 for text in texts])


def _with_score(step: Step, score: float) -> Step:
    return step if step.score == score else replace(step, score=score)
