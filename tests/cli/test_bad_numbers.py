"""Numbers that cannot be: each ends with code 2 and names the option, the value and the remedy, and nothing is left."""

import sys
from pathlib import Path

import pytest

from steproute.artifacts import write_artifact
from steproute.cli.main import main
from steproute.learn.plan import plan
from steproute.learn.pomdp_reference import embedded_reference
from steproute.policies.stored import pomdp_artifact
from steproute.policies.trim.pomdp_policy import PomdpFamily

SEED = "Give a whole number from 0 to 4294967295."
HUGE = "99999999999999999999"
PARAMETERS = ("plan", "--reference", "trained", "--stages", "0")
CASES: list[tuple[tuple[str, ...], str]] = [
    *(
        ((*words, "--seed", "-1"), f"seed: -1 is below 0. {SEED}")
        for words in (
            ("solve", "--sample", "0"),
            ("eval",),
            ("compare",),
            ("train",),
            ("calibrate", "--budget", "0.4"),
            ("calibrate-scorer",),
            ("demo",),
            ("replay", "qwen3"),
            ("lab", "check"),
            ("lab", "sample"),
        )
    ),
    (("eval", "--seed", HUGE), f"seed: {HUGE} is above 4294967295. {SEED}"),
    (("eval", "--seeds", HUGE), f"seeds: '{HUGE}' is no list of whole numbers. Write 0,1,2 or 0-4."),
    (("eval", "--seeds", "0,9999999999"), f"seeds: 9999999999 is above 4294967295. {SEED}"),
    (("compare", "--seeds", "0-99999999999"), "seeds: '0-99999999999' are 100000000000 numbers. Give at most 10000"),
    *(
        ((*words, "--problems", HUGE), f"problems: {HUGE} is above 10000000. Give the number of")
        for words in (("eval",), ("compare",), ("train",), ("calibrate", "--budget", "1"), ("demo",), ("lab", "check"))
    ),
    (("demo", "--problems", "0"), "problems: 0 is below 1. Give the number of problems to solve."),
    (("solve", "--sample", HUGE), f"sample: {HUGE} is above 9999999. Give the number of a test problem, from 0."),
    (("lab", "sample", "--count", "-1"), "count: -1 is below 1. Give the number of problems to print."),
    (("eval", "--knobs", "0,nan"), "knobs: '0,nan' is not a list of numbers. Give them with commas"),
    (("solve", "--sample", "0", "--knob", "nan"), "threshold: nan is outside [0, 1]"),
    (("calibrate", "--budget-usd", "inf"), "budget-usd: inf is no budget. Give the dollars per problem"),
    (("eval", "--max-usd", "inf"), "max_usd: Infinity is not a limit"),
    (("eval", "--deadline-s", "nan"), "deadline_s: nan is not a budget"),
    ((*PARAMETERS, "--cost", "inf"), "cost: inf is no cost. Give rewards per strong token, 0 or more"),
    ((*PARAMETERS, "--cost", "nan"), "cost: nan is no cost"),
    ((*PARAMETERS, "--cost", "-1"), "cost: -1 is no cost"),
    ((*PARAMETERS, "--config", "a.toml", "--answer-usd", "inf"), "answer-usd: inf is no worth. Give finite dollars"),
    *(
        ((*PARAMETERS, "--cost", "0.25", "--beliefs", f"{name}.json"), message)
        for name, message in (
            ("nan", "row 0 of nan.json, [nan, 0.5, 0.5], is not a probability distribution. Give three numbers"),
            ("large", "beliefs: large.json is not a JSON list of three numbers each"),
            ("deep", "beliefs: deep.json is not a JSON list of three numbers each"),
        )
    ),
    *(
        ((*words, "--grader-set", "foo"), "grader-set: 'foo' is no setting. Write NAME=VALUE, such as relative=0.01.")
        for words in (("eval",), ("compare",), ("calibrate", "--budget", "0.4"))
    ),
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """TRIM's published parameters as a trained policy, in a folder with belief files."""
    folder = tmp_path_factory.mktemp("plan")
    write_artifact(pomdp_artifact(PomdpFamily(plan(embedded_reference(), [0.25])), {}), folder / "trained")
    (folder / "nan.json").write_text("[[NaN, 0.5, 0.5]]")
    (folder / "large.json").write_text(f"[[{'1' * 401}, 0, 0]]")
    (folder / "deep.json").write_text("[" * 200_000)
    return folder


@pytest.mark.parametrize(("words", "message"), CASES, ids=[" ".join(words) for words, _ in CASES])
def test_an_impossible_number_is_named_with_its_remedy(
    tmp_path: Path,
    words: tuple[str, ...],
    message: str,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = request.getfixturevalue("trained") if words[0] == "plan" else tmp_path
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["steproute", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (folder / "runs").exists()
