"""What `steproute doctor` says of one check."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How a check came out."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check of one backend: what was seen and, unless all is well, the remedy."""

    backend: str
    check: str
    verdict: Verdict
    seen: str
    remedy: str = ""


def ok(backend: str, check: str, seen: str) -> Finding:
    """All is well."""
    return Finding(backend=backend, check=check, verdict=Verdict.OK, seen=seen)


def warning(backend: str, check: str, seen: str, remedy: str) -> Finding:
    """It works, but not as well as it might."""
    return Finding(backend=backend, check=check, verdict=Verdict.WARNING, seen=seen, remedy=remedy)


def failed(backend: str, check: str, seen: str, remedy: str) -> Finding:
    """It does not work."""
    return Finding(backend=backend, check=check, verdict=Verdict.FAILED, seen=seen, remedy=remedy)
