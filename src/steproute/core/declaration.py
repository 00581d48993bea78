"""How a part of steproute says something about itself: an attribute with a type and a default."""

from dataclasses import dataclass
from inspect import getattr_static
from typing import Any, Final, Generic, TypeVar

import msgspec

from steproute.core.errors import ConfigError

_T = TypeVar("_T")
_ABSENT: Final = object()


@dataclass(frozen=True, slots=True)
class Declaration(Generic[_T]):
    """An attribute that a part may have, on its class or on the instance.

    kind: its type, as in an annotation. default: the value of a part that does not declare it. means: one line for
    whoever writes a part.
    """

    name: str
    kind: Any
    default: _T
    means: str

    def of(self, part: object) -> _T:
        """What `part` declares, or the default. Raises ConfigError for a value of another type."""
        return self._checked(getattr(part, self.name, self.default), part if isinstance(part, type) else type(part))

    def check(self, kind: object) -> None:
        """Raises ConfigError if a class declares a value of another type. A property is known only of an instance."""
        value = getattr_static(kind, self.name, _ABSENT)
        if value is not _ABSENT and not hasattr(type(value), "__get__"):
            self.of(kind)

    def _checked(self, value: object, kind: type) -> _T:
        if value is self.default:
            return self.default
        try:
            checked: _T = msgspec.convert(value, self.kind)
        except msgspec.ValidationError as failure:
            problem = str(failure).partition(" - at")[0]
            raise ConfigError(
                f"{value!r} is not what it declares ({problem[:1].lower()}{problem[1:]}).",
                where=f"{kind.__name__}.{self.name}",
                remedy=f"{self.means} Leave it out for {self.default!r}.",
            ) from None
        return checked
