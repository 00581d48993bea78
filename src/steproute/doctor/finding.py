"""The result of one check of `steproute doctor`, and what to do about a failure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from steproute.core.errors import ArtifactError, BackendTimeout, BackendUnavailable, ConfigError, SteprouteError
from steproute.core.ports import Continuation

_MODES: Final = "vLLM and SGLang: completions or continue_final_message; llama.cpp: completions or prefill"


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


def other_mode(continuation: Continuation) -> str:
    """What to do about a model that does not continue in its mode."""
    if continuation is Continuation.INSTRUCT:
        return (
            f"Choose a model that follows instructions, or another continuation mode if the server has one ({_MODES})."
        )
    return f"Choose a continuation mode that the server knows ({_MODES}; hosted chat APIs: instruct)."


def remedy_for(failure: SteprouteError, backend: str) -> str:
    """What to do about what was raised while the table `backend` was read, or its server asked."""
    if failure.remedy:
        return failure.remedy
    if isinstance(failure, BackendUnavailable | BackendTimeout) and failure.status is None:
        return "Start the server, and check base_url's host and port."
    if isinstance(failure, ConfigError | ArtifactError):
        return f"Correct [{backend}]."
    return "See the server's log."
