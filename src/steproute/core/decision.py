"""What a policy can decide about the newest draft."""

import msgspec


class Accept(msgspec.Struct, frozen=True, tag="accept"):
    """Keep the draft."""


class Rewrite(msgspec.Struct, frozen=True, tag="rewrite", omit_defaults=True):
    """Discard the draft and have `role` write this step and the following ones, `steps` in all.

    steps: 1 is TRIM's regenerate; None is a takeover, whose length the strategy sets.
    """

    role: str
    steps: int | None = 1


Decision = Accept | Rewrite
