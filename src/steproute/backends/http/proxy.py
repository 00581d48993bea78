"""By which proxy a server is reached."""

import re
import socket
from importlib.util import find_spec
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

from steproute.backends.http.address import shown_address
from steproute.core.errors import ConfigError

ENVIRONMENT: Final = "environment"
_PROXY: Final = re.compile(r"(https?|socks5h?)://[^/\s]+/?", re.IGNORECASE)


def check_proxy(proxy: str) -> None:
    """Raises ConfigError for a setting that names no proxy, and for one that needs a package that is not there."""
    if proxy in ("", ENVIRONMENT):
        return
    if not _PROXY.fullmatch(proxy):
        raise ConfigError(
            f"{shown_address(proxy)!r} is no proxy.",
            where="proxy",
            remedy=f"Use an address such as http://proxy.example:3128, or {ENVIRONMENT!r} for that of "
            "HTTP_PROXY, HTTPS_PROXY and NO_PROXY.",
        )
    if proxy.lower().startswith("socks") and find_spec("socksio") is None:
        raise ConfigError(
            f"{shown_address(proxy)!r} needs a package that is not installed.",
            where="proxy",
            remedy="pip install socksio",
        )


def proxy_for(address: str, proxy: str) -> str:
    """The proxy by which `address` is reached, empty for none. `proxy`: the setting. Raises ConfigError."""
    if proxy != ENVIRONMENT:
        return proxy
    variable = environments_proxy(address)
    proxy = variable if not variable or "://" in variable else f"http://{variable}"
    check_proxy(proxy)
    return proxy


def environments_proxy(address: str) -> str:
    """The proxy that the environment names for an address, empty if it names none or excepts that address."""
    parts, proxies = urlsplit(address), getproxies_environment()
    host = parts.netloc.rpartition("@")[2]
    if proxy_bypass_environment(host, proxies):
        return ""
    return str(proxies.get(parts.scheme.lower()) or proxies.get("all") or "")


def is_unresolved(failure: BaseException | None) -> bool:
    """Whether a failure is about a host name that cannot be resolved."""
    while failure is not None:
        if isinstance(failure, socket.gaierror):
            return True
        failure = failure.__cause__ or failure.__context__
    return False
