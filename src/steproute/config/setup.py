"""What a command works with: models, scorers, route and limits, from a steproute.toml or the package itself."""

from dataclasses import dataclass
from pathlib import Path

from steproute.config.embedded import embedded_roles
from steproute.config.file import read_config
from steproute.config.route import RouteSettings
from steproute.config.run import RunConfig
from steproute.core.errors import ConfigError
from steproute.engine.cast import Cast
from steproute.engine.limits import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """The models and scorers of a command, and the route and limits that are set for them.

    digest: of the models and scorers of a steproute.toml, empty for embedded ones; calibrations: the folders that it
    names.
    """

    roles: Cast
    route: RouteSettings = RouteSettings()
    limits: Limits = Limits()
    digest: str = ""
    calibrations: tuple[str, ...] = ()
    scorer: str = ""

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
        )


def read_setup(config: Path | None, data: str = "lab", *, scorer: str = "") -> Setup:
    """The setup of a steproute.toml, or without one that of the embedded models that solve `data`.

    scorer: of the lab alone; see `lab_cast`. Raises ConfigError that names the field, ArtifactError for a damaged
    calibration.
    """
    if config is None:
        return Setup(roles=embedded_roles(data, scorer), scorer=scorer)
    if scorer:
        raise ConfigError("scorer: belongs to the lab's PRM. Put calibration = … below [scorers.prm] of the file.")
    read = read_config(config)
    return Setup(
        roles=read.cast(), route=read.route, limits=read.limits, digest=read.digest, calibrations=read.calibrations
    )
