"""Parts from their settings, and policies from their knobs: one way for built-in and third-party classes."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from inspect import Parameter, signature
from typing import Any, Final, cast

from steproute.core.errors import ConfigError
from steproute.core.ports import KNOBS, Chooser, FromSettings, Policy, PolicyFamily
from steproute.core.settings import settings_of

_VARIABLE: Final = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
_NO_KNOB: Final = (0.0,)


def build(kind: type[Any], name: str, table: Mapping[str, Any]) -> Any:
    """A part by the protocol of FromSettings. Raises ConfigError that names the field."""
    if builds_itself(kind):
        return cast(FromSettings, kind).from_settings(name, table)
    if is_dataclass(kind):
        named = {"name": name} if any(each.name == "name" and each.init for each in fields(kind)) else {}
        return settings_of({**named, **table}, kind)
    if table:
        raise ConfigError(f"{kind.__name__} has no settings.", where=next(iter(table)), remedy="Remove it.")
    return kind()


def builds_itself(kind: type[Any]) -> bool:
    """Whether a class has `from_settings`."""
    return callable(getattr(kind, FromSettings.from_settings.__name__, None))


def required(kind: type[Any]) -> list[str]:
    """The arguments without which a class cannot be called."""
    return [each.name for each in _arguments(kind) if each.default is Parameter.empty]


def family_of(kind: Any) -> PolicyFamily:
    """A registered policy or chooser at each knob: by its own `at`, or made from one number."""
    return kind if isinstance(kind, PolicyFamily) else _Family(kind)


@dataclass(frozen=True, slots=True)
class _Family:
    """The policies of a class whose only argument is the knob, or that has none."""

    kind: type[Policy | Chooser]

    @property
    def knobs(self) -> tuple[float, ...]:
        return KNOBS.of(self.kind) if _arguments(self.kind) else _NO_KNOB

    def at(self, knob: float, seed: int) -> Policy | Chooser:
        return self.kind(**{each.name: knob for each in _arguments(self.kind)[:1]})


def _arguments(kind: type[Any]) -> list[Parameter]:
    return [each for each in signature(kind).parameters.values() if each.kind not in _VARIABLE]
