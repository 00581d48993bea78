"""One choice among whole strategies, from the problem's text."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.engine.scripted import Say
from tests.engine.test_episode import Stage
from tests.policies.test_routes import FAMILY, STEPS, TABLE, TEXT

from steproute import Problem
from steproute.config import RouteSettings, check_needs, lab_roles
from steproute.config.route import build_strategy, route_strategy
from steproute.core.errors import ConfigError
from steproute.core.ports import Needs
from steproute.engine.episode import Episode
from steproute.engine.runner import Route
from steproute.policies.mixture import BudgetCurve, MixtureFamily
from steproute.policies.route_table_file import write_route, write_table
from steproute.policies.routes import RouteFamily, SeparateTable
from steproute.policies.trim.threshold import Threshold
from steproute.strategies.automix import AutoMix
from steproute.strategies.budgeted import BudgetPacing
from steproute.strategies.routed import Routed
from steproute.strategies.single import Single
from steproute.strategies.stepwise import Stepwise


@dataclass(frozen=True)
class Needing:
    """A strategy that needs something."""

    needs: Needs

    async def solve(self, episode: Episode) -> None:
        """Nothing."""


@pytest.fixture
def routed() -> Routed:
    strategy = build_strategy("routed", FAMILY.at(0.8, 0))
    assert isinstance(strategy, Routed)
    return strategy


@pytest.mark.parametrize(("text", "role"), [("an apple", "weak"), ("a train", "strong")])
def test_the_chosen_route_solves_the_problem_and_is_on_the_trace(routed: Routed, text: str, role: str) -> None:
    stage = Stage([Say("w \\boxed{1}")], [Say("s \\boxed{1}")], [])
    stage.problem = Problem.ask(id="p", text=text)
    trace = stage.solve(routed)
    assert [step.role for step in trace.steps] == [role]
    assert trace.notes == (f"route single/{role}",)
    assert not trace.unsettled


def test_it_needs_what_its_routes_need() -> None:
    strategy = build_strategy("routed", RouteFamily(SeparateTable(TEXT, (STEPS, TABLE.predictors[0])), 0.1).at(0.5, 0))
    assert isinstance(strategy, Routed)
    assert strategy.needs == Needs(models=("weak", "strong"), scorers=("prm",))
    with pytest.raises(ConfigError, match="scorer 'prm'"):
        check_needs([Route(name="r", strategy=strategy)], replace(lab_roles(), scorers={}))
    check_needs([Route(name="r", strategy=strategy)], lab_roles())


def test_it_reads_the_folders_that_its_routes_read() -> None:
    trained, shown = "stepwise/runs/pomdp=0.5", "stepwise/threshold=0.5"
    needing = Needs(artifacts=("runs/bank",), example=("weak",))
    strategy = Routed(
        policy=FAMILY.at(0.5, 0), routes={trained: Stepwise(policy=Threshold(0.5)), shown: Needing(needing)}
    )
    assert set(strategy.needs.artifacts) == {"runs/pomdp", "runs/bank"}
    assert strategy.needs.example == ("weak",)


def test_a_policy_that_decides_about_steps_names_no_routes() -> None:
    with pytest.raises(ConfigError, match="train --policy routes"):
        build_strategy("routed", Threshold(0.5))
    with pytest.raises(ConfigError, match="no such setting"):
        build_strategy("routed", FAMILY.at(0.5, 0), {"routes": 1})


@pytest.mark.parametrize(
    "route",
    [
        RouteSettings(policy="threshold", knob=0.35),
        RouteSettings(policy="threshold+takeover", knob=0.3, settings={"takeover_steps": 2}),
        RouteSettings(strategy="pipelined", knob=0.7, settings={"hedge": 0.5, "lookahead": 1}),
        RouteSettings(strategy="vote", knob=0, settings={"samples": 4, "weights": "last"}),
        RouteSettings(strategy="best-of-n", knob=0.5, settings={"width": 4, "by": "votes"}),
        RouteSettings(strategy="second-chances", settings={"rungs": ["resample"], "width": 2}),
        RouteSettings(strategy="beam", settings={"vote": True, "decay": 0.5, "weight": 1}),
    ],
)
def test_a_routes_name_gives_its_strategy_back(route: RouteSettings) -> None:
    assert route_strategy(route.name, 0) == route.strategy_at(0)


def test_names_of_models_alone_and_of_other_strategies_give_theirs() -> None:
    assert route_strategy("single/mid", 0) == Single("mid")
    assert isinstance(route_strategy("stepwise/lab-agg=0.001", 0), Stepwise)
    assert isinstance(route_strategy("automix/threshold=0.5", 0), AutoMix)


@pytest.mark.parametrize(
    ("name", "error"), [("mine", "no strategy can be built"), ("routed/runs/t=0.5", "chooses among routes itself")]
)
def test_other_names_are_refused(name: str, error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        route_strategy(name, 0)


def test_a_calibrated_table_is_paced_over_its_routes() -> None:
    curve = BudgetCurve(axis="usd", knobs=(0.3, 1.0), costs=(0.01, 0.1))
    strategy = build_strategy("budgeted", MixtureFamily(FAMILY, curve, 0.05, 0.05, 1.0).at(0.05, 0))
    assert isinstance(strategy, BudgetPacing)
    assert set(strategy.routes) == {"single/weak", "single/strong"}
    assert strategy.needs.scorers == ()
    trace = Stage([Say("w \\boxed{1}")], [Say("s \\boxed{1}")], []).solve(strategy)
    assert trace.notes[0].startswith("route single/")
    assert strategy.controller.debt != 0


def test_an_added_route_is_one_more_route(tmp_path: Path) -> None:
    folder = tmp_path / "table"
    write_table(FAMILY, {}, folder)
    before = RouteSettings(strategy="routed", policy=str(folder))
    assert isinstance(before.strategy_at(0), Routed)
    write_route(STEPS, TEXT, {}, folder)
    after = before.strategy_at(0)
    assert isinstance(after, Routed)
    assert "stepwise/threshold=0.3" in after.routes
