"""Parts of nine kinds by name: entry points for packages, a decorator for code at hand."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from typing import Any, Final, Protocol, TypeVar

from steproute.core.contract import check_part
from steproute.core.errors import ConfigError, SteprouteError

_C = TypeVar("_C", bound=Callable[..., Any])
_BUILT_IN: Final = "steproute"


class _Selectable(Protocol):
    """What Python 3.11 and later versions return as all entry points."""

    def select(self, *, group: str) -> EntryPoints: ...


class Registry:
    """Classes of one kind by name, or functions if they are data sets.

    Built-in and third-party ones come from the entry-point group `steproute.<kind>`. Each is checked against its port
    (`core.ports.PORTS`) before it is used; a built-in one wins over another package's of the same name.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._group = f"steproute.{kind}"
        self._registered: dict[str, type[Any]] = {}
        self._loaded: dict[str, Any] = {}

    def register(self, name: str) -> Callable[[_C], _C]:
        """Decorator that registers under `name`.

        Raises ConfigError if another class or function has that name, and for one that does not fit its port.
        """

        def add(cls: _C) -> _C:
            if name in self._registered or self._published(name) not in ("", f"{cls.__module__}:{cls.__qualname__}"):
                raise ConfigError(f"the name {name!r} is taken.", where=self.kind, remedy="Choose another one.")
            check_part(self.kind, f"{cls.__module__}: {self.kind}.{name}", cls)
            self._registered[name] = cls  # type: ignore[assignment]
            return cls

        return add

    def names(self) -> list[str]:
        """All known names, sorted; nothing is loaded."""
        return sorted({*self._registered, *self._all_points().names})

    def get(self, name: str) -> Any:
        """The class or function under `name`.

        Raises ConfigError that lists the known names, or says what is wrong with another package's part.
        """
        if name in self._registered:
            return self._registered[name]
        if name not in self._loaded:
            points = self._points(name)
            if not points:
                known = ", ".join(self.names())
                raise ConfigError(f"{name!r} is unknown.", where=self.kind, remedy=f"Use one of {known}.")
            self._check_single(name, points)
            self._loaded[name] = self._load(points[0])
        return self._loaded[name]

    def plugins(self) -> "Iterator[Plugin]":
        """The parts that other packages publish, each with what is wrong with it."""
        for point in self._points():
            if _package(point) != _BUILT_IN:
                yield Plugin(part=f"{self.kind}.{point.name}", package=_package(point), fault=self._fault(point))

    def _all_points(self) -> EntryPoints:
        return _entry_points(tuple(sys.path)).select(group=self._group)

    def _points(self, name: str | None = None) -> list[EntryPoint]:
        """Entry points, built-in ones first."""
        points = self._all_points()
        matches = points if name is None else points.select(name=name)
        return sorted(matches, key=lambda point: _package(point) != _BUILT_IN)

    def _published(self, name: str) -> str:
        """The `module:name` that the entry point of that name leads to, empty if there is none."""
        return next((point.value for point in self._points(name)), "")

    def _check_single(self, name: str, points: list[EntryPoint]) -> None:
        packages = list(dict.fromkeys(map(_package, points)))
        if len(packages) > 1 and packages[0] != _BUILT_IN:
            raise ConfigError(
                f"{name!r} is published by {' and by '.join(packages)}.",
                where=self.kind,
                remedy="Uninstall one of them.",
            )

    def _load(self, point: EntryPoint) -> Any:
        if _package(point) == _BUILT_IN:
            return point.load()
        where = f"{_package(point)}: {self.kind}.{point.name}"
        try:
            part = point.load()
        except SteprouteError as failure:
            raise ConfigError(failure.message, where=failure.inside(where).where, remedy=failure.remedy) from failure
        except Exception as failure:  # whatever the module of another package raises
            raise ConfigError(
                f"{point.value} cannot be imported ({type(failure).__name__}: {failure}).",
                where=where,
                remedy=f"Correct or update {_package(point)}, or uninstall it.",
            ) from failure
        check_part(self.kind, where, part)
        return part

    def _fault(self, point: EntryPoint) -> ConfigError | None:
        if _package(self._points(point.name)[0]) == _BUILT_IN:
            return ConfigError(
                f"the name {point.name!r} is that of a built-in part.",
                where=f"{_package(point)}: {self.kind}.{point.name}",
                remedy="Publish it under another name.",
            )
        try:
            self.get(point.name)
        except ConfigError as failure:
            return failure
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """A part of another package; fault: why it cannot be used."""

    part: str
    package: str
    fault: ConfigError | None


@lru_cache(maxsize=1)
def _entry_points(path: tuple[str, ...]) -> _Selectable:
    """Those of all packages on `path`: they take ten milliseconds to find, and there are nine kinds of parts."""
    return entry_points()


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.value.partition(":")[0]


models: Final = Registry("models")
scorers: Final = Registry("scorers")
repairs: Final = Registry("repairs")
policies: Final = Registry("policies")
choosers: Final = Registry("choosers")
strategies: Final = Registry("strategies")
graders: Final = Registry("graders")
environments: Final = Registry("environments")
datasets: Final = Registry("datasets")


def plugins() -> list[Plugin]:
    """All parts that other packages publish."""
    kinds = (models, scorers, repairs, policies, choosers, strategies, environments, graders, datasets)
    return [plugin for kind in kinds for plugin in kind.plugins()]
