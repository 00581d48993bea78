"""What a policy can decide about the newest step."""

from enum import StrEnum


class Decision(StrEnum):
    """Keep the draft, have strong write this one step again, or hand strong the pen for several steps."""

    ACCEPT = "accept"
    REGENERATE = "regenerate"
    TAKEOVER = "takeover"
