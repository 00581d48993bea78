"""Where a backend listens, and how long its calls may take."""

import re
from dataclasses import dataclass, field

from steproute.backends.http.address import shown_address, without_login
from steproute.backends.http.proxy import check_proxy
from steproute.core.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where a backend listens. `api_key_env` names the environment variable of its key; keys are kept nowhere else.

    connect_s and read_s bound the connection and each silence, total_s the whole call. longest_wait_s: a call fails at
    once if the server asks to wait longer before the next try. proxy: the address of the proxy that it is reached by,
    or `environment` for that of HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY. Users and passwords in either address
    are never shown.

    Raises ConfigError for an address that is none or holds a query, and for times that cannot be.
    """

    base_url: str = field(repr=False)
    api_key_env: str = ""
    connect_s: float = 5.0
    read_s: float = 60.0
    total_s: float = 300.0
    longest_wait_s: float = 120.0
    proxy: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        _check_address(self.base_url)
        for name in ("connect_s", "read_s", "total_s"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{getattr(self, name)} is not above 0.", where=name)
        if not self.longest_wait_s >= 0:
            raise ConfigError(
                f"{self.longest_wait_s} is below 0.", where="longest_wait_s", remedy="Give seconds, 0 for no wait."
            )
        check_proxy(self.proxy)

    @property
    def url(self) -> str:
        """The address without user and password."""
        return without_login(self.base_url)

    @property
    def root(self) -> str:
        """The address without the version's path, where vLLM's own endpoints are."""
        return server_root(self.url)


def server_root(base_url: str) -> str:
    """An address without the version's path and closing slashes, the same for all spellings of one `base_url`."""
    return base_url.rstrip("/").removesuffix("/v1").rstrip("/")


def _check_address(base_url: str) -> None:
    shown = shown_address(base_url)
    if not re.match(r"https?://[^/\s]+", base_url):
        raise ConfigError(
            f"{shown!r} is no address.", where="base_url", remedy="Give one such as http://127.0.0.1:8000/v1."
        )
    if re.search("[?#]", base_url):
        raise ConfigError(
            f"{shown!r} is followed by a query or a fragment.",
            where="base_url",
            remedy="Remove it, and set api_key_env to the variable that holds the key.",
        )
    import httpx2  # the lab does without it

    try:
        host = httpx2.URL(base_url).host
    except httpx2.InvalidURL:
        host = ""
    if not host:
        raise ConfigError(
            f"{shown!r} is no address.", where="base_url", remedy="Write / : @ in a user or a password as %2F %3A %40."
        ) from None
