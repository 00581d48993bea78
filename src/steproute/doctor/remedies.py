"""What to do about a backend that could not be made or did not answer."""

from typing import Final

from steproute.core.errors import ArtifactError, BackendTimeout, BackendUnavailable, ConfigError, SteprouteError
from steproute.core.ports import Continuation

_MODES: Final = "vLLM and SGLang: completions or continue_final_message; llama.cpp: completions or prefill"


def other_mode(continuation: Continuation) -> str:
    """What to do about a model that does not go on in the mode that it has."""
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
