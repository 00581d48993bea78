"""Fit tables of rungs: survey the problems over the step tree, then fit by replay."""

import time
from collections.abc import Sequence
from typing import Any, Final

from steproute.artifacts import Artifact
from steproute.cli.training import Training
from steproute.cli.training_tree import WIDE
from steproute.core.arrays import F64
from steproute.core.errors import ConfigError
from steproute.lab.checking_scorer import CHECKER
from steproute.learn.rung_fit import fit_tables, front, values_for
from steproute.learn.rung_replay import Replay
from steproute.learn.survey import Place, Survey
from steproute.policies.stored import rungs_artifact
from steproute.policies.trim.rung_table import RungFamily, RungTable
from steproute.strategies.second_chances import RESAMPLE, RETRY

JUDGE: Final = "prm"
_HELD_OUT: Final = 4  # every fourth problem


def rungs(training: Training) -> Artifact:
    """The tables of a survey, fitted on three quarters of the problems; the others choose the front.

    Raises ConfigError for the rung retry, DatasetError if no problem has a step, BackendError if every problem fails.
    """
    survey = rung_survey(training)
    (traces,) = training.solved([survey], WIDE)
    surveyed = [survey.places[problem.id] for problem in training.problems if problem.id in survey.places]
    began = time.monotonic()
    chooses = [index % _HELD_OUT == 0 for index in range(len(surveyed))]
    fitting = _replay(training, [each for each, held in zip(surveyed, chooses, strict=True) if not held])
    choosing = _replay(training, [each for each, held in zip(surveyed, chooses, strict=True) if held])
    tables = fit_tables(fitting, values_for(fitting))
    kept = front(choosing, tables)
    training.console.print(
        f"{sum(map(len, surveyed))} steps of {len(traces)} solutions  {len(tables)} tables fitted, {len(kept)} on the "
        f"front  fitted in {time.monotonic() - began:.0f} s",
        highlight=False,
    )
    points = _points(choosing, kept)
    for rank, (dollars, correct) in enumerate(points, start=1):
        training.console.print(f"  knob {rank}: ${dollars:.6f} per problem, {correct:.1%} correct", highlight=False)
    facts: dict[str, Any] = {**training.facts, "labels": survey.label, "replayed": points}
    return rungs_artifact(RungFamily(kept), facts)


def rung_survey(training: Training) -> Survey:
    """The survey of the training's rungs: steps are labelled by the checker of the embedded worlds, else by the PRM."""
    if RETRY in training.rewriters:
        raise ConfigError(
            "the rung retry is not surveyed.", where="roles", remedy="Leave it out, or use the policy ladder."
        )
    return Survey(
        rungs=("weak", *training.rewriters),
        label=CHECKER if CHECKER in training.setup.roles.scorers else JUDGE,
        judge=JUDGE,
        width=training.width,
    )


def _replay(training: Training, places: Sequence[Sequence[Place]]) -> Replay:
    roles, ladder = training.setup.roles, ("weak", *training.rewriters)
    prices = {rung: roles.model(rung).price for rung in ladder if rung != RESAMPLE}
    return Replay(places, ladder, prices, roles.scorer(JUDGE).price, training.width)


def _points(replay: Replay, tables: Sequence[RungTable]) -> list[tuple[float, float]]:
    """Dollars per problem and the share of correct answers of each table."""
    result = replay.run(tables)
    means: list[F64] = [result.dollars.mean(axis=1), result.correct.mean(axis=1)]
    return [(float(dollars), float(correct)) for dollars, correct in zip(*means, strict=True)]
