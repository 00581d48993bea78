from pathlib import Path

import pytest

from steproute.artifacts import Artifact, artifact_digests, write_artifact
from steproute.core.errors import ArtifactError
from steproute.core.problem import Problem
from steproute.core.solution import Advice, Prefix
from steproute.retrieval.example_bank import (
    ROWS,
    Example,
    ExampleAdviser,
    ExampleBank,
    bank_artifact,
    load_bank,
    near_duplicates,
    origin_of,
)

OWN, OTHER = Problem.ask("What is 20 + 4?"), Problem.ask("What is 7 * 3?")


def example(problem: Problem, step: str, *before: str) -> Example:
    return Example(problem=problem.text, step=step, before=before, origin=origin_of(problem))


BANK = ExampleBank.of([example(OWN, "So 20 + 4 = 24."), example(OTHER, "So 7 * 3 = 21.", "Multiply.")])


def test_a_problem_never_sees_a_row_that_comes_from_itself() -> None:
    near = BANK.nearest("So 20 + 4 = 23.", OTHER)
    assert near is not None
    assert near.row == 0
    same_text = Problem.ask(OWN.text, id="another id")
    away = BANK.nearest("So 20 + 4 = 23.", same_text)
    assert away is not None
    assert away.row == 1
    assert ExampleBank.of(BANK.examples[:1]).nearest("So 20 + 4 = 23.", OWN) is None


def test_of_equally_near_steps_the_first_is_found() -> None:
    twice = ExampleBank.of([*BANK.examples, example(Problem.ask("Again?"), "So 20 + 4 = 24.")])
    match = twice.nearest("So 20 + 4 = 24.", OTHER)
    assert match is not None
    assert match.row == 0


def test_the_example_ends_with_its_key_step() -> None:
    prefix = Prefix(problem=OWN)
    advice = ExampleAdviser(bank=BANK, threshold=0.5).advice(prefix, "So 7 * 3 = 21.")
    assert advice == Advice(example="What is 7 * 3?\n\nMultiply.\n\nSo 7 * 3 = 21.")


def test_an_example_below_the_threshold_is_rejected() -> None:
    prefix, text = Prefix(problem=OTHER), "So 20 + 4 = 24, which is even."
    match = BANK.nearest(text, OTHER)
    assert match is not None
    assert 0 < match.similarity < 1
    assert ExampleAdviser(bank=BANK, threshold=match.similarity - 0.01).advice(prefix, text) is not None
    assert ExampleAdviser(bank=BANK, threshold=match.similarity + 0.01).advice(prefix, text) is None


def test_near_duplicates_of_steps_are_counted() -> None:
    steps = [(OTHER, "So 20 + 4 = 24."), (OWN, "So 20 + 4 = 24."), (OWN, "So 7 * 3 = 22."), (OWN, "Add.")]
    assert near_duplicates(BANK, steps) == 1, "a problem's own rows do not count"


def test_a_bank_comes_back_with_the_same_answers(tmp_path: Path) -> None:
    write_artifact(bank_artifact(BANK, {"data": "here"}), tmp_path / "bank")
    again = load_bank(tmp_path / "bank")
    assert list(again.examples) == list(BANK.examples)
    assert again.nearest("So 7 * 3 = 22.", OWN) == BANK.nearest("So 7 * 3 = 22.", OWN)
    assert load_bank(tmp_path / "bank") is again
    assert ROWS in artifact_digests(tmp_path / "bank")


def test_a_bank_that_was_made_again_is_read_again(tmp_path: Path) -> None:
    write_artifact(bank_artifact(BANK, {}), tmp_path / "bank")
    before = load_bank(tmp_path / "bank")
    write_artifact(bank_artifact(ExampleBank.of(BANK.examples[:1]), {}), tmp_path / "bank")
    assert len(load_bank(tmp_path / "bank").examples) < len(before.examples)


@pytest.mark.parametrize("change", ["rows", "arrays", "kind", "missing"])
def test_a_damaged_bank_is_refused(tmp_path: Path, change: str) -> None:
    folder, artifact = tmp_path / "bank", bank_artifact(BANK, {})
    if change == "kind":
        artifact = Artifact(kind="pomdp", arrays=artifact.arrays, files=artifact.files)
    if change == "arrays":
        artifact = Artifact(kind=artifact.kind, arrays={**artifact.arrays, "texts": artifact.arrays["texts"] + 9})
        artifact = Artifact(kind=artifact.kind, arrays=artifact.arrays, files=bank_artifact(BANK, {}).files)
    if change != "missing":
        write_artifact(artifact, folder)
    if change == "rows":
        (folder / ROWS).write_bytes((folder / ROWS).read_bytes().replace(b"24", b"25"))
    with pytest.raises(ArtifactError, match="bank: .*train --policy example-bank"):
        load_bank(folder)
