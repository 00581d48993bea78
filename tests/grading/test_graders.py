"""What each built-in grader calls correct."""

import asyncio
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steproute import Draft, Meter, Prefix, Problem, Sampling, Stop, Usage
from steproute.config.answer import AnswerSettings
from steproute.core.answer_rule import NONE
from steproute.core.errors import ConfigError
from steproute.core.grade import Grade, Verdict
from steproute.core.ports import COMPARES, Grader
from steproute.core.registry import graders
from steproute.engine.roles import ModelRole, Roles
from steproute.grading.choice import ChoiceGrader
from steproute.grading.exact import ExactGrader
from steproute.grading.judge import JUDGE_PROMPT, JudgeGrader
from steproute.grading.mathematics import MathGrader
from steproute.grading.numeric import NumericGrader
from steproute.grading.regex import RegexGrader
from steproute.grading.user_function import PythonGrader

RIGHT, WRONG, UNDECIDED = Verdict


def grade(grader: Grader, gold: str, answer: str | None, solution: str = "", **problem: Any) -> Grade:
    asked = Problem.ask(id="p", text="How many?", answer=gold, **problem)
    return asyncio.run(grader.grade(asked, answer, solution, Meter()))


def verdict(grader: Grader, gold: str, answer: str | None, solution: str = "", **problem: Any) -> Verdict:
    return grade(grader, gold, answer, solution, **problem).verdict


def test_every_built_in_grader_is_registered_under_its_name() -> None:
    assert graders.names() == ["choice", "exact", "judge", "math", "numeric", "python", "regex", "reward"]
    kinds = [graders.get(name) for name in ("math", "exact", "numeric", "choice", "regex", "python", "judge")]
    assert kinds == [MathGrader, ExactGrader, NumericGrader, ChoiceGrader, RegexGrader, PythonGrader, JudgeGrader]
    assert [COMPARES.of(kind) for kind in kinds] == [True, True, True, True, False, False, False]


@pytest.mark.parametrize("grader", [MathGrader(), ExactGrader(), NumericGrader(), ChoiceGrader(), RegexGrader()])
def test_no_answer_is_incorrect_and_without_a_rule_the_solution_is_graded(grader: Grader) -> None:
    gold = "B" if isinstance(grader, ChoiceGrader) else "5"
    assert verdict(grader, gold, None, gold) is WRONG
    assert verdict(grader, gold, None, gold, rule=NONE) is RIGHT
    assert verdict(grader, gold, None, "7", rule=NONE) is WRONG


def test_mathematics_reads_values() -> None:
    assert verdict(MathGrader(), "\\sqrt{8}", "2\\sqrt{2}") is RIGHT
    assert verdict(MathGrader(), "0.5", "\\frac12") is RIGHT
    assert verdict(MathGrader(), "0.5", "0.6") is WRONG


@given(st.lists(st.text("abc ", min_size=1), min_size=1), st.sampled_from([" ", "\n", "  \t"]))
def test_text_is_compared_without_white_space_and_case(words: list[str], space: str) -> None:
    text = " ".join(words)
    assert verdict(ExactGrader(), text, space + space.join(text.upper().split()) + space) is RIGHT
    assert verdict(ExactGrader(), text, text + "x") is WRONG


@pytest.mark.parametrize(
    ("gold", "answer", "settings", "expected"),
    [
        ("18", "$18", {}, RIGHT),
        ("18", "18 dollars", {}, RIGHT),
        ("1,234", "1234.0", {}, RIGHT),
        ("0.5", "1/2", {}, RIGHT),
        ("3", "three", {}, RIGHT),
        ("7", "3 + 4 = 7", {}, RIGHT),
        ("5 m", "5", {}, RIGHT),
        ("5 m", "5 cm", {}, WRONG),
        ("5 m", "5 cm", {"ignore_units": True}, RIGHT),
        ("18", "18 dollars per day, for eggs", {"ignore_units": True}, RIGHT),
        ("18", "18 or 19", {"ignore_units": True}, WRONG),
        ("100", "101", {}, WRONG),
        ("100", "101", {"relative": 0.01}, RIGHT),
        ("100", "101.01", {"relative": 0.01}, WRONG),
        ("0.1", "0.3", {"absolute": 0.2}, RIGHT),
        ("0", "0.0001", {}, WRONG),
        ("-3", "−3", {}, RIGHT),
        ("3", "x", {}, WRONG),
        ("x", "3", {}, UNDECIDED),
    ],
)
def test_numbers_within_the_tolerance_are_correct(gold: str, answer: str, settings: Any, expected: Verdict) -> None:
    assert verdict(NumericGrader(**settings), gold, answer) is expected


@given(st.integers(-(10**9), 10**9), st.integers(0, 1000), st.integers(0, 10))
def test_the_absolute_tolerance_is_exact(gold: int, off: int, tolerance: int) -> None:
    expected = RIGHT if off <= tolerance else WRONG
    assert verdict(NumericGrader(relative=0.0, absolute=tolerance), str(gold), str(gold + off)) is expected


@pytest.mark.parametrize(
    ("gold", "answer", "expected"),
    [
        ("B", "(b)", RIGHT),
        ("(B)", "\\text{B}", RIGHT),
        ("B", "B: 12 apples", RIGHT),
        ("B", "C", WRONG),
        ("12", "B", UNDECIDED),
    ],
)
def test_letters_are_compared_however_they_are_written(gold: str, answer: str, expected: Verdict) -> None:
    assert verdict(ChoiceGrader(), gold, answer) is expected


def test_a_pattern_is_the_gold_answer_or_a_setting() -> None:
    assert verdict(RegexGrader(), "colou?r", "color") is RIGHT
    assert verdict(RegexGrader(), "colou?r", "the color") is WRONG
    assert verdict(RegexGrader(whole=False), "colou?r", "the color") is RIGHT
    assert verdict(RegexGrader(pattern="[0-9]+"), "x", "12") is RIGHT
    assert verdict(RegexGrader(ignore_case=True), "paris", "PARIS") is RIGHT
    grade_of_bad_gold = grade(RegexGrader(), "(", "(")
    assert (grade_of_bad_gold.verdict, "is no regular expression" in grade_of_bad_gold.note) == (UNDECIDED, True)


def test_an_endless_pattern_is_undecided_and_the_next_one_works() -> None:
    endless = grade(RegexGrader(cpu_s=1.0), "(a+)+b", "a" * 60)
    assert endless == Grade.undecided("'(a+)+b' took more than 1 s of CPU time")
    assert verdict(RegexGrader(), "a+", "aa") is RIGHT


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (NumericGrader, {"relative": -1}, "relative: -1 is no tolerance"),
        (NumericGrader, {"absolute": float("nan")}, "absolute: nan is no tolerance"),
        (RegexGrader, {"pattern": "("}, "pattern: '\\(' is no regular expression"),
        (RegexGrader, {"cpu_s": 0}, "cpu_s: 0 is no time"),
    ],
)
def test_impossible_settings_are_rejected(kind: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        kind(**settings)


FUNCTIONS = """
import asyncio, sys, threading

def contains(problem, answer, solution):
    return problem.answer in solution

async def slowly(problem, answer, solution):
    await asyncio.sleep(0)
    return answer == problem.answer

def raises(problem, answer, solution):
    raise ValueError("no such word")

def leaves(problem, answer, solution):
    sys.exit(3)

def maybe(problem, answer, solution):
    return 1

async def fails(problem, answer, solution):
    return 1 / 0

forever = threading.Event()

def hangs(problem, answer, solution):
    return forever.wait()

started = []

async def starts(problem, answer, solution):
    started.append(answer)
    await asyncio.sleep(3600)

async def sleeps(problem, answer, solution):
    await asyncio.sleep(3600)

inside, most, lock = 0, 0, threading.Lock()

def enters():
    global inside, most
    with lock:
        inside += 1
        most = max(most, inside)

def leaves_again():
    global inside
    with lock:
        inside -= 1

def counts(problem, answer, solution):
    enters()
    threading.Event().wait(0.01)
    leaves_again()
    return most == 1

async def counts_slowly(problem, answer, solution):
    enters()
    await asyncio.sleep(0.01)
    leaves_again()
    return most == 1

constant = 5
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes graders of functions in a module of the current folder."""
    module = f"my_grader_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{module}.py").write_text(FUNCTIONS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return lambda name, **settings: PythonGrader.from_settings("python", {"function": f"{module}:{name}", **settings})


def test_a_function_of_the_current_folder_grades(own: Any) -> None:
    assert verdict(own("contains"), "5", None, "It is 5.") is RIGHT
    assert verdict(own("contains"), "5", None, "It is 6.") is WRONG
    assert verdict(own("slowly"), "5", "5") is RIGHT


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("raises", "raised ValueError: no such word"),
        ("leaves", "raised SystemExit: 3"),
        ("maybe", "returned 1, neither True nor False"),
        ("fails", "raised ZeroDivisionError: division by zero"),
    ],
)
def test_a_failing_user_function_is_undecided_with_the_reason(own: Any, name: str, reason: str) -> None:
    undecided = grade(own(name), "5", "5")
    assert (undecided.verdict, undecided.note.partition(" ")[2]) == (UNDECIDED, reason)


@pytest.mark.parametrize("name", ["counts", "counts_slowly"])
def test_a_users_function_is_called_once_at_a_time_in_every_event_loop(own: Any, name: str) -> None:
    problem = Problem.ask(id="p", text="How many?", answer="5")
    grader: Grader = own(name)

    async def gather_or_cancel() -> list[Grade]:
        return await asyncio.gather(*(grader.grade(problem, "5", "", Meter()) for _ in range(8)))

    for _ in range(2):
        assert [each.verdict for each in asyncio.run(gather_or_cancel())] == [RIGHT] * 8


def test_waiting_for_another_call_does_not_count_towards_the_timeout(own: Any) -> None:
    """Five calls that take the whole timeout each; if they shared it, only the first would begin."""
    grader, problem = own("starts", timeout_s=0.05), Problem.ask(id="p", text="How many?", answer="5")

    async def gather_or_cancel() -> None:
        await asyncio.gather(*(grader.grade(problem, "5", "", Meter()) for _ in range(5)))

    asyncio.run(gather_or_cancel())
    assert len(sys.modules[grader.settings.function.partition(":")[0]].started) == 5


@pytest.mark.parametrize("name", ["hangs", "sleeps"])
def test_a_function_that_never_returns_is_undecided(own: Any, name: str) -> None:
    undecided = grade(own(name, timeout_s=0.05), "5", "5")
    assert (undecided.verdict, undecided.note.partition(" ")[2]) == (UNDECIDED, "took more than 0.05 s")


def test_an_unusable_function_is_rejected(own: Any) -> None:
    for name, message in (("nothing", "cannot be imported .AttributeError"), ("constant", "which cannot be called")):
        with pytest.raises(ConfigError, match=message):
            own(name)
    for function, message in (
        ("no_colon", "is no function"),
        ("no_such_module:f", "cannot be imported .ModuleNotFound"),
    ):
        with pytest.raises(ConfigError, match=message):
            PythonGrader.from_settings("python", {"function": function})
    with pytest.raises(ConfigError, match="function: missing"):
        PythonGrader.from_settings("python", {})


class Replying:
    """A model that always replies the same, and keeps what it was asked."""

    name = "judge-model"

    def __init__(self, reply: str, stop: Stop = Stop.END) -> None:
        self.reply, self.stop = reply, stop
        self.asked: list[tuple[Prefix, Sampling]] = []

    async def propose(
        self, prefix: Prefix, n: int = 1, sampling: Sampling = Sampling(), meter: Meter | None = None
    ) -> list[Draft]:
        self.asked.append((prefix, sampling))
        usage = Usage(input_tokens=40, output_tokens=2)
        return [Draft(model=self.name, text=self.reply, stop=self.stop, usage=usage, request_id="r1")]


def judge(model: Replying, **settings: Any) -> JudgeGrader:
    return JudgeGrader.from_settings("judge", {"model": "judge", **settings}).asking(model)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("CORRECT", RIGHT),
        ("INCORRECT", WRONG),
        ("It means the same.\n\n**Correct.**", RIGHT),
        ("Verdict: incorrect", WRONG),
        ("CORRECT\nOn second thought I am not sure.", UNDECIDED),
        ("It is correct to say that", UNDECIDED),
        ("CORRECT or INCORRECT", UNDECIDED),
        ("not correct", UNDECIDED),
        ("", UNDECIDED),
    ],
)
def test_only_one_of_two_words_is_a_judges_verdict(reply: str, expected: Verdict) -> None:
    result = grade(judge(Replying(reply)), "5", "five")
    assert result.verdict is expected
    assert ("neither CORRECT nor INCORRECT" in result.note) == (expected is UNDECIDED)
    assert [(call.usage.read_tokens, call.usage.output_tokens, call.request_id) for call in result.calls] == [
        (40, 2, "r1")
    ]


def test_a_judges_reply_that_was_cut_off_is_undecided() -> None:
    assert "was cut off" in grade(judge(Replying("CORRECT", Stop.LENGTH)), "5", "five").note


def test_a_judge_reads_only_the_answer_and_samples_greedily() -> None:
    model = Replying("CORRECT")
    grade(judge(model, max_tokens=7), "5", "{gold} five", "a long solution")
    ((prefix, sampling),) = model.asked
    expected = JUDGE_PROMPT.replace("{problem}", "How many?").replace("{gold}", "5").replace("{answer}", "{gold} five")
    assert prefix.problem.text == expected
    assert prefix.problem.rule.instructions == ""
    assert (sampling.temperature, sampling.stop, sampling.max_tokens) == (0.0, None, 7)


def test_a_judge_reads_the_whole_solution_without_a_rule_and_nothing_without_an_answer() -> None:
    model = Replying("CORRECT")
    assert verdict(judge(model), "5", None, "no answer here") is WRONG
    assert model.asked == []
    assert verdict(judge(model, prompt="{answer}!"), "5", None, "the whole", rule=NONE) is RIGHT
    assert model.asked[0][0].problem.text == "the whole!"


def test_a_judge_needs_a_model_that_is_there() -> None:
    with pytest.raises(ConfigError, match=r"model: there is no model 'gpt', only judge. Describe \[models.gpt\]"):
        AnswerSettings(grader="judge", settings={"model": "gpt"}).graded(
            Roles(models={"judge": ModelRole(model=Replying(""))})
        )
    with pytest.raises(ConfigError, match=r"prompt: 'Well\?' lacks \{answer\}"):
        judge(Replying(""), prompt="Well?")


def test_a_grade_keeps_its_problem_light() -> None:
    problem = Problem.ask(id="p", text="t", answer="5")
    assert replace(problem, rule=NONE) != problem
    assert hash(problem.rule) != hash(NONE)
