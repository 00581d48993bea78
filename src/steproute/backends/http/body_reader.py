"""JSON values out of a body that arrives in pieces: server-sent events, lines of JSON, or one JSON document."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

_LINE_BREAK: Final = re.compile(rb"\r\n?|\n")
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_OTHER_FIELDS: Final = (b":", b"event:", b"id:", b"retry:")
_TITLE: Final = re.compile(r"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
_ESCAPE: Final = re.compile(rb"\\u[dD][89abAB]..\\u[dD][c-fC-F]..|(?P<alone>\\u[dD][89a-fA-F]..)|\\.")
_PAGE_READ: Final = 20_000
_SHOWN: Final = 80


@dataclass(frozen=True, slots=True)
class EndMark:
    """The event that says that no further one comes."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """A body that holds no answer of a model but, for example, a web page; `what` describes it."""

    what: str


class BodyReader:
    """Reads a body incrementally.

    Line breaks may be CR, LF or CRLF, and pieces may end anywhere. An event whose data is a whole JSON value is
    complete at once, since some servers send no empty line after it.

    whole: no `data:` line has come so far. values: how many JSON values have.
    """

    def __init__(self) -> None:
        self.whole, self.values = True, 0
        self._rest: list[bytes] = []
        self._after_return, self._first = False, True
        self._data: list[bytes] = []
        self._in_document, self._is_error = False, False
        self._page, self._text = b"", b""

    def feed(self, piece: bytes) -> Iterator[object]:
        """The values that the next piece completes. Raises msgspec.DecodeError for data that is no JSON."""
        if self._page:
            yield from self._more_of_page(piece)
            return
        if self._after_return and piece:
            piece = piece.removeprefix(b"\n")
            self._after_return = False
        if not _LINE_BREAK.search(piece):
            self._rest.append(piece)
            return
        self._after_return = piece.endswith(b"\r")
        *lines, rest = _LINE_BREAK.split(b"".join([*self._rest, piece]))
        self._rest = [rest]
        for number, line in enumerate(lines):
            yield from self._line(line)
            if self._page:
                yield from self._more_of_page(b"\n".join([b"", *lines[number + 1 :], rest]))
                return

    def end(self) -> Iterator[object]:
        """The values that the body's end completes. Raises as `feed` does."""
        if not self._page:
            yield from self._line(b"".join(self._rest))
            yield from self._flush()
        if self._page:
            yield page_in(self._page.decode(errors="replace"))
        elif self._text and not self.values:
            yield Foreign(f"the text {self._text[:_SHOWN].decode(errors='replace')!r}")

    def _line(self, line: bytes) -> Iterator[object]:
        if self._first and line:
            line, self._first = line.removeprefix(_BYTE_ORDER_MARK), False
        bare = line.strip()
        if bare.startswith(b"data:"):
            if self._in_document:
                yield from self._flush()
            self.whole = False
            yield from self._datum(bare[5:].removeprefix(b" "))
        elif self._in_document:
            self._data.append(line)
        elif not bare:
            yield from self._flush()
        elif bare.startswith(_OTHER_FIELDS):
            if bare.startswith(b"event:"):
                self._is_error = bare[6:].strip() == b"error"
        elif bare.startswith((b"{", b"[")):
            yield from self._flush()
            self._in_document = True
            yield from self._datum(bare)
        elif bare.startswith(b"<") and self.whole and not self.values and not self._text:
            self._page = bare
        else:
            self._text = self._text or bare

    def _datum(self, data: bytes) -> Iterator[object]:
        """One line of data, which is an event of its own if it holds a whole value."""
        if self._data or not data.strip():
            self._data += [data] if self._data else []
        elif data.strip().upper() == b"[DONE]":
            self._in_document = False
            yield EndMark()
        else:
            try:
                value = _decoded(data)
            except msgspec.DecodeError:
                self._data.append(data)
            else:
                yield from self._event(value)

    def _flush(self) -> Iterator[object]:
        """The event of several lines that is complete here, if any."""
        lines, self._data = self._data, []
        if lines:
            yield from self._event(_decoded(b"\n".join(lines)))
        self._in_document = self._is_error = False

    def _event(self, value: object) -> Iterator[object]:
        self._in_document = False
        self.values += 1
        if self._is_error and not (isinstance(value, dict) and value.get("error")):
            value = {"error": value}
        yield value

    def _more_of_page(self, piece: bytes) -> Iterator[object]:
        """Nothing, or what the page is, once it is long enough to hold a title."""
        before, self._page = len(self._page), self._page + piece
        if before < _PAGE_READ <= len(self._page):
            yield page_in(self._page.decode(errors="replace"))


def _decoded(data: bytes) -> object:
    """A JSON value, also with NaN, control characters or halves of a UTF-16 pair (replaced), as some servers write."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError, ValueError):
        try:
            return json.loads(_ESCAPE.sub(_paired, data).decode(), strict=False)
        except (ValueError, RecursionError) as failure:
            begins = data[:_SHOWN].decode(errors="replace")
            raise msgspec.DecodeError(f"{failure} in {begins!r}") from None


def _paired(escape: re.Match[bytes]) -> bytes:
    return b"\\ufffd" if escape["alone"] else escape[0]


def page_in(text: str) -> Foreign | None:
    """The web page that a body is, None if it is none."""
    if not text.lstrip().startswith("<"):
        return None
    title = _TITLE.search(text[:_PAGE_READ])
    named = " ".join(title[1].split())[:_SHOWN] if title else ""
    return Foreign(f"a web page titled {named!r}" if named else "a web page")
