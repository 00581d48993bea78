import asyncio

from tests.engine.scripted import Say, ScriptedModel, ScriptedScorer

from steproute import Problem
from steproute.core.ports import Repair
from steproute.core.solution import Prefix, Step
from steproute.engine.episode import Episode
from steproute.engine.roles import ModelRole, Roles, ScorerRole
from steproute.policies.trim.threshold import Threshold
from steproute.repairs.arithmetic import ArithmeticRepair
from steproute.strategies.stepwise import Stepwise

PREFIX = Prefix(problem=Problem.ask("How many?"), steps=(Step(role="weak", text="1 + 1 = 3", tokens=1),))


def test_it_is_a_repair() -> None:
    assert isinstance(ArithmeticRepair(), Repair)


def test_the_newest_step_alone_is_repaired() -> None:
    assert ArithmeticRepair().repaired(PREFIX, "(2) Ada has Ben 3 + 4 = 8.") == "(2) Ada has Ben 3 + 4 = 7."
    assert ArithmeticRepair().repaired(PREFIX, "(2) Ada has Ben 3 + 4 = 7.") is None


def test_a_repaired_solution_costs_no_token_more() -> None:
    model = ScriptedModel("weak", [Say("2 + 2 = 5", 7), Say("So 5 * 3 = 12. It is \\boxed{12}", 9)])
    weak = ModelRole(model=model, repair=ArithmeticRepair())
    roles = Roles(models={"weak": weak}, scorers={"prm": ScorerRole(scorer=ScriptedScorer())})
    trace = asyncio.run(Episode(Problem.ask("?", answer="12"), roles, route="r").run(Stepwise(policy=Threshold(0.0))))
    assert [step.text for step in trace.steps] == ["2 + 2 = 4", "So 5 * 3 = 15. It is \\boxed{15}"]
    assert [step.repaired_from for step in trace.steps] == ["2 + 2 = 5", "So 5 * 3 = 12. It is \\boxed{12}"]
    assert trace.generated_tokens("weak") == 16
