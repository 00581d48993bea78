"""Parts of seven kinds by name: entry points for packages, a decorator for code at hand."""

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any, Final, TypeVar

from steproute.core.errors import ConfigError

_C = TypeVar("_C", bound=Callable[..., Any])


class Registry:
    """Classes of one kind by name, or functions if they are data sets.

    Built-in and third-party ones come from the entry-point group `steproute.<kind>`.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._registered: dict[str, type[Any]] = {}

    def register(self, name: str) -> Callable[[_C], _C]:
        """Decorator that registers under `name`; raises ConfigError where another class or function has that name."""

        def add(cls: _C) -> _C:
            if name in self._registered or self._published(name) not in ("", f"{cls.__module__}:{cls.__qualname__}"):
                raise ConfigError(f"the name {name!r} is taken.", where=self.kind, remedy="Choose another one.")
            self._registered[name] = cls  # type: ignore[assignment]
            return cls

        return add

    def _published(self, name: str) -> str:
        """The `module:name` that the entry point of that name leads to, empty if there is none."""
        return next((point.value for point in entry_points(group=f"steproute.{self.kind}", name=name)), "")

    def names(self) -> list[str]:
        """All known names, sorted."""
        return sorted({*self._registered, *(point.name for point in entry_points(group=f"steproute.{self.kind}"))})

    def get(self, name: str) -> Any:
        """The class or function under `name`; raises ConfigError that lists the known names."""
        if name in self._registered:
            return self._registered[name]
        for point in entry_points(group=f"steproute.{self.kind}", name=name):
            return point.load()
        raise ConfigError(f"{name!r} is unknown.", where=self.kind, remedy=f"Use one of {', '.join(self.names())}.")


models: Final = Registry("models")
scorers: Final = Registry("scorers")
policies: Final = Registry("policies")
strategies: Final = Registry("strategies")
graders: Final = Registry("graders")
environments: Final = Registry("environments")
datasets: Final = Registry("datasets")
