"""A server's secrets: where its key comes from, and that no message shows any of them."""

import os
import re
from base64 import b64encode
from typing import Final

from steproute.backends.http.address import login_of
from steproute.core.errors import ConfigError

_TELLING: Final = 8


class ApiKey:
    """The key that the environment variable `variable` holds; without a name, none. Raises ConfigError if it holds
    no key.

    addresses: those whose passwords are hidden as well, and users but short ones, which are words of any message.
    """

    def __init__(self, variable: str, *addresses: str) -> None:
        self.sent = _key_in(variable) if variable else "none"
        secrets = [self.sent] if variable else []
        for login in map(login_of, addresses):
            if login is not None:
                user, password = login
                telling = not password or len(user) >= _TELLING
                secrets += [password, user if telling else "", b64encode(f"{user}:{password}".encode()).decode()]
        self._parts = [_parts_of(secret) for secret in secrets if secret]

    def hidden_in(self, text: str) -> str:
        """The text without any of the secrets, and without parts of them, as of one that a server cuts off or masks."""
        for parts in self._parts:
            text = parts.sub("[key]", text)
        return text


def _key_in(variable: str) -> str:
    key = os.environ.get(variable, "").strip()
    if not key:
        raise ConfigError(f"the variable {variable} is not set.", where="api_key_env", remedy="Set it to the key.")
    if not (key.isascii() and key.isprintable()):
        raise ConfigError(
            f"the variable {variable} holds characters that no key has.",
            where="api_key_env",
            remedy="Set it to the key alone, in printable ASCII.",
        )
    return key


def _parts_of(key: str) -> re.Pattern[str]:
    """Finds whatever has _TELLING characters in a row, or all, in common with the key."""
    size = min(len(key), _TELLING)
    parts = {re.escape(key[start : start + size]) for start in range(len(key) - size + 1)}
    return re.compile(f"(?:(?={'|'.join(sorted(parts))}).)+.{{{size - 1}}}")
