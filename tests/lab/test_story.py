from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steproute.core.errors import ConfigError, DatasetError
from steproute.lab.story import DIFFICULTIES, MAX_VALUE, Story, generate, is_lab, write_story
from steproute.lab.tokenizer import SEPARATOR, Tokenizer
from steproute.lab.wording import Op

seeds = st.integers(0, 2**32)
difficulties = st.sampled_from(sorted(DIFFICULTIES))


def story(seed: int, difficulty: str) -> Story:
    return write_story(np.random.default_rng(seed), DIFFICULTIES[difficulty])


@settings(max_examples=100, deadline=None)
@given(seed=seeds, difficulty=difficulties)
def test_a_story_is_read_back_from_its_text(seed: int, difficulty: str) -> None:
    written = story(seed, difficulty)
    read = Story.parse(written.text)
    assert (read.text, read.answer, read.solution()) == (written.text, written.answer, written.solution())


@settings(max_examples=100, deadline=None)
@given(seed=seeds, difficulty=difficulties)
def test_every_value_lies_in_range_and_every_relevant_sentence_is_needed(seed: int, difficulty: str) -> None:
    written = story(seed, difficulty)
    values: dict[str, int] = {}
    for sentence in written.relevant:
        values[sentence.x] = sentence.value(values)
        assert 1 <= values[sentence.x] <= MAX_VALUE
    needed, people = [], {written.asked}
    for sentence in reversed(written.relevant):
        assert sentence.x in people
        needed.append(sentence)
        if sentence.op not in (Op.GAIN, Op.LOSE, Op.GROW, Op.SHARE):
            people.discard(sentence.x)
        people |= {sentence.y, sentence.z} - {""}
    assert not people
    assert 3 <= len(needed) <= 12


@settings(max_examples=100, deadline=None)
@given(seed=seeds, difficulty=difficulties)
def test_the_tokenizer_gives_every_lab_text_back(seed: int, difficulty: str) -> None:
    written, tokenizer = story(seed, difficulty), Tokenizer()
    for text in (written.text, SEPARATOR.join(written.solution())):
        assert tokenizer.decode(tokenizer.encode(text)) == text


@given(ids=st.lists(st.integers(2, len(Tokenizer()) - 1)))
def test_any_token_sequence_survives_its_text(ids: list[int]) -> None:
    tokenizer = Tokenizer()
    assert tokenizer.encode(tokenizer.decode(ids)) == ids


def test_the_splits_share_no_text() -> None:
    texts = [
        {problem.text for seed in range(3) for problem in islice(generate(split, seed, "easy"), 150)}
        for split in ("train", "validation", "test")
    ]
    assert not texts[0] & texts[1]
    assert not texts[0] & texts[2]
    assert not texts[1] & texts[2]


def test_a_seed_gives_the_same_problems_again() -> None:
    assert list(islice(generate("test", 7), 5)) == list(islice(generate("test", 7), 5))
    assert list(islice(generate("test", 7), 5)) != list(islice(generate("test", 8), 5))


def test_unknown_words_splits_and_difficulties_are_named() -> None:
    with pytest.raises(DatasetError, match="'zebra' is not in the lab's vocabulary"):
        Tokenizer().encode("zebra")
    with pytest.raises(ConfigError, match="'dev' is unknown"):
        next(generate("dev"))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="'brutal' is unknown"):
        next(generate("test", 0, "brutal"))


@pytest.mark.parametrize(
    "text",
    [
        "What is 2 + 2?",
        "(1) Ann has 3 apples. How many apples does Ann have now?",
        "(1) Ben has 3 apples. (2) The end is near. How many apples does Ben have now?",
        "(1) Ben has 3 apples.",
        "(1) Ben has 3 more apples than Mia. How many apples does Ben have now?",
        "(1) Ben has 3 apples. How many apples does Mia have now?",
    ],
)
def test_a_text_that_is_no_lab_problem_is_refused(text: str) -> None:
    with pytest.raises(DatasetError, match="lab problem"):
        Story.parse(text)


@pytest.mark.parametrize(
    ("sentences", "message"),
    [
        ("(1) Ben has 3000 apples.", "brings in 3000. The lab's models know whole numbers from 1 to 99"),
        ("(1) Ben has 0 apples.", "brings in 0"),
        ("(1) Ben has 90 apples. (2) Ben buys 12 more apples.", "brings in 102"),
        ("(1) Ben has 9 apples. (2) Ben gives away 9 apples.", "brings in 0"),
        ("(1) Ben has 9 apples. (2) Now Ben multiplies the apples by 12.", "brings in 108"),
        ("(1) Ben has 9 apples. (2) Now Ben keeps one of 2 equal shares.", "divides 9 by 2, which leaves a rest"),
        ("(1) Ben has 9 apples. (2) Now Ben keeps one of 0 equal shares.", "brings in 0"),
    ],
)
def test_numbers_that_the_lab_cannot_write_are_refused(sentences: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        Story.parse(f"{sentences} How many apples does Ben have now?")


@pytest.mark.parametrize("data", ["lab", "lab:train", "lab:test/hard"])
def test_names_of_the_lab_are_known(data: str) -> None:
    assert is_lab(data)


@pytest.mark.parametrize("data", ["lab.jsonl", "lab_own.jsonl", "labelled.jsonl", "./lab:1.jsonl", "trim-world"])
def test_files_are_not_the_lab(data: str) -> None:
    assert not is_lab(data)
