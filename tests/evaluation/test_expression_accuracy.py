import pytest
from hypothesis import given
from hypothesis import strategies as st

from steproute.core.errors import DatasetError
from steproute.evaluation.expression_accuracy import Expression, ExpressionGraph, expression_accuracy

REFERENCE = "The eggs left are 16 - 3 - 4 = 9.\nEach day she makes 9 * 2 = 18.\nA week has 18 * 7 = 126."


@st.composite
def graphs(draw: st.DrawFn) -> ExpressionGraph:
    count = draw(st.integers(1, 8))
    needs = [draw(st.sets(st.integers(0, place - 1), max_size=3)) if place else set() for place in range(count)]
    given_ones = [*draw(st.lists(st.booleans(), min_size=count - 1, max_size=count - 1)), False]
    return ExpressionGraph(
        tuple(
            Expression(f"x_{place} + y", tuple(sorted(needed)), given)
            for place, (needed, given) in enumerate(zip(needs, given_ones, strict=True))
        )
    )


def solution_of(graph: ExpressionGraph, count: int) -> str:
    return "\n".join(expression.text for expression in graph.expressions[:count])


@given(graphs())
def test_the_reference_has_1_the_empty_solution_0_and_each_step_cut_from_the_end_never_adds(
    graph: ExpressionGraph,
) -> None:
    shares = [expression_accuracy(graph, solution_of(graph, count)) for count in range(len(graph.expressions) + 1)]
    assert shares[0] == 0
    assert shares[-1] == 1
    assert shares == sorted(shares)


def test_a_result_counts_with_all_from_which_it_follows_and_what_is_given_does_not() -> None:
    graph = ExpressionGraph(
        (Expression("a", given=True), Expression("a+b", (0,)), Expression("2(a+b)", (1,)), Expression("c", ()))
    )
    assert expression_accuracy(graph, "so 2 (a + b)") == pytest.approx(2 / 3)
    assert expression_accuracy(graph, "a") == 0
    assert expression_accuracy(graph, "", correct=True) == 1


def test_a_graph_of_a_solution_finds_which_results_are_used() -> None:
    graph = ExpressionGraph.of_solution(REFERENCE)
    assert [expression.text for expression in graph.expressions] == ["16 - 3 - 4", "9 * 2", "18 * 7"]
    assert [expression.needs for expression in graph.expressions] == [(), (0,), (1,)]
    assert expression_accuracy(graph, REFERENCE) == 1


def test_an_equal_value_in_other_words_occurs_and_a_part_of_a_number_does_not() -> None:
    graph = ExpressionGraph.of_solution(REFERENCE)
    assert expression_accuracy(graph, "16 - 7 = 9 eggs") == pytest.approx(1 / 3)
    assert expression_accuracy(graph, "2 * 9 = 18 dollars") == pytest.approx(2 / 3)
    assert expression_accuracy(graph, "room 118 * 77") == 0


def test_a_graph_that_cannot_be_is_refused() -> None:
    with pytest.raises(DatasetError, match="only earlier ones"):
        ExpressionGraph((Expression("a", (0,)),))
    with pytest.raises(DatasetError, match="no expression"):
        ExpressionGraph.of_solution("It is nine.")
