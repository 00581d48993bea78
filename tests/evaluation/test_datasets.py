import gzip
import json
from pathlib import Path

import pytest

from steproute.core.errors import ConfigError, DatasetError
from steproute.evaluation.datasets import BENCHMARKS, load_problems, read_rows

COUNTS = {
    "math500": 400,
    "math": 4500,
    "math:train": 7489,
    "gsm8k": 1119,
    "gsm8k:train": 7473,
    "aime": 913,
    "aime24": 30,
    "amc23": 40,
    "olympiadbench": 675,
    "minerva_math": 272,
}


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def test_the_lab_needs_no_file_and_depends_on_its_seed() -> None:
    assert len(load_problems("lab")) == 300
    assert load_problems("lab:validation/hard", 4, seed=1) == load_problems("lab:validation/hard", 4, seed=1)
    assert load_problems("lab", 4, seed=1) != load_problems("lab", 4, seed=2)


@pytest.mark.parametrize("name", sorted(BENCHMARKS))
def test_every_benchmark_loads_whole(name: str, data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEPROUTE_DATA", str(data_folder))
    problems = load_problems(name)
    assert len(problems) == COUNTS[name]
    assert all(problem.answer for problem in problems)


def test_a_file_of_ones_own_loads_plain_or_gzipped(tmp_path: Path) -> None:
    row = json.dumps({"question": "1 + 1?", "answer": 2})
    plain = write(tmp_path / "mine.jsonl", row, "")
    with gzip.open(tmp_path / "mine.jsonl.gz", "wt") as file:
        file.write(row + "\n")
    for path in (plain, tmp_path / "mine.jsonl.gz"):
        (problem,) = load_problems(str(path))
        assert (problem.text, problem.answer, problem.id) == ("1 + 1?", "2", f"{path.name}:1")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (['{"problem": "a", "answer": "1"}', '{"problem": "b", '], "line 2: not JSON"),
        (['{"problem": "a", "answer": 1}', "", "[1]"], "line 3: .* is not an object"),
        (['{"problem": "  "}'], "line 1: problem is '  '"),
        (['{"answer": "1"}'], "line 1: no problem, text or question. Its fields are answer. Name"),
        (['{"problem": "a", "answer": []}'], "line 1: answer is"),
        (
            ['{"id": "x", "problem": "a", "answer": 1}', '{"id": "x", "problem": "b", "answer": 1}'],
            "line 2: id 'x' is on line 1",
        ),
        (['{"id": 0, "problem": "a", "answer": 1}'] * 2, "line 2: id '0' is on line 1"),
        (['{"id": [1], "problem": "a", "answer": 1}'], "line 1: id is \\[1\\]"),
        (['{"problem": "a", "answer": 1}', '{"problem": "b"}'], "line 2: no gold answer"),
        (['{"problem": "a", "answer": null}'], "line 1: no gold answer"),
        (['{"problem": "a", "answer": "  "}'], "line 1: no gold answer"),
        (['{"problem": "a", "solution": "It is 5."}'], "line 1: no gold answer"),
        (['{"problem": "a", "solution": "It is \\\\boxed{}."}'], "line 1: no gold answer"),
        (['{"problem": "a", "answer": NaN}'], "line 1: answer is nan"),
        (['{"problem": "a", "answer": 1' + "0" * 5_000 + "}"], "line 1: not JSON"),
        (["[" * 100_000], "line 1: not JSON"),
        (['{"problem": "a \\ud800", "answer": 1}'], "line 1: problem holds half a character at position 2"),
        (['{"problem": "a", "answer": 1}', '{"id": "\\udfff", "problem": "a", "answer": 1}'], "line 2: id holds half"),
        (['{"problem": "a", "answer": "\\ud83d"}'], "line 1: answer holds half"),
        (['{"problem": "a", "answer": 1, "level": "\\ud83d"}'], "line 1: level holds half"),
    ],
)
def test_a_bad_line_is_named_with_its_number(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        load_problems(str(write(tmp_path / "bad.jsonl", *lines)))


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz"])
def test_files_of_any_system_are_read(tmp_path: Path, mark: bytes, end: bytes, suffix: str) -> None:
    rows = [json.dumps({"id": number, "problem": f"p{number}", "answer": number}).encode() for number in range(3)]
    path = tmp_path / f"mine{suffix}"
    content = mark + end.join([*rows, b""])
    path.write_bytes(gzip.compress(content) if suffix.endswith("gz") else content)
    problems = load_problems(str(path))
    assert [(each.id, each.text, each.answer) for each in problems] == [(str(n), f"p{n}", str(n)) for n in range(3)]


@pytest.mark.parametrize(
    ("row", "answer"),
    [
        ({"answer": 0}, "0"),
        ({"answer": -3}, "-3"),
        ({"answer": 2.5}, "2.5"),
        ({"answer": 27.0}, "27.0"),
        ({"answer": 1e-5}, "1e-05"),
        ({"answer": " 12 "}, "12"),
        ({"solution": "She has $\\boxed{32}$."}, "32"),
        ({"solution": "$k=\\boxed{1}$ and $k=\\boxed{2}$."}, "1, 2"),
        ({"answer": "", "solution": "so \\boxed{\\frac{1}{2}}"}, "\\frac{1}{2}"),
        ({"answer": "7", "solution": "so \\boxed{8}"}, "7"),
        ({"answer": "She pays 3 * 4 = <<3*4=12>>12 dollars.\n#### 12"}, "12"),
    ],
)
def test_the_gold_answer_is_the_field_or_the_box_of_the_solution(
    tmp_path: Path, row: dict[str, object], answer: str
) -> None:
    (problem,) = load_problems(str(write(tmp_path / "mine.jsonl", json.dumps({"problem": "a"} | row))))
    assert problem.answer == answer


@pytest.mark.parametrize("value", [0, 0.0, "0", 7, "a b"])
def test_any_number_or_text_is_an_id(tmp_path: Path, value: object) -> None:
    row = json.dumps({"id": value, "problem": "a", "answer": 1})
    assert load_problems(str(write(tmp_path / "mine.jsonl", row)))[0].id == str(value)


def test_a_torn_gzip_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "torn.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"problem": "a"}\n' * 1000)[:-20])
    with pytest.raises(DatasetError, match=r"torn.jsonl.gz: cannot be read"):
        list(read_rows(path))


def test_missing_things_say_what_was_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEPROUTE_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(DatasetError, match="math500 is not on this machine. Run: steproute data get math500"):
        load_problems("math500")
    with pytest.raises(DatasetError, match="none.jsonl does not exist"):
        load_problems(str(tmp_path / "none.jsonl"))
    with pytest.raises(DatasetError, match=rf"Put it at {tmp_path}/aime/train_1983_2023.jsonl.gz"):
        load_problems("aime")
    with pytest.raises(DatasetError, match="'math500:train' is unknown. Use math500."):
        load_problems("math500:train")
    with pytest.raises(DatasetError, match="'maths' is unknown. Use one of aime, .*, trim-world; hf:org/name:split"):
        load_problems("maths")
    with pytest.raises(ConfigError, match="problems: 0 is below 1"):
        load_problems("lab", 0)
