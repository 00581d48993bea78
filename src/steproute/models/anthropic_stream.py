"""What the Messages API streams, as typed events."""

from typing import Final

import msgspec

from steproute.core.usage import Usage


class _Reasoned(msgspec.Struct):
    thinking_tokens: int | None = None


class ReportedUsage(msgspec.Struct):
    """Token counts: what was read comes with the first event, what was written with the last."""

    input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    output_tokens: int | None = None
    output_tokens_details: _Reasoned | None = None

    @property
    def read(self) -> Usage | None:
        """What the request read; None where these can be no counts."""
        counts = (self.input_tokens or 0, self.cache_read_input_tokens or 0, self.cache_creation_input_tokens or 0)
        if min(counts) < 0 or not any(counts):
            return None
        return Usage(input_tokens=counts[0], cache_read_tokens=counts[1], cache_write_tokens=counts[2])

    def written(self, most: int, least: int) -> Usage | None:
        """What it wrote, all told; None where these can be no counts of `least` to `most` tokens."""
        total = self.output_tokens or 0
        thoughts = (self.output_tokens_details or _Reasoned()).thinking_tokens or 0
        if not least <= total <= most or not 0 <= thoughts <= total:
            return None
        return Usage(output_tokens=total, reasoning_tokens=thoughts)


class _Message(msgspec.Struct):
    usage: ReportedUsage | None = None


class _Block(msgspec.Struct):
    type: str = ""
    text: str = ""


class _Delta(msgspec.Struct):
    text: str = ""
    thinking: str = ""
    stop_reason: str | None = None


class Event(msgspec.Struct):
    """One event; of the fields, those that its type has."""

    type: str = ""
    message: _Message | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: ReportedUsage | None = None
    error: object = None

    @property
    def piece(self) -> str:
        """The new text."""
        return (self.content_block.text if self.content_block else "") or (self.delta.text if self.delta else "")


decode_event: Final = msgspec.json.Decoder(Event).decode
