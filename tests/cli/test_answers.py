"""Runs whose answers are in no box: GSM8K by a final line, options, a user's Python grader, and an LLM judge."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from tests.cli.answering import CONFIG, AnsweringServer, served
from typer.testing import CliRunner

from steproute.cli.main import app
from steproute.cli.terminal import Terminal
from steproute.cli.training import Training
from steproute.config import read_setup
from steproute.core.errors import ConfigError, SpendingLimitReached
from steproute.evaluation.datasets import load_problems, read_rows
from steproute.learn.rollouts import Grade
from steproute.strategies.single import Single

COUNT = 12
WRONG_BY_WEAK = 4
OPTIONS = "What is {0} + {0}?\n(A) {1}\n(B) {2}\n(C) {3}"


def run(*words: str) -> None:
    CliRunner().invoke(app, list(words), catch_exceptions=False)


def summary(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((Path("runs") / name / "summary.json").read_text())
    return found


def weak_is_wrong(number: int) -> bool:
    return number < WRONG_BY_WEAK


def solutions(
    problems: list[str], steps: Callable[[int], list[str]], last: Callable[[int, bool], str]
) -> dict[tuple[str, str], list[str]]:
    """Of both models; `last` writes the last step, by whether it is right."""
    return {
        (model, problem): [*steps(number), last(number, model == "strong" or not weak_is_wrong(number))]
        for number, problem in enumerate(problems)
        for model in ("weak", "strong")
    }


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def gsm8k(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> AnsweringServer:
    """Solutions as GSM8K has them, with sentences for the answers."""
    monkeypatch.setenv("STEPROUTE_DATA", str(data_folder))
    rows = [row for _, row in islice(read_rows(data_folder / "gsm8k/test.jsonl.gz"), COUNT)]
    problems = [str(row["problem"]) for row in rows]
    steps = [[step for step in str(row["solution"]).splitlines() if "####" not in step] for row in rows]
    sentences = ["So the final answer is ${}.", "Final answer: {}", "The answer is **{}**.", "#### {}"]

    def last(number: int, right: bool) -> str:
        gold = str(rows[number]["answer"])
        return sentences[number % len(sentences)].format(f"{gold}.00" if right else f"{gold}1")

    return AnsweringServer(solutions(problems, lambda number: steps[number], last))


def check(found: dict[str, Any], outcome: str) -> None:
    right_of_weak = (COUNT - WRONG_BY_WEAK) / COUNT
    assert (found["weak"]["accuracy"], found["strong"]["accuracy"]) == (pytest.approx(right_of_weak), 1.0)
    assert (found["problems"], found["failed"], found["undecided"]) == (COUNT, 0, 0)
    for point in (found["weak"], found["strong"], *found["points"]):
        assert point["outcomes"] == {outcome: COUNT}


def test_gsm8k_by_its_final_lines(here: Path, gsm8k: AnsweringServer) -> None:
    with served(gsm8k) as url:
        (here / "steproute.toml").write_text(
            CONFIG.format(url=url) + '[answer]\nrule = "final_line"\ngrader = "numeric"\n'
        )
        words = f"eval --config steproute.toml --data gsm8k --problems {COUNT} --knobs 0,0.5 --name gsm --baselines"
        run(*words.split(), "")
        found = summary("gsm")
        check(found, "answered")
        assert found["settings"]["answer"] == {"rule": "final_line", "grader": "numeric", "settings": {}}
        told = {request.body["messages"][0]["content"] for request in gsm8k.asked}
        assert all('"Final answer:"' in each and "boxed" not in each for each in told)
        with pytest.raises(ConfigError, match="answer.grader was 'numeric' and is now 'exact'"):
            run(*words.split(), "", "--grader", "exact")


def test_a_users_instructions_replace_those_of_the_rule(here: Path, gsm8k: AnsweringServer) -> None:
    with served(gsm8k) as url:
        own = CONFIG.format(url=url).replace('model = "weak"\n', 'model = "weak"\ninstructions = "Be brief."\n')
        (here / "steproute.toml").write_text(own)
        words = "eval --config steproute.toml --data gsm8k --problems 5 --knobs 0 --name own --answer-rule final_line"
        run(*words.split(), "--baselines", "")
        assert {request.body["messages"][0]["content"] for request in gsm8k.asked_of("weak")} == {"Be brief."}
        assert all("Final answer:" in each.body["messages"][0]["content"] for each in gsm8k.asked_of("strong"))


def test_a_multiple_choice_run(here: Path) -> None:
    problems = [OPTIONS.format(number, 2 * number + 1, 2 * number, 2 * number + 7) for number in range(COUNT)]
    rows = [{"id": str(number), "problem": text, "answer": "(B)"} for number, text in enumerate(problems)]
    Path("options.jsonl").write_text("\n".join(map(json.dumps, rows)))
    sentences = ["The answer is ({}).", "So option {} is correct.", "**{}**"]

    def last(number: int, right: bool) -> str:
        return sentences[number % len(sentences)].format("B" if right else "A")

    server = AnsweringServer(solutions(problems, lambda number: ["(A) is odd.", f"{number} + {number} is even."], last))
    with served(server) as url:
        (here / "steproute.toml").write_text(CONFIG.format(url=url))
        words = "eval --config steproute.toml --data options.jsonl --answer-rule choice --grader choice --name options"
        run(*words.split(), "--knobs", "0,1", "--baselines", "")
    check(summary("options"), "answered")


GRADER = """
def mentions(problem, answer, solution):
    assert answer is None
    return problem.answer.lower() in solution.lower()
"""


def test_a_users_python_grader_judges_whole_solutions(here: Path) -> None:
    problems = [f"Name the capital of country {number}." for number in range(COUNT)]
    rows = [{"id": str(number), "problem": text, "answer": f"City {number}."} for number, text in enumerate(problems)]
    Path("capitals.jsonl").write_text("\n".join(map(json.dumps, rows)))
    Path("my_capitals.py").write_text(GRADER)

    def last(number: int, right: bool) -> str:
        return f"Its capital is city {number if right else number + 50}."

    server = AnsweringServer(solutions(problems, lambda number: ["The answer is 5.", "No \\boxed{6}."], last))
    with served(server) as url:
        (here / "steproute.toml").write_text(CONFIG.format(url=url))
        words = "eval --config steproute.toml --data capitals.jsonl --answer-rule none --grader python --name capitals"
        run(*words.split(), "--grader-set", "function=my_capitals:mentions", "--knobs", "0,1", "--baselines", "")
    check(summary("capitals"), "completed")


def test_a_judge_is_paid_once_per_answer_and_by_no_route(here: Path, gsm8k: AnsweringServer) -> None:
    with served(gsm8k) as url:
        (here / "steproute.toml").write_text(
            CONFIG.format(url=url) + '[answer]\nrule = "final_line"\ngrader = "judge"\nmodel = "judge"\n'
        )
        words = (
            f"eval --config steproute.toml --data gsm8k --problems {COUNT} --knobs 0,0.5,1 --name judged --baselines"
        )
        run(*words.split(), "")
        found, asked = summary("judged"), gsm8k.asked_of("judge")
        assert (found["weak"]["accuracy"], found["strong"]["accuracy"]) == ((COUNT - WRONG_BY_WEAK) / COUNT, 1.0)
        assert len(asked) == COUNT + WRONG_BY_WEAK
        paid = sum(10 * each.prompt_tokens + 20 * each.generated for each in asked) / 1_000_000
        assert found["grading_usd"] == pytest.approx(paid, rel=1e-12)
        solved = sum(1 * each.prompt_tokens + 2 * each.generated for each in gsm8k.asked_of("weak"))
        solved += sum(3 * each.prompt_tokens + 4 * each.generated for each in gsm8k.asked_of("strong"))
        assert found["spent_usd"] == pytest.approx(solved / 1_000_000, rel=1e-12)
        before = len(gsm8k.asked)
        run(*words.split(), "")
        assert len(gsm8k.asked) == before
        assert summary("judged")["grading_usd"] == found["grading_usd"]


JUDGED = '[answer]\nrule = "final_line"\ngrader = "judge"\nmodel = "judge"\n'


def test_what_a_judge_was_paid_before_counts_towards_the_limit_of_a_run(here: Path, gsm8k: AnsweringServer) -> None:
    words = (
        "eval",
        "--config",
        "steproute.toml",
        "--data",
        "gsm8k",
        "--problems",
        "4",
        "--name",
        "j",
        "--baselines",
        "",
    )
    with served(gsm8k) as url:
        (here / "steproute.toml").write_text(CONFIG.format(url=url) + JUDGED)
        run(*words, "--knobs", "0", "--max-usd", "1")
        found, before = summary("j"), len(gsm8k.asked)
        assert found["grading_usd"] > 0
        spent = found["spent_usd"] + found["grading_usd"]
        with pytest.raises(SpendingLimitReached, match=rf"\${spent:.6f} of \$"):
            run(*words, "--knobs", "0,1", "--max-usd", f"{spent:.9f}")
        assert len(gsm8k.asked) == before


def test_a_judge_of_a_training_is_paid_once_and_within_the_limit(here: Path, gsm8k: AnsweringServer) -> None:
    with served(gsm8k) as url:
        (here / "steproute.toml").write_text(CONFIG.format(url=url) + JUDGED)
        setup = read_setup(Path("steproute.toml"))
        training = Training(
            policy="query-sw",
            setup=setup,
            data="gsm8k",
            problems=setup.answer.on(load_problems("gsm8k", COUNT)),
            seed=0,
            in_flight=4,
            path=here / "tree.jsonl.zst",
            console=Terminal(),
        )
        (traces,) = training.solved([Single("weak")])

        async def marks(grade: Grade) -> list[bool]:
            return [await grade(*pair) for pair in zip(training.problems, traces, strict=True)]

        for _ in range(2):
            with training.grade() as grade:
                assert sum(asyncio.run(marks(grade))) == COUNT - WRONG_BY_WEAK
        assert len(gsm8k.asked_of("judge")) == COUNT
        poor = replace(training, path=here / "other.jsonl.zst", limit=Decimal("0.000001"))
        with poor.grade() as grade, pytest.raises(SpendingLimitReached):
            asyncio.run(marks(grade))
        assert len(gsm8k.asked_of("judge")) == COUNT


def test_the_demo_goes_by_the_files_answer_rule(here: Path, gsm8k: AnsweringServer) -> None:
    with served(gsm8k) as url:
        models = CONFIG.partition("[models.judge]")[0]  # which would solve problems as a baseline
        (here / "steproute.toml").write_text(models.format(url=url) + '[answer]\nrule = "final_line"\n')
        run("demo", "--config", "steproute.toml", "--data", "gsm8k", "--problems", "6")
    told = {request.body["messages"][0]["content"] for request in gsm8k.asked_of("weak")}
    assert all("Final answer:" in each and "boxed" not in each for each in told)


def test_a_strategy_that_compares_answers_needs_answers(here: Path) -> None:
    with pytest.raises(ConfigError, match="automix/random=0: it compares final answers, and the answer rule 'none'"):
        run("eval", "--strategy", "automix", "--policy", "random", "--knobs", "0", "--answer-rule", "none")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--answer-rule box", "answer.rule: 'box' is unknown. Use one of boxed, final_line, choice, none"),
        ("--grader magic", "answer.grader: 'magic' is unknown. Use one of choice, exact, judge, math"),
        ("--grader numeric --grader-set relativ=1", "answer.relativ: unknown. Known fields: absolute, ignore_units"),
        ("--grader numeric --grader-set relative=much", "answer.relative: expected `float`, got `str`"),
        ("--grader python", "answer.function: missing. Set function ="),
        ("--grader judge --grader-set model=gpt", r"answer.model: there is no model 'gpt', only mid, strong, weak"),
        ("--grader-set model=gpt", "answer.model: unknown"),
    ],
)
def test_an_unusable_grader_is_rejected_before_the_first_call(here: Path, words: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run("eval", "--problems", "3", *words.split())
    assert not Path("runs").exists()
