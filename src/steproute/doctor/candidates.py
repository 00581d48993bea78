"""Whether a scorer can choose: candidates for one step, some correct and some not, which it has to rank."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from steproute.config import ConfigFile, ProbeSettings
from steproute.core.problem import Problem
from steproute.core.solution import Confidence, Prefix, Step
from steproute.doctor.finding import Finding, ok, warning
from steproute.doctor.probe import LAB_PROBE, asked, probe_of, problem_of
from steproute.doctor.route import strategy_that_chooses_by
from steproute.engine.roles import ScorerRole
from steproute.evaluation.auc import CHOOSES_FROM, can_choose, within_prefix_auc
from steproute.lab.story import Story, generate

_CHECK: Final = "chooses among candidates"
_REMEDY: Final = (
    "Use this scorer with thresholds, not to pick one of several candidates. Measure it on your own data with "
    "`steproute calibrate-scorer`."
)
_REMEDY_IF_USED: Final = (
    "The wider the choice, the more mistakes of this scorer are chosen. Use another scorer, by = 'votes' for pats and "
    "best-of-n, weight = 1 for beam, or a strategy that decides about one draft, such as stepwise."
)
_LAB_PROBLEMS: Final = 8
CONFIDENCE: Final = Confidence(mean_logprob=-0.1, min_logprob=-0.5, first_token_entropy=0.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateStep:
    """A problem, the steps before, and candidates for the next one."""

    problem: str
    before: tuple[str, ...] = ()
    correct: tuple[str, ...]
    incorrect: tuple[str, ...]


ARITHMETIC: Final = (
    CandidateStep(
        problem="A shop sells 6 packs of 8 batteries and 17 single batteries. How many batteries is that?",
        correct=("In packs the shop sells 6 * 8 = 48 batteries.",),
        incorrect=("In packs the shop sells 6 * 8 = 54 batteries.", "In packs the shop sells 6 + 8 = 14 batteries."),
    ),
    CandidateStep(
        problem="A shop sells 6 packs of 8 batteries and 17 single batteries. How many batteries is that?",
        before=("In packs the shop sells 6 * 8 = 48 batteries.",),
        correct=("In all that is 48 + 17 = 65, so the answer is \\boxed{65}.",),
        incorrect=(
            "In all that is 48 - 17 = 31, so the answer is \\boxed{31}.",
            "In all that is 48 + 17 = 75, so the answer is \\boxed{75}.",
        ),
    ),
    CandidateStep(
        problem="Rania reads 24 pages per day for 5 days of a book that has 150 pages. How many pages are left?",
        correct=("In 5 days Rania reads 24 * 5 = 120 pages.", "24 pages for 5 days are 120 pages."),
        incorrect=("In 5 days Rania reads 24 * 5 = 100 pages.", "In 5 days Rania reads 24 + 5 = 29 pages."),
    ),
    CandidateStep(
        problem="Rania reads 24 pages per day for 5 days of a book that has 150 pages. How many pages are left?",
        before=("In 5 days Rania reads 24 * 5 = 120 pages.",),
        correct=("There are 150 - 120 = 30 pages left. The answer is \\boxed{30}.",),
        incorrect=(
            "There are 150 - 120 = 40 pages left. The answer is \\boxed{40}.",
            "There are 150 + 120 = 270 pages left. The answer is \\boxed{270}.",
        ),
    ),
    CandidateStep(
        problem="Solve 3x + 7 = 22 for x.",
        correct=("Subtracting 7 from both sides gives 3x = 15.",),
        incorrect=("Subtracting 7 from both sides gives 3x = 29.", "Subtracting 7 from both sides gives 3x = 16."),
    ),
    CandidateStep(
        problem="A rectangle is 9 cm long and 4 cm wide. What is its perimeter?",
        correct=("The perimeter is 2 * (9 + 4) = 26 cm, so the answer is \\boxed{26}.",),
        incorrect=(
            "The perimeter is 9 * 4 = 36 cm, so the answer is \\boxed{36}.",
            "The perimeter is 2 * (9 + 4) = 22 cm, so the answer is \\boxed{22}.",
        ),
    ),
)
"""Steps that a reader can check in the head, with mistakes of the kinds that language models make."""


async def candidate_findings(config: ConfigFile, role: str, judge: ScorerRole) -> AsyncIterator[Finding]:
    """The within-prefix AUC on built-in candidates; nothing if the file's own probe replaces the built-in problem."""
    if config.probe != ProbeSettings():
        return
    groups = lab_candidates() if probe_of(config) == LAB_PROBE else ARITHMETIC
    scores, labels, prefixes = [], [], []
    for number, group in enumerate(groups):
        for texts, label in ((group.correct, True), (group.incorrect, False)):
            for text in texts:
                scores.append(await _score(config, judge, problem_of(config, group.problem), (*group.before, text)))
                labels.append(label)
                prefixes.append(number)
    auc = within_prefix_auc(scores, labels, prefixes)
    observed = f"within-prefix AUC {auc:.2f} on {len(scores)} built-in candidates; {can_choose(auc)}"
    if auc < CHOOSES_FROM and (strategy := strategy_that_chooses_by(config, role)):
        yield warning(f"scorers.{role}", _CHECK, f"{observed}; the strategy {strategy} does so by it", _REMEDY_IF_USED)
    elif auc < CHOOSES_FROM:
        yield warning(f"scorers.{role}", _CHECK, observed, _REMEDY)
    else:
        yield ok(f"scorers.{role}", _CHECK, observed)


def lab_candidates() -> Sequence[CandidateStep]:
    """The last step of validation problems, and the same with another result."""
    groups = []
    for problem in islice(generate("validation"), _LAB_PROBLEMS):
        *before, last = Story.parse(problem.text).solution()
        body, _, _ = last.partition(" So the answer")
        start, result = body.removesuffix(".").rsplit(" ", 1)
        wrong = tuple(f"{start} {int(result) + by}." for by in (1, 10))
        groups.append(CandidateStep(problem=problem.text, before=tuple(before), correct=(body,), incorrect=wrong))
    return groups


async def _score(config: ConfigFile, judge: ScorerRole, problem: Problem, texts: Sequence[str]) -> float:
    reworded = map(problem.rule.reworded, texts)
    steps = (Step(role="weak", text=text, tokens=0, confidence=CONFIDENCE) for text in reworded)
    prefix = Prefix(problem=problem, session="doctor/candidates").extended(*steps)
    return (await asked(config, judge.scorer.name, lambda meter: judge.scorer.score(prefix, meter))).values[-1]
