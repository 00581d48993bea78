"""Addresses of servers and proxies, which may hold a user and a password."""

import re
from typing import Final
from urllib.parse import unquote

_LOGIN: Final = re.compile(r"^(?P<scheme>\w+://)(?P<login>[^/?#]*)@")


def shown_address(address: str) -> str:
    """An address as it may be shown: without user and password, query and fragment, however badly it is written."""
    scheme, mark, rest = address.rpartition("://")
    return f"{scheme}{mark}{re.split('[?#]', rest.rpartition('@')[2])[0]}"


def without_login(address: str) -> str:
    """An address without its user and password."""
    return _LOGIN.sub(r"\g<scheme>", address)


def login_of(address: str) -> tuple[str, str] | None:
    """The user and the password that an address holds, None if it holds none."""
    match = _LOGIN.match(address)
    if match is None:
        return None
    user, _, password = match["login"].partition(":")
    return unquote(user), unquote(password)
