"""Originals of benchmarks into the data folder: fetched or taken from disk, checked, converted and put there whole."""

import gzip
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import httpx2

from steproute.core.errors import DatasetError, DownloadError
from steproute.core.whole_file import write_whole
from steproute.evaluation.datasets.rows import problems_of
from steproute.evaluation.datasets.sources import Source

Progress = Callable[[int, int | None], None]
"""Told the bytes that have come, and how many there will be if the server says so."""
_TIMEOUT: Final = httpx2.Timeout(30.0, connect=10.0)
_LEVEL: Final = 9
_OTHER_FORM: Final = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)


def get_data(
    name: str,
    source: Source,
    target: Path,
    *,
    kept: Path | None = None,
    progress: Progress = lambda done, total: None,
) -> int:
    """Write the benchmark `name` to `target` and return its number of problems.

    kept: a file, or a folder with a file named `source.file`, to read instead of asking the server. Raises
    DownloadError if the server cannot be reached or the file is another one; `target` is then as it was.
    """
    content = _read(name, source, kept) if kept is not None else _fetch(name, source, progress)
    rows = list(_converted(name, source, content))
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_whole(target, gzip.compress(lines.encode(), _LEVEL, mtime=0))
    return len(rows)


def _fetch(name: str, source: Source, progress: Progress) -> bytes:
    parts: list[bytes] = []
    try:
        with httpx2.stream("GET", source.url, timeout=_TIMEOUT, follow_redirects=True) as response:
            if response.status_code != httpx2.codes.OK:
                raise DownloadError(
                    f"{source.url} answered with status {response.status_code}. {_by_hand(name, source)}", where=name
                )
            size = response.headers.get("content-length", "")
            total = int(size) if size.isdigit() else None
            for part in response.iter_bytes():
                parts.append(part)
                progress(response.num_bytes_downloaded, total)
    except httpx2.HTTPError as failure:
        reason = str(failure) or type(failure).__name__
        raise DownloadError(f"{source.url} cannot be read ({reason}). {_by_hand(name, source)}", where=name) from None
    return b"".join(parts)


def _by_hand(name: str, source: Source) -> str:
    return (
        f"Without internet: download that address on another machine, save it as {source.file}, and run: "
        f"steproute data get {name} --from {source.file}"
    )


def _read(name: str, source: Source, kept: Path) -> bytes:
    path = kept / source.file if kept.is_dir() else kept
    if not path.is_file():
        raise DownloadError(f"{path} does not exist.", where=name, remedy=f"Put {source.url} there.")
    return path.read_bytes()


def _converted(name: str, source: Source, content: bytes) -> Iterator[dict[str, object]]:
    """The rows in our form, once they are known to be those of the source and each has a gold answer."""
    digest = hashlib.sha256(content).hexdigest()
    if source.sha256 and digest != source.sha256:
        raise DownloadError(
            f"the file is not the original, or not all of it: {len(content)} bytes with SHA-256 "
            f"{digest} instead of {source.sha256}.",
            where=name,
            remedy="Run the command again; a proxy or a mirror may have altered it.",
        )
    try:
        rows = [source.convert(number, json.loads(line)) for number, line in enumerate(content.splitlines())]
        list(problems_of(enumerate(rows, 1), name))
    except (*_OTHER_FORM, DatasetError) as failure:
        raise DownloadError(f"the file is not in the form of the original ({failure!r}).", where=name) from None
    ids = [str(row["id"]) for row in rows]
    ends = [source.first_id or ids[0], source.last_id or ids[-1]] if ids else []
    if len(rows) != source.rows or [ids[0], ids[-1]] != ends:
        raise DownloadError(
            f"{name}: the file is not the original: {len(rows)} rows instead of {source.rows}"
            + (f", from {ids[0]} to {ids[-1]} instead of {' to '.join(ends)}." if ids else ".")
        )
    return iter(rows)
