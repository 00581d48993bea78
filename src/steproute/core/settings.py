"""Settings out of plain tables, with errors that name the field."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

import msgspec

from steproute.core.errors import ConfigError

_T = TypeVar("_T")


def settings_of(table: Mapping[str, Any], kind: type[_T]) -> _T:
    """A backend's settings from its table, whose fields may belong to a settings class within.

    Raises ConfigError that names the field.
    """
    own = dict(table)
    assert is_dataclass(kind)
    for field in fields(kind):
        inner = field.type
        if isinstance(inner, type) and is_dataclass(inner):
            names = {each.name for each in fields(inner)}
            own[field.name] = {key: own.pop(key) for key in list(own) if key in names}
            converted("", own[field.name], inner)
    return converted("", own, kind)


def converted(where: str, table: object, kind: type[_T]) -> _T:
    """A table as a dataclass; raises ConfigError that names `where`, the field and what was expected."""
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    dot = f"{where}." if where else ""
    if isinstance(table, dict) and (unknown := next((key for key in table if key not in known), None)) is not None:
        raise ConfigError(f"{dot}{unknown}: unknown. Known fields: {', '.join(sorted(known))}.")
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as failure:
        what, _, place = str(failure).partition(" - at `$")
        field = place.strip("`.") or "?"
        raise ConfigError(f"{dot}{field}: {what[0].lower()}{what[1:]}.") from None
    except ConfigError as failure:
        raise ConfigError(f"{dot}{failure}") from None
