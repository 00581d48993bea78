import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steproute.core.printable import escaped, printable

KEPT = "\n\t\u200c\u200d"
UNSEEN = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
HOSTILE = [
    "\x1b]52;c;cm0gLXJm\x07",
    "\x1b]52;c;cm0gLXJm\x1b\\",
    "\x9d52;c;cm0gLXJm\x9c",
    "\x1b]0;title\x07",
    "\x1b]8;;https://evil.example\x1b\\",
    "\x1b[2J",
    "\x1b[1;31m",
    "\x9b2J",
    "\x1b[?1049h",
    "\x1bPq#0\x1b\\",
    "\x1b_payload\x1b\\",
    "\x1bc",
    "\x1b(0",
    "\x1b7",
    "\u202e",
    "\u2066",
    "\u200f",
    "\U000e0041",
    "\r",
    "\x08\x08",
]


def test_no_control_character_of_unicode_is_printed() -> None:
    assert len(UNSEEN) > 2200
    for character in UNSEEN:
        assert printable(f"a{character}é") == (f"a{character}é" if character in KEPT else "aé"), hex(ord(character))


@pytest.mark.parametrize("sequence", HOSTILE)
def test_control_sequences_go_as_a_whole(sequence: str) -> None:
    assert printable(f"1{sequence}2{sequence}3") == "123"


@given(st.lists(st.one_of(st.sampled_from([*HOSTILE, "\x1b", "\x1b]", "\x1b["]), st.text(max_size=5))).map("".join))
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    shown = printable(text)
    assert not set(shown) & (set(UNSEEN) - set(KEPT))
    assert printable(shown) == shown


@given(st.text())
def test_visible_text_is_unchanged(text: str) -> None:
    if not set(text) & set(UNSEEN):
        assert printable(text) == text
    assert printable("x + 3 = 5,\n\tso ∛x ≤ 2 日本 é 👩‍👧") == "x + 3 = 5,\n\tso ∛x ≤ 2 日本 é 👩‍👧"
    assert printable("a\r\nb") == "a\nb"


@given(st.dictionaries(st.text(), st.one_of(st.text(), st.sampled_from(HOSTILE))))
def test_an_escaped_document_holds_the_same_data(data: dict[str, str]) -> None:
    document = json.dumps(data, ensure_ascii=False)
    assert json.loads(escaped(document)) == data
    assert not set(escaped(document)) & (set(UNSEEN) - set(KEPT))
