import asyncio
from collections.abc import Iterator

import pytest

from steproute.tools.algebra import AlgebraChecker
from steproute.tools.arithmetic import Finding


@pytest.fixture(scope="module")
def checker() -> Iterator[AlgebraChecker]:
    with AlgebraChecker() as checker:
        yield checker


@pytest.mark.parametrize(
    ("step", "finding"),
    [
        (r"\[ \sqrt{8} = 2\sqrt{2} \]", Finding.TRUE),
        (r"\( \sqrt{8} + \sqrt{2} = \sqrt{10} \)", Finding.FALSE),
        (r"$\pi \cdot 3^2 = 6\pi$", Finding.FALSE),
        (r"$p = (x+1)^2 = x^2+2x+1$", Finding.TRUE),
        (r"$p = (x+1)^2 = x^2+2x+2$", Finding.FALSE),
        (r"$\sqrt{2} = 1.41$", Finding.UNCHECKED),
        (r"$\sin 30 = 1 / 2$", Finding.UNCHECKED),
        (r"$\log 100 = 2$", Finding.UNCHECKED),
        (r"$2\frac{\pi}{2} = 3\pi$", Finding.UNCHECKED),
        ("3 + 4 = 8", Finding.FALSE),
        (r"$2(3\sqrt{7})^2 = 2(63)$", Finding.TRUE),
        (r"$\frac{4}{3} \pi \cdot 3.375 = 4.5 \pi \text{ cm}^3$", Finding.TRUE),
        (r"$x = (\sqrt{P})^m (-\sqrt{P})^{k-m} = (\sqrt{P})^k (-1)^{k-m}$", Finding.UNCHECKED),
    ],
)
def test_formulas_are_compared(checker: AlgebraChecker, step: str, finding: Finding) -> None:
    assert checker.check_now(step)[-1].finding is finding


@pytest.mark.parametrize("step", ["So $x^2 + 1 = 2x$.", r"$f(x) = x^2 = 4$", r"$y = 2x = 3z$"])
def test_equations_are_no_identities(checker: AlgebraChecker, step: str) -> None:
    assert Finding.FALSE not in {each.finding for each in checker.check_now(step)}


def test_a_formula_that_takes_too_long_is_unchecked_and_the_next_one_is_compared() -> None:
    with AlgebraChecker(cpu_s=1.0) as checker:
        (endless,) = asyncio.run(checker.check(r"$9^{9^{9^{9^9}}} + \sqrt{2} = 3 + 1$"))
        assert endless.finding is Finding.UNCHECKED
        assert checker.check_now(r"$\sqrt{8} = 2\sqrt{2}$")[0].finding is Finding.TRUE
