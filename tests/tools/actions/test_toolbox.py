import asyncio
from collections.abc import Iterator

import pytest

from steproute.tools.actions.toolbox import EXAMPLES, Action, Toolbox, action_in, parsed


@pytest.fixture(scope="module")
def toolbox() -> Iterator[Toolbox]:
    with Toolbox() as toolbox:
        yield toolbox


@pytest.mark.parametrize(
    ("call", "output"),
    [
        (r'calculate("\frac{1}{2} + 3")', r"\frac{7}{2}"),
        ('mod("17", "5")', "2"),
        ('base_conversion("1011", "2", "10")', "11"),
        ('solve_eq("x^2 = 4", "x")', "x = -2; x = 2"),
        ('solve_multi_eq(["x + y = 3", "x - y = 1"], ["x", "y"])', "x = 2, y = 1"),
        ('solve_ineq("2x > 6", "x")', r"\left(3, \infty\right)"),
        ('substitute("x^2 + y", ["x = 3"])', "y + 9"),
        ('expand("(x + 1)^2")', "x^{2} + 2 x + 1"),
        ('factor("x^2 - 1")', r"\left(x - 1\right) \left(x + 1\right)"),
        ('collect("ax + bx", "x")', r"x \left(a + b\right)"),
        ('complete_the_square("x^2 + 4x", "x")', r"\left(x + 2\right)^{2} - 4"),
    ],
)
def test_tools_answer_in_latex(toolbox: Toolbox, call: str, output: str) -> None:
    assert asyncio.run(toolbox.run(call)) == output


@pytest.mark.parametrize(
    "call",
    [
        'factor("x^2 + 1")',
        'solve_eq("x + 1", "x")',
        'no_tool("1")',
        'think("what now")',
        'calculate("2", "3")',
        "__import__('os').system('true')",
        'calculate(open("x"))',
        "calculate(x)",
        "(" * 500,
    ],
)
def test_what_is_no_tool_or_changes_nothing_has_no_output(toolbox: Toolbox, call: str) -> None:
    assert asyncio.run(toolbox.run(call)) is None


def test_a_tool_that_hangs_is_stopped_and_the_next_one_runs() -> None:
    with Toolbox() as toolbox:
        assert asyncio.run(toolbox.run('calculate("9^{9^{9^{9^9}}}")', 1.0)) is None
        assert asyncio.run(toolbox.run('calculate("2 + 2")')) == "4"


def test_arguments_are_literals() -> None:
    assert parsed('f("a", ["b", "c"])') == Action("f", ("a", ["b", "c"]))
    assert parsed("f(a)") is parsed("f(x=1)") is parsed("a.b()") is None
    assert action_in('I see.\nAction: mod("1", "2")\nOutput:') == 'mod("1", "2")'
    assert all(parsed(example) is not None for example in EXAMPLES)
