"""Scores that are none fail their scorer: no policy, no trace and no step tree ever sees one."""

import asyncio
import math
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from tests.engine.scripted import Say, ScriptedModel

from steproute import Episode, Meter, ModelRole, Outcome, Prefix, Price, Problem, Roles, ScorerRole, Scores, Usage
from steproute.core.errors import ScorerError
from steproute.core.replies import returned_scores, sound_scores
from steproute.engine.limits import Limits
from steproute.engine.runner import Route, RunSettings, run
from steproute.engine.step_tree import StepTree
from steproute.engine.trace_file import TraceFile
from steproute.policies.trim.threshold import Threshold
from steproute.scorers.calibrated import CalibratedScorer, Isotonic
from steproute.scorers.ensemble import EnsembleScorer
from steproute.strategies.pipelined import Pipelined
from steproute.strategies.stepwise import Stepwise

USAGE = Usage(input_tokens=7)
NO_NUMBERS = [None, "0.5", "nan", b"1", True, False, [0.5], (0.5,), {}, object(), 1j, np.bool_(True), np.array([0.5])]
NO_NUMBERS += [Decimal("0.5"), np.datetime64(0, "s"), float, {0.5}]
NO_SCORES = [math.nan, math.inf, -math.inf, 7.0, -0.01, 1.0000001, 2, -1, 10**400, Fraction(3, 2), np.float32(7)]
NO_SCORES += [np.float64("nan"), np.int64(2), np.float16("inf")]
SOUND = [0, 1, 0.0, 0.5, 1.0, -0.0, Fraction(1, 2), np.float32(0.25), np.float64(1), np.int8(0), 5e-324]
NO_LISTS = [None, 0.5, "ab", b"ab", 3, object()]


def named(value: object) -> str:
    """The same name in every process, which an address would not be."""
    return repr(value).partition(" at 0x")[0]


class Reply:
    """A scorer of one's own that returns whatever it is given."""

    name = "mine"

    def __init__(self, reply: object) -> None:
        self.reply = reply

    async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
        return self.reply  # type: ignore[return-value]


def scores(values: object) -> Scores:
    return Scores(values=values, model="mine", usage=USAGE)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", NO_NUMBERS + NO_SCORES, ids=named)
@pytest.mark.parametrize("place", [0, 2])
def test_a_value_that_is_no_score_is_named(value: object, place: int) -> None:
    values = [0.5, 0.5, 0.5]
    values[place] = value  # type: ignore[call-overload]
    with pytest.raises(ScorerError, match=rf"^mine: score {place + 1}, .*Return a probability"):
        sound_scores(scores(values), "mine", 3)


@pytest.mark.parametrize("value", SOUND, ids=named)
def test_every_kind_of_number_between_0_and_1_becomes_a_plain_one(value: float) -> None:
    (score,) = sound_scores(scores(np.array([value]) if type(value) is float else [value]), "mine", 1).values
    assert type(score) is float
    assert score == value


@pytest.mark.parametrize("values", NO_LISTS, ids=named)
def test_scores_that_are_no_list_are_refused(values: object) -> None:
    with pytest.raises(ScorerError, match="^mine: its scores are"):
        sound_scores(scores(values), "mine", 1)


@pytest.mark.parametrize("count", [0, 1, 3, 100])
def test_a_wrong_number_of_scores_is_refused(count: int) -> None:
    with pytest.raises(ScorerError, match=f"^mine: gave {count} scores for 2 steps"):
        sound_scores(scores([0.5] * count), "mine", 2)


@pytest.mark.parametrize("reply", [None, 0.5, [0.5], (0.5,), {"values": [0.5]}, "0.5"], ids=named)
def test_a_reply_that_is_no_scores_is_refused(reply: object) -> None:
    with pytest.raises(ScorerError, match=r"^mine: returned .* instead of Scores"):
        returned_scores(reply, "mine")


UNSOUND = [
    *(scores([value]) for value in (math.nan, math.inf, 7.0, -1, None, "0.5", True, [0.5])),
    *(scores(values) for values in (None, [], [0.5, 0.5], 0.5, "a")),
    None,
    [0.5],
]
WAYS = ["plain", "in a tree", "calibrated", "in an ensemble", "lookahead", "calibrated in a tree"]


def judge(reply: object, way: str) -> ScorerRole:
    scorer, price = Reply(reply), Price(input=Decimal(1_000_000), output=Decimal(0))
    if way.startswith("calibrated"):
        return ScorerRole(
            scorer=CalibratedScorer(scorer, Isotonic(np.array([0.0, 1.0]), np.array([0.0, 1.0]))), price=price
        )
    if way == "in an ensemble":
        return ScorerRole(scorer=EnsembleScorer("all", [scorer]), members={"a": ScorerRole(scorer=scorer, price=price)})
    return ScorerRole(scorer=scorer, price=price)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("reply", UNSOUND, ids=lambda reply: repr(getattr(reply, "values", reply)))
def test_scores_that_are_none_fail_the_problem_and_reach_neither_policy_nor_tree(
    tmp_path: Path, reply: object, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[object] = []
    monkeypatch.setattr(Threshold, "decide", lambda self, observation: seen.append(observation))
    model = ScriptedModel("weak", [Say("a"), Say("b")])
    roles = Roles(
        models={"weak": ModelRole(model=model), "strong": ModelRole(model=model)}, scorers={"prm": judge(reply, way)}
    )
    strategy = (Pipelined if way == "lookahead" else Stepwise)(policy=Threshold(0.5))
    problem = Problem.ask(id="p", text="?")
    with StepTree(tmp_path / "tree", 1) as tree, TraceFile(tmp_path / "t.zst") as traces:
        used = tree.roles(roles) if way.endswith("tree") else roles
        asyncio.run(run([(Route(name="r", strategy=strategy), problem)], used, RunSettings(), traces))
        trace = traces.get("r", "p", 0)
    with StepTree(tmp_path / "tree", 1) as tree:
        assert not any(isinstance(value, Scores) for value in tree._known.values())
    assert trace is not None
    assert trace.outcome is Outcome.FAILED
    assert "ScorerError: mine" in str(trace.error)
    assert not seen
    if isinstance(reply, Scores) and not way.startswith("calibrated"):
        scored = [line.cost_usd for line in trace.account if line.role in ("prm", "a")]
        assert scored
        assert set(scored) == {7}, "judging is paid for, whatever came of it"


@pytest.mark.parametrize("declared", ["accept", "regenerate"])
def test_a_route_that_declares_what_to_do_then_goes_on(declared: str) -> None:
    model = ScriptedModel("weak", [Say("a"), Say("so \\boxed{1}")])
    roles = Roles(
        models={"weak": ModelRole(model=model), "strong": ModelRole(model=model)},
        scorers={"prm": ScorerRole(scorer=Reply(scores([math.nan])))},
    )
    limits = Limits(on_scorer_failure=declared)  # type: ignore[arg-type]
    episode = Episode(Problem.ask(id="p", text="?"), roles, route="r", limits=limits)
    trace = asyncio.run(episode.run(Stepwise(policy=Threshold(0.5))))
    assert trace.outcome is Outcome.ANSWERED
    assert "score 1, nan, is undefined" in trace.notes[0]
