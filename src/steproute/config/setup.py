"""What a command works with: models, scorers, route and limits, from a steproute.toml or the package itself."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from steproute.config.answer import AnswerSettings
from steproute.config.embedded import embedded_deployment, embedded_limits, embedded_roles, is_world
from steproute.config.file import read_config
from steproute.config.gateway import GatewaySettings
from steproute.config.route import RouteSettings
from steproute.config.run import RunConfig
from steproute.core.answer_rule import ACTIONS
from steproute.core.errors import ConfigError
from steproute.engine.limits import Limits
from steproute.engine.roles import Roles
from steproute.simulation.timed_roles import Deployment


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """The models, scorers and grader of a command, and the route and limits that are set for them.

    digest: of the models and scorers of a steproute.toml, empty for embedded ones; calibrations: the folders that it
    names. deployment: what the seconds of a comparison are simulated on; None if they are measured.
    """

    roles: Roles
    route: RouteSettings = RouteSettings()
    limits: Limits = Limits()
    answer: AnswerSettings = AnswerSettings()
    digest: str = ""
    calibrations: tuple[str, ...] = ()
    scorer: str = ""
    gateway: GatewaySettings = GatewaySettings()
    deployment: Deployment | None = None

    def run(
        self,
        name: str,
        data: str,
        *,
        problems: int | None = None,
        knobs: tuple[float, ...] = (),
        baselines: tuple[str, ...] = (),
        seed: int = 0,
        seeds: tuple[int, ...] = (),
        in_flight: int = 32,
    ) -> RunConfig:
        """A run of these models. Raises ConfigError for names and numbers that cannot be."""
        return RunConfig(
            name=name,
            data=data,
            problems=problems,
            route=self.route,
            knobs=knobs,
            baselines=baselines,
            scorer=self.scorer,
            calibrations=self.calibrations,
            config_digest=self.digest,
            seed=seed,
            seeds=seeds,
            in_flight=in_flight,
            limits=self.limits,
            answer=self.answer,
        )

    def graded_by(
        self, *, rule: str | None = None, grader: str | None = None, settings: Mapping[str, Any] = {}
    ) -> "Setup":
        """This setup with another answer rule, grader or settings of the grader. Raises ConfigError."""
        answer = self.answer.changed(rule=rule, grader=grader, settings=settings)
        return replace(self, answer=answer, roles=answer.graded(self.roles))


def read_setup(config: Path | None, data: str = "lab", *, scorer: str = "") -> Setup:
    """The setup of a steproute.toml, or without one that of the embedded models that solve `data`.

    scorer: of the lab alone; see `lab_roles`. Raises ConfigError that names the field, ArtifactError for a damaged
    calibration.
    """
    if config is None:
        answer = AnswerSettings(rule=ACTIONS.name, grader="reward") if is_world(data) else AnswerSettings()
        roles = answer.graded(embedded_roles(data, scorer))
        return Setup(
            roles=roles,
            limits=embedded_limits(data),
            answer=answer,
            scorer=scorer,
            deployment=embedded_deployment(data),
        )
    if scorer:
        raise ConfigError(
            "belongs to the lab's PRM.", where="scorer", remedy="Put calibration = … below [scorers.prm] of the file."
        )
    file = read_config(config)
    setup = Setup(
        roles=file.roles(),
        route=file.route,
        limits=file.limits,
        answer=file.answer,
        digest=file.digest,
        calibrations=file.calibrations,
        gateway=file.gateway,
    )
    try:
        return setup.graded_by()
    except ConfigError as failure:
        raise failure.inside(config.name) from None
