"""JSON values out of a body, wherever its pieces end and however its lines do."""

import json
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steproute.backends.http.body_reader import BodyReader, EndMark, Foreign

EVENTS = [{"text": "é 😀\u2028"}, {"n": 1, "list": [1, {"x": None}]}, {"error": None}]
LINES = [json.dumps(event, ensure_ascii=False) for event in EVENTS]
INDENTED = [json.dumps(event, indent=2) for event in EVENTS]


def values(pieces: list[bytes]) -> Iterator[object]:
    reader = BodyReader()
    for piece in pieces:
        yield from reader.feed(piece)
    yield from reader.end()


def stream(lines: list[str], line_break: str, between: str = "", end: str = "data: [DONE]") -> bytes:
    events = ["".join(f"data: {part}{line_break}" for part in line.split("\n")) for line in lines]
    return f"{line_break}{between}".join([*events, end, ""]).encode()


BODIES = {
    f"{name}{mark!r}": mark + stream(lines, line_break, between)
    for name, lines, line_break, between in (
        ("LF", LINES, "\n", ""),
        ("CR", LINES, "\r", ""),
        ("CRLF", LINES, "\r\n", ""),
        ("data in lines, LF", INDENTED, "\n", ""),
        ("data in lines, CR", INDENTED, "\r", ""),
        ("data in lines, CRLF", INDENTED, "\r\n", ""),
        ("comments", LINES, "\n", ": keep-alive\n\n"),
        ("names", LINES, "\n", "event: message\nid: 7\nretry: 10\n"),
        ("nothing between", LINES, "\n", "\n\n\n"),
    )
    for mark in (b"", b"\xef\xbb\xbf")
} | {
    "no empty lines": "".join(f"data: {line}\n" for line in LINES).encode() + b"data: [DONE]\n",
    "no space": "".join(f"data:{line}\n\n" for line in LINES).encode() + b"data:[DONE]\n\n",
    "no line break at the end": stream(LINES, "\n").rstrip(),
    "lines of JSON": "\n".join([*LINES, "[DONE]"]).encode(),
    "leading blanks": "".join(f"  data:   {line}  \n\n" for line in LINES).encode() + b" data: [DONE]",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=list(BODIES))
def test_a_body_is_read_whole_whatever_its_line_breaks(body: bytes) -> None:
    assert list(values([body])) == [*EVENTS, EndMark()]
    assert list(values([body[place : place + 1] for place in range(len(body))])) == [*EVENTS, EndMark()]


@given(st.sampled_from(sorted(BODIES)), st.lists(st.integers(0, 400), max_size=12))
def test_pieces_may_end_anywhere(name: str, ends: list[int]) -> None:
    body = BODIES[name]
    places = sorted(min(end, len(body)) for end in ends)
    pieces = [body[begin:end] for begin, end in zip([0, *places], [*places, len(body)], strict=True)]
    assert list(values(pieces)) == [*EVENTS, EndMark()]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf", b"\n\n  "])
@pytest.mark.parametrize("indent", [None, 0, 2, 4])
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_document_is_one_value_however_it_is_indented(mark: bytes, indent: int | None, size: int) -> None:
    body = mark + json.dumps(EVENTS, indent=indent).encode()
    assert list(values([body[place : place + size] for place in range(0, len(body), size)])) == [EVENTS]


def test_an_event_is_there_before_its_empty_line_is() -> None:
    reader = BodyReader()
    assert list(reader.feed(b'data: {"a": 1}\n')) == [{"a": 1}]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ('{"a": NaN}', "nan"),
        ('{"a": -Infinity}', "-inf"),
        ('{"a": "\\ud83d"}', "\ufffd"),
        ('{"a": "\\ude00 b"}', "\ufffd b"),
        ('{"a": "\\ud83d\\ude00 \\ud83d"}', "😀 \ufffd"),
        ('{"a": "\\\\ud83d \\ud83d"}', "\\ud83d \ufffd"),
        ('{"a": "b\x01c"}', "b\x01c"),
    ],
)
def test_json_that_is_no_json_to_the_letter_is_read(written: str, read: str) -> None:
    (value,) = values([f"data: {written}\n\n".encode()])
    assert isinstance(value, dict)
    assert str(value["a"]) == read
    str(value["a"]).encode()


@pytest.mark.parametrize(
    "body",
    [
        b'data: {"a": \n\n',
        b'data: {"a": "\xff"}\n\n',
        b'{"a": ',
        b"data: upstream error\n\n",
        b"data: " + b"[" * 100_000 + b"\n\n",
        b"data: " + b"9" * 5000 + b"x\n\n",
        b"[1, 2",
    ],
)
def test_damaged_data_is_an_error_that_shows_its_beginning(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError) as caught:
        list(values([body]))
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"<!doctype html><html><head><title>Console</title></head></html>", "a web page titled 'Console'"),
        (b"\xef\xbb\xbf\r\n  <HTML>\n<TITLE lang='en'>\n Log\n in </TITLE>", "a web page titled 'Log in'"),
        (b"<html><body>Hello</body></html>", "a web page"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "a web page"),
        (b"<html><head>" + b" " * 30_000 + b"</head>", "a web page"),
        (b"Ollama is running", "the text 'Ollama is running'"),
        (b"404 page not found\n", "the text '404 page not found'"),
        (b'"hello"', "the text '\"hello\"'"),
    ],
)
def test_a_page_or_text_is_foreign(body: bytes, what: str) -> None:
    for size in (1, 7, 100_000):
        pieces = [body[place : place + size] for place in range(0, len(body), size)]
        assert list(dict.fromkeys(values(pieces))) == [Foreign(what)]


def test_nothing_is_no_value() -> None:
    for body in (b"", b"\n\n", b": comment\n\n", b"\xef\xbb\xbf", b"event: ping\n\n"):
        assert list(values([body])) == []
