"""The models and scorers that come with the package: the lab's, and those of TRIM's world."""

from pathlib import Path
from typing import Final

from steproute.core.errors import ConfigError
from steproute.core.ports import StepScorer
from steproute.engine.roles import ModelRole, Roles, ScorerRole
from steproute.environments.house.agents import PRICES as PRICES_OF_HOUSE
from steproute.environments.house.agents import HouseAgent, HouseEnvironment, HouseProgress, noisy_scorer
from steproute.environments.house.game import NAME as HOUSE
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
    """The house: three scripted agents, a noisy scorer as `prm` and the exact one as `oracle`, at assumed prices."""
    names = {"weak": "house-weak", "mid": "house-mid", "strong": "house-strong"}
    return Roles(
        models={role: ModelRole(model=HouseAgent(name), price=PRICES_OF_HOUSE[name]) for role, name in names.items()},
        scorers={
            "prm": ScorerRole(scorer=noisy_scorer(), price=PRICES_OF_HOUSE["house-prm"]),
            "oracle": ScorerRole(scorer=HouseProgress()),
        },
        ladder=tuple(names),
        environment=HouseEnvironment(),
    )


def is_house(data: str) -> bool:
    """Whether a data set's name is that of the house."""
    return data.partition(":")[0] == HOUSE


def embedded_roles(data: str, scorer: str = "") -> Roles:
    """The embedded models that solve a data set: TRIM's world for its own problems, else the lab.

    scorer: see `lab_roles`. Raises ConfigError for a calibration in TRIM's world, whose PRM has none.
    """
    if not is_trim_world(data) and not is_house(data):
        return lab_roles(scorer)
    if scorer:
        raise ConfigError(
            f"{scorer!r} calibrates the lab's PRM, and {data} has its own.", where="scorer", remedy="Leave it out."
        )
    return house_roles() if is_house(data) else trim_world_roles()


def embedded_deployment(data: str) -> Deployment | None:
    """The servers that the seconds of a comparison are simulated on; None for the house, whose agents are scripts."""
    return None if is_house(data) else LAB_DEPLOYMENT
