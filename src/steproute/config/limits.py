"""The limits of one problem, from a table of steproute.toml."""

from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from steproute.core.errors import ConfigError
from steproute.core.settings import converted
from steproute.engine.limits import Limits


def read_limits(where: str, table: Mapping[str, Any], models: Iterable[str]) -> Limits:
    """The limits, whose calls are of the roles in `models`. Raises ConfigError that names `where` and the field."""
    limits = _read(where, table)
    try:
        limits.check_roles(models)
    except ConfigError as failure:
        raise failure.inside(where, ".") from None
    return limits


def _read(where: str, table: Mapping[str, Any]) -> Limits:
    money = table.get("max_cost_usd")
    if money is None:
        return converted(where, table, Limits)
    try:
        return converted(where, {**table, "max_cost_usd": Decimal(str(money))}, Limits)
    except InvalidOperation:
        raise ConfigError(
            f"{money!r} is no number.", where=f"{where}.max_cost_usd", remedy="Give dollars, or leave it out."
        ) from None
