"""The name of a route, which its traces carry: strategy, settings, policy and knob in one text."""

import re
from ast import literal_eval
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

SINGLE: Final = "single"
"""The strategy of one model that writes everything, whose route is named after its role: `single/weak`."""

_ROUTED: Final = re.compile(r"(?P<strategy>[^/(]+)(?:\((?P<settings>.*?)\))?/(?P<policy>.+)=(?P<knob>[^=]+)", re.DOTALL)
_NEXT_SETTING: Final = re.compile(r",(?=[A-Za-z_]\w*=)")


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteName:
    """The parts of a name such as `stepwise(takeover_steps=2)/threshold+takeover=0.5`.

    settings: of the strategy, as text. A single model has neither policy nor knob, but a role: `single/weak`.
    """

    strategy: str
    settings: str = ""
    policy: str | None = None
    knob: float | None = None
    role: str | None = None

    @classmethod
    def of(cls, strategy: str, settings: Mapping[str, Any], policy: str, knob: float) -> Self:
        """The name of a strategy around a policy at a knob."""
        text = ",".join(f"{key}={_exactly(value)}" for key, value in sorted(settings.items()))
        return cls(strategy=strategy, settings=text, policy=policy, knob=knob)

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The parts of a route's name; None for a name of another form, as code of your own may give."""
        if text.startswith(f"{SINGLE}/"):
            return cls(strategy=SINGLE, role=text.partition("/")[2])
        match = _ROUTED.fullmatch(text)
        if match is None:
            return None
        try:
            knob = float(match["knob"])
        except ValueError:
            return None
        return cls(strategy=match["strategy"], settings=match["settings"] or "", policy=match["policy"], knob=knob)

    @property
    def values(self) -> dict[str, Any]:
        """The settings by name. What is no literal of Python, such as the name of a scorer, is text."""
        pairs = (part.partition("=") for part in _NEXT_SETTING.split(self.settings) if part)
        return {name: _value(text) for name, _, text in pairs}

    def __str__(self) -> str:
        if self.role is not None:
            return f"{self.strategy}/{self.role}"
        settings = f"({self.settings})" if self.settings else ""
        return f"{self.strategy}{settings}/{self.policy}={_exactly(self.knob)}"


def _value(text: str) -> Any:
    try:
        return literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _exactly(value: Any) -> str:
    """A setting's value; a number as short as it can be without being taken for another one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    short = f"{value:g}"
    return short if float(short) == value else repr(value)
