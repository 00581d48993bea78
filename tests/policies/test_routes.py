from pathlib import Path

import numpy as np
import pytest

from steproute.artifacts import FACTS, TENSORS, artifact_digests, read_artifact, write_artifact
from steproute.core.decision import Rewrite
from steproute.core.errors import ArtifactError, ConfigError
from steproute.core.observation import Observation
from steproute.core.problem import Problem
from steproute.core.solution import Draft, Prefix, Stop
from steproute.core.usage import Usage
from steproute.policies.mixture import BudgetCurve
from steproute.policies.query import TfIdf
from steproute.policies.route_table_file import read_table, write_route, write_table
from steproute.policies.routes import (
    ByPrice,
    ByWeight,
    Forecast,
    JointNetwork,
    JointTable,
    Readout,
    RouteFamily,
    RoutePredictor,
    SeparateTable,
)
from steproute.policies.stored import load_policy, mixture_artifact

TEXT = TfIdf(("apple", "train"), np.array([1.0, 1.0]))
EASY, HARD = "an apple", "a train"


def readout(route: str) -> Readout:
    return Readout(
        route=route, logits=np.array([-4.0, 4.0]), chances=np.array([0.1, 0.9]), smearing=np.array([1.0, 1.0, 2.0])
    )


def predictor(route: str, apple: float, train: float, usd: float) -> RoutePredictor:
    """Logits of the two words; the same cost for every text."""
    weights = np.zeros((4, 4))
    weights[0, :2], weights[1, -1] = (apple, train), np.log(usd)
    return RoutePredictor(readout=readout(route), weights=weights)


WEAK, STRONG = predictor("single/weak", 3.0, -3.0, 0.01), predictor("single/strong", 4.0, 3.0, 0.1)
STEPS = predictor("stepwise/threshold=0.3", 3.5, 1.0, 0.04)
TABLE = SeparateTable(TEXT, (WEAK, STRONG))
FAMILY = RouteFamily(TABLE, unit=0.1)


def joint(seed: int = 0) -> JointTable:
    rng = np.random.default_rng(seed)
    networks = [
        JointNetwork(
            hidden=rng.normal(size=(3, 5)), routes=rng.normal(size=(2, 5)), output=rng.normal(size=(6, outputs))
        )
        for outputs in (1, 3)
    ]
    return JointTable(text=TEXT, right=networks[0], costs=networks[1], readouts=(readout("a"), readout("b")))


def observation(text: str, id: str = "p") -> Observation:
    return Observation(
        prefix=Prefix(problem=Problem.ask(id=id, text=text)),
        draft=Draft(model="", text="", stop=Stop.SEPARATOR, usage=Usage()),
        scores=(),
        max_steps=30,
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_forecast_holds_calibrated_chances_and_smeared_costs() -> None:
    forecast = TABLE.forecast([EASY, HARD])
    assert forecast.right.tolist() == pytest.approx(np.array([[0.8, 0.9], [0.2, 0.8]]))
    assert forecast.usd.tolist() == pytest.approx(np.array([[0.01, 0.1], [0.01, 0.1]]))
    assert forecast.cost("seconds").tolist() == [[2.0, 2.0], [2.0, 2.0]]


def test_a_price_buys_accuracy_only_where_it_is_worth_it() -> None:
    forecast = TABLE.forecast([EASY, HARD])
    assert ByPrice(price=0.0).choose(forecast).tolist() == [1, 1]
    assert ByPrice(price=3.0).choose(forecast).tolist() == [0, 1]
    assert ByPrice(price=10.0).choose(forecast).tolist() == [0, 0]


@pytest.mark.parametrize("weight", [0.02, 0.3, 0.7, 0.9, 1.0])
def test_a_weight_is_a_price(weight: float) -> None:
    forecast = TABLE.forecast([EASY, HARD])
    rule = ByWeight(weight=weight, unit=0.1)
    assert rule.choose(forecast).tolist() == ByPrice(price=rule.price).choose(forecast).tolist()
    assert ByWeight(weight=0.0, unit=0.1).choose(forecast).tolist() == [0, 0]


def test_of_equally_good_routes_the_cheapest_is_taken() -> None:
    same, cost = np.array([[0.5, 0.5, 0.4]]), np.array([[0.2, 0.1, 0.05]])
    forecast = Forecast(routes=("a", "b", "c"), right=same, usd=cost, tokens=cost, seconds=cost)
    assert ByPrice(price=0.0).choose(forecast).tolist() == [1]


def test_the_policy_names_a_route_to_the_end() -> None:
    policy = FAMILY.at(0.8, 0)
    assert policy.decide(observation(EASY)) == Rewrite("single/weak", steps=None)
    assert policy.decide(observation(HARD)) == Rewrite("single/strong", steps=None)
    assert policy.rewriters == ("single/weak", "single/strong")
    with pytest.raises(ConfigError, match="knob"):
        FAMILY.at(1.5, 0)


@pytest.mark.parametrize("table", [TABLE, joint()], ids=["separate", "joint"])
def test_a_table_comes_back_bit_for_bit(tmp_path: Path, table: SeparateTable | JointTable) -> None:
    write_table(RouteFamily(table, unit=0.1, axis="tokens"), {"seed": 3}, tmp_path)
    again = load_policy(tmp_path)
    assert isinstance(again, RouteFamily)
    assert (again.unit, again.axis, set(again.table.routes)) == (0.1, "tokens", set(table.routes))
    before, after = table.forecast([EASY, "a b"]), again.table.forecast([EASY, "a b"])
    order = [after.routes.index(route) for route in before.routes]
    assert np.array_equal(before.right, after.right[:, order])
    assert np.array_equal(before.usd, after.usd[:, order])


def test_an_added_route_changes_no_other_byte(tmp_path: Path) -> None:
    write_table(FAMILY, {}, tmp_path)
    before, digests = contents(tmp_path), artifact_digests(tmp_path)
    write_route(STEPS, TEXT, {"runs": ["runs/d"]}, tmp_path)
    after = contents(tmp_path)
    assert {name: after[name] for name in before} == before
    assert len(after) == len(before) + 2
    assert digests.items() <= artifact_digests(tmp_path).items()
    assert set(read_table(tmp_path).table.routes) == {"single/weak", "single/strong", "stepwise/threshold=0.3"}


def test_a_new_table_replaces_all_of_the_old_one(tmp_path: Path) -> None:
    write_table(RouteFamily(SeparateTable(TEXT, (STEPS,)), unit=0.1), {}, tmp_path)
    write_table(FAMILY, {}, tmp_path)
    assert set(read_table(tmp_path).table.routes) == {"single/weak", "single/strong"}


def test_a_route_of_other_features_is_refused(tmp_path: Path) -> None:
    write_table(FAMILY, {}, tmp_path)
    write_route(STEPS, TfIdf(TEXT.terms, np.array([1.0, 2.0])), {}, tmp_path)
    with pytest.raises(ArtifactError, match=r"threshold=0\.3', which is of another table"):
        load_policy(tmp_path)


@pytest.mark.parametrize("file", [FACTS, TENSORS])
def test_a_damaged_route_is_refused(tmp_path: Path, file: str) -> None:
    write_table(FAMILY, {}, tmp_path)
    path = next((tmp_path / "parts").glob(f"*/{file}"))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ArtifactError):
        load_policy(tmp_path)


def test_a_table_whose_write_was_killed_is_refused(tmp_path: Path) -> None:
    write_table(FAMILY, {}, tmp_path)
    (tmp_path / FACTS).unlink()
    with pytest.raises(ArtifactError, match="does not exist"):
        load_policy(tmp_path)


def test_a_calibrated_table_decides_as_its_two_weights(tmp_path: Path) -> None:
    write_table(FAMILY, {}, tmp_path / "table")
    curve = BudgetCurve(axis="usd", knobs=(0.3, 1.0), costs=(0.01, 0.1))
    write_artifact(mixture_artifact(curve, 0.05, 0.05, 1.0, "t", {}, tmp_path / "table"), tmp_path / "mixed")
    family = load_policy(tmp_path / "mixed")
    policy = family.at(family.knobs[0], 0)
    decisions = {policy.decide(observation(HARD, str(i))) for i in range(40)}
    assert decisions == {Rewrite("single/weak", steps=None), Rewrite("single/strong", steps=None)}
    assert set(policy.rewriters) == {"single/weak", "single/strong"}
    assert read_artifact(tmp_path / "mixed").kind == "mixture"


def test_weights_for_other_features_do_not_fit() -> None:
    with pytest.raises(ConfigError, match="3 features"):
        SeparateTable(TEXT, (RoutePredictor(readout=readout("a"), weights=np.zeros((4, 9))),))
    with pytest.raises(ConfigError, match="routes"):
        SeparateTable(TEXT, (WEAK, WEAK))
