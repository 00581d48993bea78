"""What `--policies` and `--baselines` call a series: `STRATEGY(settings):POLICY@knobs`, or a part of that."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from steproute.config.route import parsed_settings
from steproute.core.errors import ConfigError

_NAME: Final = re.compile(
    r"(?:(?P<strategy>[^:/()]+)(?:\((?P<settings>[^()]*)\))?:)?(?P<policy>.+?)(?:@(?P<knobs>[-+.\de/]+))?"
)
_COMMA: Final = re.compile(r",(?![^\[]*\])")


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesName:
    """The parts of a name such as `primed(first_steps=1):trigreason@0.7/0.85/1`.

    strategy: empty for a policy alone, which the run's strategy asks. settings: the strategy's own. policy: a role of
    `single`. knobs: empty for all of the policy's grid.
    """

    strategy: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    policy: str
    knobs: tuple[float, ...] = ()

    @property
    def label(self) -> str:
        """The name without the knobs."""
        settings = ",".join(f"{key}={value}" for key, value in self.settings.items())
        strategy = f"{self.strategy}({settings})" if settings else self.strategy
        return f"{strategy}:{self.policy}" if strategy else self.policy

    @classmethod
    def parse(cls, name: str) -> Self:
        """The parts of a name; raises ConfigError for settings or knobs that are none."""
        match = _NAME.fullmatch(name)
        if match is None:
            return cls(policy=name)
        settings = parsed_settings(_COMMA.split(match["settings"]) if match["settings"] else [], "policies")
        try:
            knobs = tuple(map(float, match["knobs"].split("/"))) if match["knobs"] else ()
        except ValueError:
            raise ConfigError(
                f"{match['knobs']!r} are no knobs.", where="policies", remedy=f"Write {match['policy']}@0.2/0.5/0.9."
            ) from None
        return cls(strategy=match["strategy"] or "", settings=settings, policy=match["policy"], knobs=knobs)
