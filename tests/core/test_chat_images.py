"""Images count by their size in pixels, which the first bytes of their files say."""

import base64
import struct

import pytest

from steproute.core.chat_images import (
    MOST_IMAGE_TOKENS,
    image_size,
    image_tokens,
    is_bounded,
    is_image,
    most_image_tokens,
)
from steproute.core.problem import Problem
from steproute.core.solution import Prefix
from steproute.core.usage_bounds import most_read

PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + struct.pack(">II", 640, 480) + bytes(9)
GIF = b"GIF89a" + struct.pack("<HH", 640, 480) + bytes(3)
APP = b"\xff\xe1" + struct.pack(">H", 60_000) + bytes(59_998)
JPEG = b"\xff\xd8" + APP + b"\xff\xff\xc2" + struct.pack(">HBHH", 17, 8, 480, 640) + bytes(10)
WEBP = b"RIFF" + bytes(4) + b"WEBP"
LOSSY = WEBP + b"VP8 " + bytes(4) + bytes(3) + b"\x9d\x01\x2a" + struct.pack("<HH", 640, 480)
LOSSLESS = WEBP + b"VP8L" + bytes(4) + b"\x2f" + struct.pack("<I", 639 | 479 << 14)
EXTENDED = WEBP + b"VP8X" + bytes(8) + (639).to_bytes(3, "little") + (479).to_bytes(3, "little")


def part(data: bytes) -> dict[str, object]:
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{base64.b64encode(data).decode()}"}}


def read(*parts: dict[str, object]) -> int:
    return most_read(Prefix(problem=Problem(id="p", messages=({"role": "user", "content": list(parts)},))))


@pytest.mark.parametrize("file", [PNG, GIF, JPEG, LOSSY, LOSSLESS, EXTENDED])
def test_the_size_is_read_from_the_head(file: bytes) -> None:
    assert image_size(file) == (640, 480)


@pytest.mark.parametrize(
    "file", [b"", b"BM", PNG[:20], JPEG[:-15], b"\xff\xd8\xff", PNG[:16] + bytes(8), EXTENDED[:-4]]
)
def test_an_unknown_or_broken_head_gives_no_size(file: bytes) -> None:
    assert image_size(file) is None
    assert most_image_tokens(part(file)) == MOST_IMAGE_TOKENS


def test_counts_follow_the_documented_formulas() -> None:
    assert image_tokens(1024, 1024) == 2520  # 1024 patches of 32 px by 2.46
    assert image_tokens(100_000, 100_000) == 16_512  # 64 tiles of 258
    assert image_tokens(1, 1) == 258
    assert max(image_tokens(side, 100_000) for side in (1, 500, 3000, 10_000)) < MOST_IMAGE_TOKENS


def test_a_large_file_counts_as_its_pixels() -> None:
    assert read(part(PNG + bytes(3_000_000))) - read(part(PNG)) == 0
    assert read(part(PNG + bytes(3_000_000))) < 10_000


def test_an_image_of_anthropics_api_counts_alike() -> None:
    data = base64.b64encode(PNG + bytes(3_000_000)).decode()
    assert read({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}) < 10_000


def test_an_image_by_its_address_counts_as_the_largest() -> None:
    assert MOST_IMAGE_TOKENS < read({"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}) < 22_000


@pytest.mark.parametrize("kind", [[], {}, [5], None, 7])
def test_a_part_whose_type_is_no_text_is_neither_image_nor_bounded(kind: object) -> None:
    assert not is_image({"type": kind})
    assert not is_bounded({"type": kind})
