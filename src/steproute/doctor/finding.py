"""The result of one check of `steproute doctor`."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """The result of a check."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check of one backend: what was seen and, unless all is well, the remedy."""

    backend: str
    check: str
    severity: Severity
    seen: str
    remedy: str = ""


def ok(backend: str, check: str, seen: str) -> Finding:
    """All is well."""
    return Finding(backend=backend, check=check, severity=Severity.OK, seen=seen)


def warning(backend: str, check: str, seen: str, remedy: str) -> Finding:
    """It works, but not as well as it might."""
    return Finding(backend=backend, check=check, severity=Severity.WARNING, seen=seen, remedy=remedy)


def failed(backend: str, check: str, seen: str, remedy: str) -> Finding:
    """It does not work."""
    return Finding(backend=backend, check=check, severity=Severity.FAILED, seen=seen, remedy=remedy)
