"""Images in chat messages: where they are, how large they are, and how many tokens a model reads of one."""

import binascii
import struct
from collections.abc import Iterator, Mapping
from math import ceil
from typing import Any, Final

from steproute.core.problem import Message

MOST_IMAGE_TOKENS: Final = 20_000
"""Of an image whose size is not known: above the caps of all formulas below."""
_LEAST_BOUND: Final = 6_500
"""What open models that cut every image into tiles read at most: Llama 3.2 Vision has 4 tiles of 1601 tokens."""
_USUAL_SIZE: Final = (1024, 1024)
_HEAD_CHARACTERS: Final = 700_000
_TEXT_PARTS: Final = frozenset({"text", "refusal", "thinking", "search_result"})
_IMAGE_PARTS: Final = frozenset({"image_url", "image"})
_START_OF_FRAME: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def parts_of(message: Message) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The parts of a message's content with their places; a content that is a text has none."""
    content = message.get("content")
    for place, part in enumerate(content if isinstance(content, list | tuple) else ()):
        if isinstance(part, Mapping):
            yield place, part


def is_image(part: Mapping[str, Any]) -> bool:
    """Whether a part is an image, in the words of OpenAI's or of Anthropic's API."""
    return _kind(part) in _IMAGE_PARTS


def is_bounded(part: Mapping[str, Any]) -> bool:
    """Whether its length or its kind bounds what a model reads of it: a text or an image, but no file or video."""
    return _kind(part) in _TEXT_PARTS or is_image(part)


def _kind(part: Mapping[str, Any]) -> str:
    """Its type, empty if that is no text."""
    kind = part.get("type")
    return kind if isinstance(kind, str) else ""


def data_of(part: Mapping[str, Any]) -> str:
    """The base64 text of an image that the request holds, empty for one that it only names."""
    source, address = part.get("source"), part.get("image_url")
    if isinstance(source, Mapping) and isinstance(source.get("data"), str):
        return str(source["data"])
    address = address.get("url") if isinstance(address, Mapping) else address
    return address.partition(",")[2] if isinstance(address, str) and address[:5].lower() == "data:" else ""


def most_image_tokens(part: Mapping[str, Any]) -> int:
    """The most that a model reads of an image; MOST_IMAGE_TOKENS if its size is not known."""
    size = _size_in(data_of(part))
    return MOST_IMAGE_TOKENS if size is None else max(_LEAST_BOUND, image_tokens(*size))


def usual_image_tokens(part: Mapping[str, Any]) -> int:
    """What a model reads of an image by its size, or of one of 1024 by 1024 pixels if that is not known."""
    return image_tokens(*(_size_in(data_of(part)) or _USUAL_SIZE))


def image_tokens(width: int, height: int) -> int:
    """The highest count among the formulas that providers document, for an image of this size in pixels.

    Sources: OpenAI, Images and vision, "Calculating costs" (tiles of 512 px, and patches of 32 px: 1536 of them by up
    to 2.46, or 10000 at the original size); Anthropic, Vision, "Calculate image costs" (width · height / 750, at most
    4784); Qwen2-VL (patches of 28 px, at most 16384); Google, Understand and count tokens (258 per 768 px). gpt-4o-mini
    is not covered: it counts about 33 times the tokens of gpt-4o, at a thirty-third of the price.
    """
    patches = ceil(width / 32) * ceil(height / 32)
    return max(
        85 + 170 * _tiles(width, height),
        ceil(min(patches, 1536) * 2.46),
        min(patches, 10_000),
        min(ceil(width * height / 750), 4784),
        min(ceil(width / 28) * ceil(height / 28), 16_384),
        258 * min(ceil(width / 768) * ceil(height / 768), 64),
    )


def _tiles(width: int, height: int) -> int:
    """Of OpenAI's older models: fitted into 2048 px, then the short side to 768 px."""
    scale = min(1.0, 2048 / max(width, height))
    scale = min(scale, 768 / min(width, height)) if min(width, height) * scale > 768 else scale
    return max(1, ceil(width * scale / 512)) * max(1, ceil(height * scale / 512))


# Sizes, from the first bytes of a file.


def _size_in(data: str) -> tuple[int, int] | None:
    text = data[:_HEAD_CHARACTERS].encode("ascii", "ignore")
    try:
        head = binascii.a2b_base64(text[: len(text) // 4 * 4])
    except binascii.Error:
        return None
    return image_size(head)


def image_size(head: bytes) -> tuple[int, int] | None:
    """Width and height in pixels from the beginning of a PNG, GIF, JPEG or WebP file; None for anything else.

    Sources: PNG (ISO/IEC 15948, IHDR), GIF89a, JPEG (ITU-T T.81, B.2.2) and the WebP container (RFC 9649).
    """
    try:
        size = _size(head)
    except (struct.error, IndexError):
        return None
    return size if size is not None and min(size) > 0 else None


def _size(head: bytes) -> tuple[int, int] | None:
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        return struct.unpack(">II", head[16:24])
    if head[:6] in (b"GIF87a", b"GIF89a"):
        return struct.unpack("<HH", head[6:10])
    if head[:2] == b"\xff\xd8":
        return _jpeg_size(head)
    return _webp_size(head) if head[:4] == b"RIFF" and head[8:12] == b"WEBP" else None


def _jpeg_size(head: bytes) -> tuple[int, int] | None:
    place = 2
    while place < len(head):
        if head[place] != 0xFF:
            return None
        if (marker := head[place + 1]) == 0xFF:  # padding
            place += 1
        elif marker in _START_OF_FRAME:
            height, width = struct.unpack(">HH", head[place + 5 : place + 9])
            return width, height
        else:
            place += 2 + int(struct.unpack(">H", head[place + 2 : place + 4])[0])
    return None


def _webp_size(head: bytes) -> tuple[int, int] | None:
    match head[12:16]:
        case b"VP8X":
            width, height = (int.from_bytes(head[start : start + 3], "little") + 1 for start in (24, 27))
            return (width, height) if len(head) >= 30 else None
        case b"VP8L":
            bits = int(struct.unpack("<I", head[21:25])[0])
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8 ":
            width, height = struct.unpack("<HH", head[26:30])
            return width & 0x3FFF, height & 0x3FFF
    return None
