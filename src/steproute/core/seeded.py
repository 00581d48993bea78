"""Random numbers that depend on a text alone, the same on every machine and in every order of asking."""

import hashlib


def hash_64(text: str) -> int:
    """Uniform in [0, 2⁶⁴)."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())


def uniform(text: str) -> float:
    """Uniform in [0, 1)."""
    return hash_64(text) / 2**64
