"""A piece that came twice is found by the server's counts, and counts that do not add up are no second piece."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.backends.test_openai_server import Canned, ask, text_chunk

from steproute.backends.http.repeats import Repeats
from steproute.core.errors import BackendUnavailable

TEXTS = ["so ", "the ", "answer ", "is ", "\\boxed{5}."]


def stream(texts: list[str], counts: list[int | None], final: int | None, finish: str = "stop") -> Canned:
    def used(count: int | None) -> dict[str, Any]:
        counted = {"prompt_tokens": 9, "completion_tokens": count, "total_tokens": 9 + (count or 0)}
        return {} if count is None else {"usage": counted}

    chunks = [{**text_chunk(text), **used(count)} for text, count in zip(texts, counts, strict=True)]
    return Canned([*chunks, {**text_chunk("", finish), **used(final)}])


@pytest.mark.parametrize("kind", ["vllm", "sglang"])
@pytest.mark.parametrize(
    ("counts", "final"),
    [
        ([1, 1, 1, 1, 1], 5),  # each piece alone
        ([0, 1, 2, 3, 4], 5),  # one behind
        ([0, 0, 1, 2, 3], 5),
        ([0, 0, 0, 0, 0], 5),
        ([1, 2, 3, 4, 5], 5),
        ([2, 4, 6, 8, 10], 11),
        ([1, 1, 3, 3, 5], 5),  # brought up to date now and then
        ([1, 2, 2, 3, 4], 5),
        ([1, 1, 1, 4, 4], 6),
        ([None, None, None, None, None], 5),
        ([None, 2, None, 4, None], 5),
        ([5, 5, 5, 5, 5], 5),
        ([1, 1, 2, 1, 1], 6),
    ],
)
def test_counts_that_lag_or_are_of_one_piece_fail_no_answer(kind: str, counts: list[int | None], final: int) -> None:
    for texts in (TEXTS, ["ha "] * 5):
        if texts != TEXTS and counts == [1, 2, 2, 3, 4]:
            continue  # here the same piece with the same count did come twice, as far as anyone can tell
        (draft,), _, meter = ask(stream(texts, counts, final), template="none", kind=kind)
        assert draft.text == "".join(texts).rstrip()
        assert (meter.total.output_tokens, meter.total.estimated) == (final, False)


@pytest.mark.parametrize(("counts", "tokens"), [([1, 1, 1, 1, 1], 5), ([2, 2, 2, 2, 2], 5)])
def test_where_even_the_end_count_is_of_one_piece_the_pieces_are_an_estimate(counts: list[int], tokens: int) -> None:
    (draft,), _, meter = ask(stream(TEXTS, [*counts], counts[0]), template="none")
    assert draft.text == "".join(TEXTS)
    assert (meter.total.input_tokens, meter.total.output_tokens, meter.total.estimated) == (9, tokens, True)


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize(
    "counts", [[1, 2, 3, 4, 5], [0, 1, 2, 3, 4], [None] * 5, [1, 1, 1, 1, 1], [1, 1, 3, 3, 5]], ids=str
)
def test_a_piece_that_came_twice_is_confirmed_by_the_end_count(counts: list[int | None], place: int) -> None:
    texts, counted = list(TEXTS), list(counts)
    texts.insert(place, texts[place])
    counted.insert(place, counted[place])
    with pytest.raises(BackendUnavailable, match="m: a piece came twice"):
        ask(stream(texts, counted, 5), template="none")


@pytest.mark.parametrize("place", range(1, 4))
def test_it_is_told_at_once_where_counts_kept_step_though_the_end_count_has_room(place: int) -> None:
    texts, counts = list(TEXTS), list(range(1, 6))
    texts.insert(place, texts[place])
    counts.insert(place, counts[place])
    with pytest.raises(BackendUnavailable, match="m: a piece came twice"):
        ask(stream(texts, [*counts], 7), template="none")


def test_pieces_smaller_than_a_token_are_no_second_piece() -> None:
    text = "hello, all letters alone"
    (draft,), _, meter = ask(stream(list(text), [None] * len(text), 6), template="none")
    assert draft.text == text
    assert (meter.total.output_tokens, meter.total.estimated) == (6, False)


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(1, 3)), max_size=30), st.integers(0, 3))
def test_pieces_of_one_token_or_more_are_never_found_by_a_right_count(
    pieces: list[tuple[str, int]], further: int
) -> None:
    repeats, count = Repeats(), 0
    for piece, tokens in pieces:
        count += tokens
        assert not repeats.take(piece, count)
    assert not repeats.confirmed_by(count + further)


@given(st.lists(st.sampled_from(["a", "b", "c"]), min_size=2, max_size=30), st.data())
def test_a_repeated_piece_is_found_by_a_count_of_one_token_each(pieces: list[str], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(pieces) - 1))
    repeats, sure = Repeats(), False
    for number, piece in enumerate(pieces):
        for _ in range(2 if number == place else 1):
            sure |= repeats.take(piece, number + 1)
    assert sure is (place > 0)
    assert repeats.confirmed_by(len(pieces))
