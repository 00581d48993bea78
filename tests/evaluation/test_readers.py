"""Files of other forms, and rows whose fields have other names."""

import csv
import gzip
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steproute.core.errors import DatasetError
from steproute.core.problem import Problem
from steproute.core.registry import datasets
from steproute.evaluation.datasets import Fields, load_problems, read_rows

ROWS = [
    {"Q": "1 + 1?", "A": "2", "nr": "a", "topic": "sums"},
    {"Q": '3, 4 or\n"five"?', "A": "5", "nr": "b", "topic": ""},
]
FIELDS = Fields("Q", "A", "nr")


def write(path: Path) -> Path:
    """ROWS in the form that the file's name says."""
    if path.suffix == ".parquet":
        pyarrow = pytest.importorskip("pyarrow", reason="Parquet needs the data extra")
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)
        return path
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wt", encoding="utf-8", newline="") as file:
        if ".csv" in path.suffixes:
            writer = csv.DictWriter(file, list(ROWS[0]))
            writer.writeheader()
            writer.writerows(ROWS)
        else:
            file.writelines(json.dumps(row) + "\n" for row in ROWS)
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.csv", "a.csv.gz", "a.parquet"])
def test_every_form_gives_the_same_problems(tmp_path: Path, name: str) -> None:
    first, second = load_problems(str(write(tmp_path / name)), fields=FIELDS)
    assert first == Problem.ask(id="a", text="1 + 1?", answer="2", tags={"topic": "sums"})
    assert second == Problem.ask(id="b", text='3, 4 or\n"five"?', answer="5")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (Fields(), "line 2: no problem, text or question. Its fields are Q, A, nr, topic. Name .* --question-field"),
        (Fields("Q"), "line 2: no gold answer. Its fields are Q, A, nr, topic. Name .* --answer-field"),
        (Fields("q", "A"), "line 2: question-field: there is no field 'q'. Its fields are Q, A, nr, topic"),
        (Fields("Q", "a"), "line 2: answer-field: there is no field 'a'. Its fields"),
        (Fields("Q", "A", "id"), "line 2: id-field: there is no field 'id'. Its fields"),
    ],
)
def test_a_missing_field_is_named_with_the_existing_ones(tmp_path: Path, fields: Fields, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        load_problems(str(write(tmp_path / "a.csv")), fields=fields)


def test_fields_are_rejected_if_the_data_has_none() -> None:
    with pytest.raises(DatasetError, match="lab has no fields to choose"):
        load_problems("lab", 1, fields=Fields("Q"))


def test_the_other_fields_of_a_row_become_tags(tmp_path: Path) -> None:
    row = {"problem": "a", "answer": 1, "level": 3, "choices": ["x", "y"], "none": None, "hard": True}
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(row))
    (problem,) = load_problems(str(path))
    assert problem.tags == {"level": "3", "choices": '["x", "y"]', "hard": "True"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: .* is no header"),
        ("a,a\n1,2\n", "line 1: 'a, a' is no header"),
        ("problem,answer\nx\n", "line 2: 1 cells below 2 columns"),
        ("problem,answer\nx,1,2\n", "line 2: 3 cells below 2 columns"),
        ('problem,answer\n"x,1\n', "line 2: no CSV"),
    ],
)
def test_a_bad_csv_file_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(DatasetError, match=message):
        load_problems(str(path))


_CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(rows=st.lists(st.fixed_dictionaries({"problem": _CELL, "answer": _CELL}), max_size=4))
def test_csv_cells_come_back_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, str]]
) -> None:
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["problem", "answer"])
        writer.writeheader()
        writer.writerows(rows)
    assert [row for _, row in read_rows(path)] == rows


def test_what_is_no_parquet_file_is_named(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="Parquet needs the data extra")
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(DatasetError, match=r"a.parquet: no Parquet file"):
        load_problems(str(path))


class TestHuggingFace:
    @pytest.fixture(autouse=True)
    def offline(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("datasets", reason="Hugging Face data sets need the data extra")
        monkeypatch.setattr("datasets.config.HF_DATASETS_OFFLINE", True)
        monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")

    def test_a_data_set_is_read_by_the_library(self, tmp_path: Path) -> None:
        folder = tmp_path / "own"
        folder.mkdir()
        write(folder / "test.jsonl")
        assert [problem.id for problem in load_problems(f"hf:{folder}:test", fields=FIELDS)] == ["a", "b"]
        assert len(load_problems(f"hf:{folder}", 1, fields=FIELDS)) == 1
        with pytest.raises(DatasetError, match=r"cannot be loaded \(.*train.*Write hf:org/name:split"):
            load_problems(f"hf:{folder}:train", fields=FIELDS)

    def test_bad_lines_scripts_and_missing_names_are_errors(self, tmp_path: Path) -> None:
        for name, file, content in (
            ("lines", "test.jsonl", '{"problem": "a"}\n{"problem": \n'),
            ("code", "code.py", "1"),
        ):
            (tmp_path / name).mkdir()
            (tmp_path / name / file).write_text(content)
            with pytest.raises(
                DatasetError, match=rf"hf:{tmp_path}/{name}:test cannot be loaded \(.*Write hf:org/name"
            ):
                load_problems(f"hf:{tmp_path}/{name}:test")
        for empty in ("hf:", "hf::test"):
            with pytest.raises(DatasetError, match=f"'{empty}' names no data set. Write hf:org/name:split"):
                load_problems(empty)

    def test_an_unreachable_data_set_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(time, "sleep", lambda seconds: None)  # 23 s between the attempts of the Hub's client
        with pytest.raises(DatasetError, match="hf:nobody/nothing/main:test cannot be loaded"):
            load_problems("hf:nobody/nothing/main:test")


class TestPlugins:
    @pytest.fixture(autouse=True)
    def registered(self) -> Iterator[None]:
        def sums(variant: str, seed: int) -> Iterator[Problem]:
            for number in range(3):
                yield Problem.ask(id=f"{0 if variant == 'twice' else number}", text=f"{number} + {seed}?", answer="1")

        datasets.register("sums")(sums)
        yield
        del datasets._registered["sums"]

    def test_a_function_is_a_data_set(self) -> None:
        assert [problem.text for problem in load_problems("sums", 2, seed=7)] == ["0 + 7?", "1 + 7?"]
        assert len(load_problems("sums")) == 3

    def test_its_ids_must_differ(self) -> None:
        with pytest.raises(DatasetError, match="sums gives the id '0' twice"):
            load_problems("sums:twice")
