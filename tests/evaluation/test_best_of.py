import asyncio
from itertools import islice

import pytest

from steproute.core.solution import Meter, Prefix, Scores
from steproute.core.usage import Usage
from steproute.evaluation.best_of import best_of
from steproute.lab.checker import StepLabel, check_steps
from steproute.lab.models import LabModel
from steproute.lab.story import Story, generate

PROBLEMS = list(islice(generate("validation", 3), 24))


class Checking:
    """A scorer that knows the checker's verdict, or its opposite."""

    def __init__(self, *, honest: bool) -> None:
        self.name, self.honest, self.asked = "checking", honest, 0

    async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
        self.asked += 1
        verdicts = check_steps(Story.parse(prefix.problem.text), [step.text for step in prefix.steps])
        sound = all(verdict is StepLabel.CORRECT for verdict in verdicts)
        return Scores(values=(float(sound is self.honest),) * len(prefix.steps), model=self.name, usage=Usage())


def test_a_perfect_scorer_chooses_correct_solutions_and_its_inverse_avoids_them() -> None:
    scorers = {"honest": Checking(honest=True), "false": Checking(honest=False)}
    found = asyncio.run(best_of(LabModel("lab-weak"), scorers, PROBLEMS, 4, 0))
    assert found["honest"].gain > 0 > found["false"].gain
    assert found["honest"].gain_ci95.low >= 0 >= found["false"].gain_ci95.high
    first = found["honest"].accuracy - found["honest"].gain
    assert found["false"].accuracy - found["false"].gain == pytest.approx(first), "both choose among the same solutions"
    assert scorers["honest"].asked < 4 * len(PROBLEMS), "equal solutions are scored once"
