"""What to do about a backend that could not be made or did not answer."""

import re
from typing import Final

from steproute.core.errors import ArtifactError, ConfigError, SteprouteError, TooFewTokens

_TOLD: Final = re.compile(r".*\b((?:Set|Use|pip install) .*)$", re.DOTALL)
_MODES: Final = "vLLM and SGLang: completions or continue_final_message; llama.cpp: completions or prefill"


def other_mode(continuation: str) -> str:
    """What to do about a model that does not go on in the mode that it has."""
    if continuation == "instruct":
        return (
            f"Choose a model that follows instructions, or another continuation mode if the server has one ({_MODES})."
        )
    return f"Choose a continuation mode that the server knows ({_MODES}; hosted chat APIs: instruct)."


def remedy_for(failure: SteprouteError, backend: str) -> str:
    """What to do about what was raised while the table `backend` was read, or its server asked."""
    told = _TOLD.match(str(failure))
    if isinstance(failure, ConfigError | ArtifactError | TooFewTokens):
        return told.group(1) if told else f"Correct [{backend}]."
    return _remedy_for_answer(str(failure), told)


def _remedy_for_answer(failure: str, told: "re.Match[str] | None") -> str:
    if "api_key_env" in failure or "status 401" in failure or "status 403" in failure:
        return "Put the right key into the variable that api_key_env names."
    if "pairs for" in failure:
        return "Set marker to the step tag that the server was started with (--pooler-config step_tag_id)."
    if "Use mode =" in failure or "use mode =" in failure:
        return "Change the scorer's mode or question, or switch its model's thinking off by extra."
    if "starts the solution over" in failure:
        return other_mode("instruct")  # the one mode that notices it
    if "Connect" in failure or "connection" in failure:
        return "Start the server, and check base_url's host and port."
    if told is not None:
        return told.group(1)
    if "status 404" in failure:
        return "Check that base_url ends in /v1, and the model's name."
    return "See the server's log."
