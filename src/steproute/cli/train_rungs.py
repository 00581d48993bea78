"""What is fitted to a survey of the rungs over the step tree: tables of rungs by replay, and TRIM-POMDP's rewriters."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from steproute.artifacts import Artifact
from steproute.cli.train_pomdp import fit_on_lab_labels
from steproute.cli.training import Training
from steproute.cli.training_tree import WIDE
from steproute.core.arrays import F64
from steproute.core.errors import ConfigError
from steproute.engine.roles import ScorerRole
from steproute.lab.checking_scorer import CHECKER, CheckingScorer
from steproute.lab.story import is_lab
from steproute.learn.rung_fit import fit_tables, front, values_for
from steproute.learn.rung_replay import Replay
from steproute.learn.rung_rewriters import surveyed_rewriters
from steproute.learn.survey import Place, Survey
from steproute.policies.stored import rungs_artifact
from steproute.policies.trim.pomdp_model import StepPomdp
from steproute.policies.trim.rung_table import RungFamily, RungTable
from steproute.strategies.second_chances import RESAMPLE, RETRY

JUDGE: Final = "prm"


def rungs(training: Training) -> Artifact:
    """The tables that a survey's problems choose, from the cheapest to the most expensive.

    Raises ConfigError for the rung retry, DatasetError if no problem has a step, BackendError if every problem fails.
    """
    training = _checked(training)
    survey = rung_survey(training)
    training.solved([survey], WIDE)
    surveyed = [survey.places[problem.id] for problem in training.problems if problem.id in survey.places]
    began, replay = time.monotonic(), _replay(training, surveyed)
    tables = front(replay, fit_tables(replay, values_for(replay)))
    training.console.print(
        f"{sum(map(len, surveyed))} steps  {len(tables)} tables fitted in {time.monotonic() - began:.0f} s",
        highlight=False,
    )
    points = _points(replay, tables)
    for rank, (dollars, correct) in enumerate(points, start=1):
        training.console.print(f"  knob {rank}: ${dollars:.6f} per problem, {correct:.1%} correct", highlight=False)
    facts: dict[str, Any] = {**training.facts, "labels": survey.label, "replayed": points}
    return rungs_artifact(RungFamily(tables), facts)


def pomdp_with_rungs(training: Training) -> StepPomdp:
    """TRIM-POMDP's model of the embedded models, with the survey's rungs as its rewriters."""
    survey = rung_survey(training)
    training.solved([survey], WIDE)
    roles = training.setup.roles
    models = [rung for rung in training.rewriters if rung != RESAMPLE]
    model = fit_on_lab_labels(replace(training, rewriters=models), "steps")
    places = [place for each in survey.places.values() for place in each]
    prices = {role: roles.model(role).price for role in ("weak", *models)}
    rewriters, tokens = surveyed_rewriters(places, training.rewriters, prices, roles.scorer(JUDGE).price)
    return replace(model, rewriters=rewriters, step_tokens=tokens)


def _checked(training: Training) -> Training:
    """With the checker among the scorers if it knows the problems, whoever the models are."""
    roles = training.setup.roles
    if CHECKER in roles.scorers or not is_lab(training.data):
        return training
    scorers = {**roles.scorers, CHECKER: ScorerRole(scorer=CheckingScorer())}
    return replace(training, setup=replace(training.setup, roles=replace(roles, scorers=scorers)))


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
