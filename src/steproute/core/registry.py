"""Names for models, scorers, policies, strategies and graders: entry points for packages, a decorator for others."""

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any, Final, TypeVar

from steproute.core.errors import ConfigError

_C = TypeVar("_C", bound=type[Any])


class Registry:
    """Classes of one kind by name. Built-in and third-party ones come from the entry-point group `steproute.<kind>`."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._registered: dict[str, type[Any]] = {}

    def register(self, name: str) -> Callable[[_C], _C]:
        """Class decorator that registers under `name`; raises ConfigError where the name is taken."""

        def add(cls: _C) -> _C:
            if name in self.names():
                raise ConfigError(f"{self.kind}: the name {name!r} is taken. Choose another one.")
            self._registered[name] = cls
            return cls

        return add

    def names(self) -> list[str]:
        """All known names, sorted."""
        return sorted({*self._registered, *(point.name for point in entry_points(group=f"steproute.{self.kind}"))})

    def get(self, name: str) -> type[Any]:
        """The class under `name`; raises ConfigError that lists the known names."""
        if name in self._registered:
            return self._registered[name]
        for point in entry_points(group=f"steproute.{self.kind}", name=name):
            loaded: type[Any] = point.load()
            return loaded
        raise ConfigError(f"{self.kind}: {name!r} is unknown. Use one of {', '.join(self.names())}.")


models: Final = Registry("models")
scorers: Final = Registry("scorers")
policies: Final = Registry("policies")
strategies: Final = Registry("strategies")
graders: Final = Registry("graders")
