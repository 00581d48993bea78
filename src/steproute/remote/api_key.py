"""A server's key: where it comes from, and that no message shows it."""

import os
import re
from typing import Final

from steproute.core.errors import ConfigError

_TELLING: Final = 8


class ApiKey:
    """The key that the environment variable `variable` holds; without a name, none. Raises ConfigError where it holds
    no key."""

    def __init__(self, variable: str) -> None:
        self.sent = _key_in(variable) if variable else "none"
        self._parts = _parts_of(self.sent) if variable else None

    def hidden_in(self, text: str) -> str:
        """The text without the key, and without parts of it, as of one that a server cuts off or masks."""
        return text if self._parts is None else self._parts.sub("[key]", text)


def _key_in(variable: str) -> str:
    key = os.environ.get(variable, "").strip()
    if not key:
        raise ConfigError(f"api_key_env: the variable {variable} is not set. Set it to the key.")
    if not (key.isascii() and key.isprintable()):
        raise ConfigError(
            f"api_key_env: the variable {variable} holds characters that no key has. Set it to the key alone, in "
            "printable ASCII."
        )
    return key


def _parts_of(key: str) -> re.Pattern[str]:
    """Finds whatever has _TELLING characters in a row, or all, in common with the key."""
    size = min(len(key), _TELLING)
    parts = {re.escape(key[start : start + size]) for start in range(len(key) - size + 1)}
    return re.compile(f"(?:(?={'|'.join(sorted(parts))}).)+.{{{size - 1}}}")
