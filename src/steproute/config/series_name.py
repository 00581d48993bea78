"""What `--policies` and `--baselines` call a series: a policy, `STRATEGY(settings):POLICY`, or `single:ROLE`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from steproute.config.route import parsed_settings

_NAME: Final = re.compile(r"(?P<strategy>[^:/()]+)(?:\((?P<settings>[^()]*)\))?:(?P<policy>.+)", re.DOTALL)
_COMMA: Final = re.compile(r",(?![^\[]*\])")


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesName:
    """The parts of a name such as `primed(first_steps=1):trigreason`.

    strategy: empty for a policy alone, which the run's strategy asks. settings: the strategy's own.
    """

    strategy: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    policy: str

    @classmethod
    def parse(cls, name: str) -> Self:
        """The parts of a name; raises ConfigError for settings that are none."""
        match = _NAME.fullmatch(name)
        if match is None:
            return cls(policy=name)
        settings = parsed_settings(_COMMA.split(match["settings"]) if match["settings"] else [], "policies")
        return cls(strategy=match["strategy"], settings=settings, policy=match["policy"])
