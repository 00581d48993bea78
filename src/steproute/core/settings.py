"""Settings out of plain tables, with errors that name the field."""

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from typing import Any, Literal, TypeVar, get_args, get_origin

import msgspec

from steproute.core.errors import ConfigError

_T = TypeVar("_T")


def settings_of(table: Mapping[str, Any], kind: type[_T]) -> _T:
    """A backend's settings from its table, whose fields may belong to a settings class within.

    Raises ConfigError that names the field.
    """
    assert is_dataclass(kind)
    within = {each.name: each.type for each in fields(kind) if isinstance(each.type, type) and is_dataclass(each.type)}
    own = {each.name: each for each in fields(kind) if each.name not in within}
    inner = {name: {each.name: each for each in fields(part)} for name, part in within.items()}
    _check_names("", table, own | {name: each for part in inner.values() for name, each in part.items()}, {})
    nested: dict[str, Any] = {key: value for key, value in table.items() if key in own}
    for name, part in within.items():
        nested[name] = {key: value for key, value in table.items() if key in inner[name]}
        converted("", nested[name], part)
    return converted("", nested, kind)


def converted(where: str, table: object, kind: type[_T], elsewhere: Mapping[str, str] = {}) -> _T:
    """A table as a dataclass; raises ConfigError that names `where`, the field and what was expected.

    elsewhere: fields that the table cannot set, and what sets them.
    """
    dot = f"{where}." if where else ""
    known = {each.name: each for each in fields(kind)}  # type: ignore[arg-type]
    if isinstance(table, dict):
        _check_names(dot, table, known, elsewhere)
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as failure:
        what, _, place = str(failure).partition(" - at `$")
        field = place.strip("`.")
        remedy = _choices(known[field]) if field in known else ""
        said, at = f"{what[0].lower()}{what[1:]}.", dot + field if field else where
        raise ConfigError(said, where=at, remedy=remedy) from None
    except ConfigError as failure:
        raise (failure.inside(where, ".") if where else failure) from None


def _check_names(
    dot: str, table: Mapping[str, Any], known: Mapping[str, Field[Any]], elsewhere: Mapping[str, str]
) -> None:
    for key in table:
        if key in elsewhere:
            raise ConfigError(
                f"{table[key]!r} has no effect here: {elsewhere[key]}.", where=dot + key, remedy="Remove it."
            )
        if key not in known:
            names = ", ".join(sorted(known.keys() - elsewhere.keys()))
            raise ConfigError("unknown.", where=dot + key, remedy=f"Known fields: {names}.")
    for name, each in known.items():
        if name not in table and each.default is MISSING and each.default_factory is MISSING:
            raise ConfigError("missing.", where=dot + name, remedy=_choices(each) or f"Set {name} = ….")


def _choices(field: Field[Any]) -> str:
    """What a field takes, as a remedy; empty if that is not a list of words."""
    words: list[str] = []
    if get_origin(field.type) is Literal:
        words = list(get_args(field.type))
    elif isinstance(field.type, type) and issubclass(field.type, Enum):
        words = [member.value for member in field.type]
    return f"Use one of {', '.join(words)}." if words else ""
