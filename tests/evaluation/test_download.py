"""Benchmarks from a server on loopback that stands in for their original sources."""

import gzip
import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from steproute.core.errors import DownloadError
from steproute.evaluation.datasets import load_problems, read_rows
from steproute.evaluation.datasets.download import get_data
from steproute.evaluation.datasets.sources import SOURCES, Source

ORIGINAL = "".join(
    json.dumps({"question": f"{n} + 1?", "answer": f"It is <<{n}+1={n + 1}>>.\n#### 1,00{n}"}) + "\n" for n in range(3)
).encode()


class Origin(ThreadingHTTPServer):
    """Serves ORIGINAL below /file, or what `faults` make of it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.status, self.missing, self.asked = ORIGINAL, 200, 0, 0
        Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Origin

    def do_GET(self) -> None:
        self.server.asked += 1
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("location", "/file")
            self.end_headers()
            return
        self.send_response(self.server.status)
        self.send_header("content-length", str(len(self.server.content)))
        self.end_headers()
        self.wfile.write(self.server.content[: len(self.server.content) - self.server.missing])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def origin() -> Iterator[Origin]:
    server = Origin()
    yield server
    server.shutdown()
    server.server_close()


def source(origin: Origin, path: str = "/file") -> Source:
    sha256 = hashlib.sha256(ORIGINAL).hexdigest()
    return replace(SOURCES["gsm8k"], url=origin.url + path, rows=3, sha256=sha256)


@pytest.mark.parametrize("path", ["/file", "/moved"])
def test_a_download_is_checked_converted_and_found_by_name(
    origin: Origin, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[tuple[int, int | None]] = []
    target = tmp_path / "gsm8k/test.jsonl.gz"
    count = get_data("gsm8k", source(origin, path), target, progress=lambda *step: heard.append(step))
    assert count == 3
    assert heard[-1] == (len(ORIGINAL), len(ORIGINAL))
    monkeypatch.setenv("STEPROUTE_DATA", str(tmp_path))
    problems = load_problems("gsm8k")
    assert [(each.id, each.answer) for each in problems] == [(f"gsm8k/test/0000{n}", f"100{n}") for n in range(3)]
    first = target.read_bytes()
    get_data("gsm8k", source(origin), target)
    assert target.read_bytes() == first


def test_the_cache_is_looked_at_beside_the_data_folder(
    origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEPROUTE_DATA", str(tmp_path / "none"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    get_data("gsm8k", source(origin), tmp_path / "steproute/data/gsm8k/test.jsonl.gz")
    assert len(load_problems("gsm8k")) == 3


def altered(**changes: object) -> Source:
    return replace(SOURCES["gsm8k"], **{"rows": 3, "sha256": "", **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "missing", "status", "found", "message"),
    [
        (ORIGINAL, 9, 200, altered(), "cannot be read .*Without internet: download that address"),
        (ORIGINAL, 0, 503, altered(), "answered with status 503.*Without internet"),
        (ORIGINAL.replace(b"1", b"2"), 0, 200, altered(sha256="0" * 64), "not the original.* instead of 0{64}"),
        (b"<html>Log in</html>", 0, 200, altered(), "not in the form of the original"),
        (b'{"question": "a"}\n', 0, 200, altered(rows=1), r"not in the form of the original \(KeyError\('answer'\)\)"),
        (b'{"question": "a", "answer": "b ####"}\n', 0, 200, altered(rows=1), "not in the form.*no gold answer"),
        (b"[]\n", 0, 200, altered(rows=1), "not in the form of the original"),
        (b"", 0, 200, altered(), "0 rows instead of 3"),
        (ORIGINAL, 0, 200, altered(rows=4), "3 rows instead of 4"),
        (ORIGINAL, 0, 200, altered(last_id="gsm8k/test/00009"), "instead of gsm8k/test/00000 to gsm8k/test/00009"),
    ],
)
def test_a_download_that_is_not_the_original_is_rejected(
    origin: Origin, tmp_path: Path, content: bytes, missing: int, status: int, found: Source, message: str
) -> None:
    origin.content, origin.missing, origin.status = content, missing, status
    target = tmp_path / "test.jsonl.gz"
    target.write_bytes(b"as it was")
    with pytest.raises(DownloadError, match=message):
        get_data("gsm8k", replace(found, url=origin.url + "/file"), target)
    assert target.read_bytes() == b"as it was"
    assert [path.name for path in tmp_path.iterdir()] == ["test.jsonl.gz"]


def test_without_a_server_a_local_file_can_be_used(origin: Origin, tmp_path: Path) -> None:
    origin.server_close()
    with pytest.raises(DownloadError, match="save it as .*, and run: steproute data get gsm8k --from ") as failure:
        get_data("gsm8k", source(origin), tmp_path / "test.jsonl.gz")
    name = str(failure.value).rpartition("--from ")[2]
    (tmp_path / name).write_bytes(ORIGINAL)
    for kept in (tmp_path, tmp_path / name):
        assert get_data("gsm8k", source(origin), tmp_path / "test.jsonl.gz", kept=kept) == 3


def test_a_missing_local_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        DownloadError, match=r"data-test.jsonl does not exist. Put https://raw.github.*/test.jsonl there"
    ):
        get_data("gsm8k", SOURCES["gsm8k"], tmp_path / "a.gz", kept=tmp_path)


def test_every_source_is_pinned_and_has_a_name_of_its_own() -> None:
    assert len({each.file for each in SOURCES.values()}) == len(SOURCES)
    for each in SOURCES.values():
        assert each.url.startswith("https://")
        assert any(len(part) == 40 and set(part) <= set("0123456789abcdef") for part in each.url.split("/"))
        assert each.sha256 or (each.first_id and each.last_id)


class TestConversions:
    """Rows of the originals, made again from the shared copies, become the rows of those copies."""

    def rows(self, folder: Path, name: str) -> list[dict[str, object]]:
        return [row for _, row in read_rows(folder / f"{name}.jsonl.gz")]

    def test_the_training_set_of_gsm8k_is_converted_from_its_original_bytes(
        self, data_folder: Path, tmp_path: Path
    ) -> None:
        rows = self.rows(data_folder, "gsm8k/train")
        original = tmp_path / "data-train.jsonl"
        original.write_text(
            "".join(json.dumps({"question": row["problem"], "answer": row["solution"]}) + "\n" for row in rows)
        )
        assert hashlib.sha256(original.read_bytes()).hexdigest() == SOURCES["gsm8k:train"].sha256
        get_data("gsm8k:train", SOURCES["gsm8k:train"], tmp_path / "a.jsonl.gz", kept=tmp_path)
        for ours, row in zip(read_rows(tmp_path / "a.jsonl.gz"), rows, strict=True):
            assert ours[1] == {name: row[name] for name in ours[1]}

    @pytest.mark.parametrize(
        ("name", "file", "renamed"),
        [
            ("math500", "math500/test", {"unique_id": "id"}),
            ("aime24", "aime/aime24", {}),
            ("amc23", "amc23/test", {"question": "problem"}),
            ("minerva_math", "minerva_math/test", {"type": "subject"}),
            ("olympiadbench", "olympiadbench/test", {"question": "problem"}),
        ],
    )
    def test_rows_of_the_others_get_the_same_id_question_and_answer(
        self, data_folder: Path, name: str, file: str, renamed: dict[str, str]
    ) -> None:
        for number, row in enumerate(self.rows(data_folder, file)):
            original = self.original(name, row, renamed)
            ours = SOURCES[name].convert(number, original)
            for field in ("id", "problem", "answer"):
                assert ours[field] == row[field], (row["id"], field)

    def original(self, name: str, row: dict[str, object], renamed: dict[str, str]) -> dict[str, object]:
        meta = row.get("meta")
        own = {**row, **(meta if isinstance(meta, dict) else {})}
        own |= {new: row[old] for new, old in renamed.items()}
        place = str(row["id"]).rpartition("/")[2]
        if name == "math500":
            own["unique_id"] = str(row["id"]).removeprefix("math/") + ".json"
        if name == "amc23":
            own |= {"id": int(place), "answer": float(str(row["answer"]))}
        if name == "olympiadbench":
            own |= {"id": int(place), "final_answer": own["raw_final_answer"], "solution": None}
        return own


def test_the_written_file_is_plain_json_lines(origin: Origin, tmp_path: Path) -> None:
    get_data("gsm8k", source(origin), tmp_path / "a.jsonl.gz")
    assert len(gzip.decompress((tmp_path / "a.jsonl.gz").read_bytes()).splitlines()) == 3
