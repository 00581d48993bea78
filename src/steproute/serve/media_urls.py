"""Addresses of images and other parts, which the model's server would fetch from inside the operator's network."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

from steproute.core.chat_images import parts_of
from steproute.core.problem import Message
from steproute.serve.errors import refused_field

_HELD: Final = frozenset({"image", "video", "audio", "file_data"})
"""Fields that hold data, or in some servers' words an address."""
_ADDRESS: Final = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]*://")
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_NUMBER: Final = re.compile(r"\d+|0x[0-9a-f]*")
_NAME: Final = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?")
_PRIVATE: Final = frozenset(
    {"localhost", "internal", "local", "localdomain", "lan", "home", "corp", "intranet", "private", "svc", "arpa"}
)
"""Last labels of names that only a network of one's own has."""


def check_media_urls(messages: Sequence[Message], allowed: Collection[str]) -> None:
    """Raises ApiError that names the first part whose address is not allowed. It looks up no name.

    allowed: `data:`, schemes such as `https:`, of which only public names and addresses are allowed, and beginnings of
    addresses such as `http://images.internal/`, which are allowed as they are.
    Source: OWASP, Server-Side Request Forgery Prevention; RFC 6761 and RFC 8375 on names of special use.
    """
    for number, message in enumerate(messages):
        for place, part in parts_of(message):
            for address in _addresses_in(part):
                if (why := _fault(address, allowed)) is not None:
                    raise refused_field(f"messages[{number}].content[{place}]", why)


def _addresses_in(part: Mapping[str, Any]) -> Iterator[str]:
    return iter(()) if part.get("type") == "search_result" else _found(part, is_address=False)


def _found(value: object, is_address: bool) -> Iterator[str]:
    if isinstance(value, str):
        if is_address or _ADDRESS.match(value):
            yield value
    elif isinstance(value, Mapping):
        for name, held in value.items():
            if name != "text":
                yield from _found(held, _is_address(name, held))
    elif isinstance(value, list | tuple):
        for held in value:
            yield from _found(held, is_address)


def _is_address(name: str, value: object) -> bool:
    """Whether a field holds an address. Data without a scheme is none."""
    return name.lower().endswith("url") or (name in _HELD and isinstance(value, str) and bool(_SCHEME.match(value)))


def _fault(address: str, allowed: Collection[str]) -> str | None:
    """Why an address is not allowed, None if it is."""
    scheme = address.partition(":")[0].lower() + ":"
    if scheme == "data:" and scheme in allowed:
        return None
    if not address.isascii() or not address.isprintable() or " " in address or "\\" in address:
        return "an address has characters that it may not have. Encode them."
    if any("://" in start and address.startswith(start) for start in allowed) and ".." not in address:
        return None
    if scheme not in allowed or scheme == "data:":
        return f"addresses of type {scheme[:20]!r} are not fetched. Use {' or '.join(_schemes(allowed)) or 'text'}."
    return _host_fault(address)


def _schemes(allowed: Collection[str]) -> list[str]:
    return [start for start in allowed if "://" not in start]


def _host_fault(address: str) -> str | None:
    try:
        parts = urlsplit(address)
        host, has_login = (parts.hostname or "").removesuffix("."), "@" in parts.netloc
    except ValueError:
        return "it is no address."
    if has_login:
        return "an address may hold no login."
    return None if _is_public(host) else f"{host[:80]!r} is no public name."


def _is_public(host: str) -> bool:
    last = host.rpartition(".")[2]
    if ":" in host or _NUMBER.fullmatch(last):
        return _is_public_ip(host)
    return "." in host and bool(_NAME.fullmatch(host)) and ".." not in host and last not in _PRIVATE


def _is_public_ip(host: str) -> bool:
    """Whether it is an address of the internet, in its usual writing: others, such as 0x7f.1, mean hidden ones."""
    try:
        address = ip_address(host)
    except ValueError:
        return False
    inner = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None) or address
    return address.is_global and inner.is_global and not address.is_multicast
