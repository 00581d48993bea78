"""`steproute train --policy example-bank`, and a run that uses what it wrote."""

import json
import tomllib
from importlib.resources import files
from pathlib import Path

from typer.testing import CliRunner

from steproute.cli.main import app
from steproute.retrieval.example_bank import load_bank


def run(*words: str) -> str:
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == 0, result.output
    return result.output


def train(out: Path, *words: str) -> str:
    return run("train", "--policy", "example-bank", "--out", str(out), *words)


def test_a_bank_of_the_labs_training_problems(tmp_path: Path) -> None:
    assert "labelled" in train(tmp_path / "bank", "--problems", "5")
    bank = load_bank(tmp_path / "bank")
    assert all(example.text.count("\n\n") == 1 for example in bank.examples), "a sentence and its step"


def test_a_bank_of_a_file_holds_the_correct_solutions_alone(tmp_path: Path) -> None:
    rows = [
        {"problem": "1 + 1?", "steps": ["Add.", "\\boxed{2}"], "label": -1},
        {"problem": "2 + 2?", "steps": ["Add.", "\\boxed{5}"], "label": 1},
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    train(tmp_path / "bank", "--data", str(tmp_path / "rows.jsonl"))
    texts = [example.text for example in load_bank(tmp_path / "bank").examples]
    assert texts == ["1 + 1?\n\nAdd.", "1 + 1?\n\nAdd.\n\n\\boxed{2}"]


def test_data_without_solutions_is_refused(tmp_path: Path) -> None:
    words = ["train", "--policy", "example-bank", "--data", "trim-world:train", "--out", str(tmp_path)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code != 0
    assert "has no solutions in steps" in str(result.exception)


def test_a_run_becomes_a_bank_and_a_later_run_keeps_its_digest(tmp_path: Path) -> None:
    lab = files("steproute.cli").joinpath("templates/lab.toml").read_text()
    (tmp_path / "hinted.toml").write_text(lab.replace('"lab-weak"', '"lab-weak-hinted"'))
    runs = ["--problems", "3", "--runs", str(tmp_path), "--baselines", "random"]
    run("eval", *runs, "--knobs", "0.5", "--name", "first")
    assert "strong" in train(tmp_path / "bank", "--run", str(tmp_path / "first"))
    authors = [example.author for example in load_bank(tmp_path / "bank").examples]
    assert authors == sorted(authors, key=lambda author: author != "strong")
    boost = ["--strategy", "booststep", "--set", f"bank={tmp_path / 'bank'}", "--set", "threshold=1.0"]
    boost += ["--config", str(tmp_path / "hinted.toml")]
    said = run("eval", *runs, *boost, "--policy", "random", "--knobs", "0", "--baselines", "", "--name", "second")
    assert "have a step in the bank at a similarity of 0.95" in said
    document = tomllib.loads((tmp_path / "second" / "run.toml").read_text())
    assert "bank.jsonl" in document["digests"]["artifacts"][str(tmp_path / "bank")]
