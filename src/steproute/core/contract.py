"""Whether a part fits the port of its kind: checked on registration, and on loading from another package."""

from collections.abc import Callable
from dataclasses import is_dataclass
from inspect import Signature, getattr_static, iscoroutinefunction, signature
from typing import Any, Final

from steproute.core.construction import builds_itself, required
from steproute.core.errors import ConfigError
from steproute.core.ports import PORTS, FromSettings, PolicyFamily, Port

_OF_CLASSES: Final = (FromSettings.from_settings.__name__, PolicyFamily.at.__name__)
_BOUND: Final = (classmethod, staticmethod)
_SWEPT: Final = ("policies", "choosers")


def check_part(kind: str, where: str, part: Any) -> None:
    """Raises ConfigError that names `where`, what does not fit the port and what to add."""
    try:
        _check(PORTS[kind], part)
    except ConfigError as failure:
        raise failure.inside(where) from None


def _check(port: Port, part: Any) -> None:
    if port.kind == "datasets":
        _check_call("it", port.methods[0], part, leading=0)
    elif isinstance(part, type):
        _check_class(port, part)
    elif not (port.kind in _SWEPT and isinstance(part, PolicyFamily)):
        raise ConfigError(f"{part!r:.80} is no class.", remedy=f"Name a class that has {_written(port.methods[0])}.")
    for declaration in port.declares:
        declaration.check(part)


def _check_class(port: Port, kind: type) -> None:
    for method in port.methods:
        if _inherited(kind, method):
            raise ConfigError(f"{kind.__name__} has no method {method.__name__}.", remedy=f"Add {_written(method)}.")
    for method in (*port.methods, *port.optional):
        if not _inherited(kind, method):
            _check_method(kind, method)
    if port.kind in _SWEPT:
        _check_knob(kind)
    elif port.kind != "strategies" or not is_dataclass(kind):
        _check_settings(kind)


def _inherited(kind: type, method: Callable[..., Any]) -> bool:
    """Whether a class lacks a method, or has only the protocol's own."""
    member = getattr(kind, method.__name__, None)
    return member is None or member is method


def _check_method(kind: type, method: Callable[..., Any]) -> None:
    title, name = f"{kind.__name__}.{method.__name__}", method.__name__
    is_bound = isinstance(getattr_static(kind, name), _BOUND)
    if name in _OF_CLASSES and not is_bound:
        raise ConfigError(f"{title} is no class method.", remedy="Put @classmethod above it.")
    _check_call(title, method, getattr(kind, name), leading=0 if is_bound else 1)


def _check_call(title: str, method: Callable[..., Any], member: Any, leading: int) -> None:
    """Whether `found` can be called as the port's method is, after `leading` arguments such as self."""
    if not callable(member):
        raise ConfigError(f"{title} is {member!r:.80}, which cannot be called.", remedy=f"Write {_written(method)}.")
    count = leading + len(_taken(method).parameters)
    try:
        signature(member).bind(*range(count))
    except TypeError as failure:
        raise ConfigError(f"{title} takes other arguments ({failure}).", remedy=f"Write {_written(method)}.") from None
    if iscoroutinefunction(method) and not iscoroutinefunction(member) and not hasattr(member, "__wrapped__"):
        raise ConfigError(f"{title} is not async.", remedy=f"Write {_written(method)}.")
    if iscoroutinefunction(member) and not iscoroutinefunction(method):
        raise ConfigError(f"{title} is async.", remedy=f"Write {_written(method)}.")


def _check_knob(kind: type) -> None:
    if hasattr(kind, "at") and not hasattr(kind, "knobs"):
        raise ConfigError(f"{kind.__name__} has at, but no knobs.", remedy="Add knobs, its default grid of numbers.")
    if not hasattr(kind, "at") and len(fields := required(kind)) > 1:
        raise ConfigError(
            f"{kind.__name__} is made from {', '.join(fields)}, and a knob is one number.",
            remedy=f"Add @classmethod {_written(PolicyFamily.at)} and knobs.",
        )


def _check_settings(kind: type) -> None:
    if not builds_itself(kind) and not is_dataclass(kind) and (needed := required(kind)):
        raise ConfigError(
            f"{kind.__name__} cannot be made without {', '.join(needed)}.",
            remedy="Make it a dataclass whose fields are its settings, or add @classmethod "
            f"{_written(FromSettings.from_settings)}.",
        )


def _taken(method: Callable[..., Any]) -> Signature:
    """A port method's signature without self or cls."""
    whole = signature(method)
    return whole.replace(parameters=[each for each in whole.parameters.values() if each.name not in ("self", "cls")])


def _written(method: Callable[..., Any]) -> str:
    """A port method as a line of code, without annotations."""
    first = "cls" if method.__name__ in _OF_CLASSES else "self"
    names = ", ".join((first, *_taken(method).parameters))
    return f"{'async ' if iscoroutinefunction(method) else ''}def {method.__name__}({names})"
