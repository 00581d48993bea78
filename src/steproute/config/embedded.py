"""The models and scorers that come with the package: the lab's, and those of TRIM's world."""

from pathlib import Path
from typing import Final

from steproute.core.errors import ConfigError
from steproute.core.ports import StepModel, StepScorer
from steproute.engine.limits import Limits
from steproute.engine.roles import ModelRole, Roles, ScorerRole
from steproute.environments import babyai_bots as babyai
from steproute.environments.babyai import BabyAi, is_babyai
from steproute.environments.house import agents as house
from steproute.environments.house.game import is_house
from steproute.environments.replaying import Replaying
from steproute.lab.checking_scorer import CHECKER, CheckingScorer
from steproute.lab.models import LAB_SAMPLING, PRICES, LabLikelihood, LabModel, LabPrm
from steproute.lab.trim_world import models as trim_world
from steproute.lab.trim_world.parameters import STRONG, WEAK
from steproute.lab.trim_world.world import is_trim_world
from steproute.scorers.calibrated import CalibratedScorer
from steproute.scorers.calibration_file import load_score_map
from steproute.simulation.timed_roles import LAB_DEPLOYMENT, Deployment

PLACE_SCORER: Final = "prm-place"


def lab_roles(scorer: str = "") -> Roles:
    """The bundled lab: three writers, the PRM, strong as a judge and the checker, with their prices.

    scorer: what scores as `prm`: the verifier if empty, the older PRM if "prm-place" (for null checks), else the
    verifier with the calibration in that folder, by `steproute calibrate-scorer`. Raises ArtifactError if that is
    damaged or weights are missing.
    """
    place = LabPrm("lab-prm-place")
    prm: StepScorer = place if scorer == PLACE_SCORER else LabPrm()
    if scorer and scorer != PLACE_SCORER:
        prm = CalibratedScorer(prm, load_score_map(Path(scorer)))
    return Roles(
        models={
            "weak": ModelRole(model=LabModel("lab-weak"), price=PRICES["lab-weak"], sampling=LAB_SAMPLING),
            "mid": ModelRole(model=LabModel("lab-mid"), price=PRICES["lab-mid"], sampling=LAB_SAMPLING),
            "strong": ModelRole(model=LabModel("lab-strong"), price=PRICES["lab-strong"], sampling=LAB_SAMPLING),
        },
        scorers={
            "prm": ScorerRole(scorer=prm, price=PRICES["lab-verifier"]),
            PLACE_SCORER: ScorerRole(scorer=place, price=PRICES["lab-prm-place"]),
            "strong": ScorerRole(scorer=LabLikelihood("lab-strong"), price=PRICES["lab-strong"]),
            CHECKER: ScorerRole(scorer=CheckingScorer()),
        },
        ladder=("weak", "mid", "strong"),
    )


def trim_world_roles() -> Roles:
    """TRIM's world: two models and a PRM that draw by the authors' published parameters, at assumed prices."""
    return Roles(
        models={
            role: ModelRole(
                model=trim_world.DrawingModel(name), price=trim_world.PRICES[name], sampling=trim_world.SAMPLING
            )
            for role, name in (("weak", WEAK), ("strong", STRONG))
        },
        scorers={
            "prm": ScorerRole(scorer=trim_world.DrawingPrm(), price=trim_world.PRICES[trim_world.PRM]),
            CHECKER: ScorerRole(scorer=CheckingScorer()),
        },
    )


def house_roles() -> Roles:
    """The house: a trained agent, the expert that it imitates, a trained PRM and the checker, at assumed prices."""
    agents: dict[str, StepModel] = {"weak": house.HouseAgent(), "strong": house.HouseExpert()}
    return Roles(
        models={
            role: ModelRole(model=agent, price=house.PRICES[agent.name], sampling=house.HOUSE_SAMPLING)
            for role, agent in agents.items()
        },
        scorers={
            "prm": ScorerRole(scorer=house.HousePrm(), price=house.PRICES[house.PRM]),
            CHECKER: ScorerRole(scorer=house.HouseChecker()),
        },
        environment=house.HouseEnvironment(),
    )


def babyai_roles() -> Roles:
    """BabyAI: its bot, which errs more or less often, and scorers that know the bot's plan, at assumed prices."""
    games = Replaying(babyai.PlannedGame)
    names = {"weak": "babyai-weak", "mid": "babyai-mid", "strong": "babyai-strong"}
    return Roles(
        models={
            role: ModelRole(model=babyai.BabyAiBotAgent(name, games), price=babyai.PRICES[name])
            for role, name in names.items()
        },
        scorers={
            "prm": ScorerRole(scorer=babyai.BabyAiScorer(babyai.PRM, noisy=True), price=babyai.PRICES[babyai.PRM]),
            CHECKER: ScorerRole(scorer=babyai.BabyAiScorer("babyai-checker", noisy=False)),
        },
        ladder=tuple(names),
        environment=BabyAi(),
    )


def is_world(data: str) -> bool:
    """Whether a data set's tasks are acted out in a world that has agents of its own."""
    return is_house(data) or is_babyai(data)


def embedded_limits(data: str) -> Limits:
    """The limits for the embedded models: a mission of BabyAI ends after MOST_ACTIONS actions."""
    return Limits(max_steps=babyai.MOST_ACTIONS) if is_babyai(data) else Limits()


def embedded_roles(data: str, scorer: str = "") -> Roles:
    """The embedded models that solve a data set: a world's own for its own problems, else the lab's.

    scorer: see `lab_roles`. Raises ConfigError for a calibration in another world, whose PRM has none.
    """
    for known, roles in ((is_house, house_roles), (is_babyai, babyai_roles), (is_trim_world, trim_world_roles)):
        if known(data) and scorer:
            raise ConfigError(
                f"{scorer!r} calibrates the lab's PRM, and {data} has its own.", where="scorer", remedy="Leave it out."
            )
        if known(data):
            return roles()
    return lab_roles(scorer)


def embedded_deployment(data: str) -> Deployment | None:
    """The servers that the seconds of a comparison are simulated on; None for worlds to act in."""
    return None if is_world(data) else LAB_DEPLOYMENT
