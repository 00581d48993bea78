"""Sentences that choose a letter, and sentences and lines that only mention one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steproute.core.choice import choice, letter_of

CHOSEN = {
    "A": "A",
    "B.": "B",
    "(b)": "B",
    "[c]": "C",
    "**(D)**": "D",
    "#### B": "B",
    "$\\boxed{b}$": "B",
    "\\boxed{\\text{B}}": "B",
    "\\boxed{C. 12 apples}": "C",
    "Answer: b": "B",
    "Answer: b) 12": "B",
    "Final answer: c.": "C",
    "Final Answer\n\nb": "B",
    "**Answer:**\nOption B": "B",
    "The answer is b.": "B",
    "The answer is option b.": "B",
    "The answer is option (C).": "C",
    "The answer is (a) twelve.": "A",
    "The answer is B - 12 apples.": "B",
    "The answer is B (12 apples).": "B",
    "The answer is B: 12 apples, and C is wrong.": "B",
    "The answer is B, and C is wrong.": "B",
    "The answer is B, a prime number.": "B",
    "The answer is B, I think.": "B",
    "The correct choice is E.": "E",
    "The correct answer is option C, i.e., 12.": "C",
    "Option b is correct.": "B",
    "Thus option (B) is correct.": "B",
    "B is correct.": "B",
    "So B is correct.": "B",
    "So B is the answer.": "B",
    "(B) is the best answer.": "B",
    "We conclude that B is right.": "B",
    "A is wrong, so B is correct.": "B",
    "A is wrong but B is correct.": "B",
    "Only B is correct.": "B",
    "Neither A nor C fits, so B is correct.": "B",
    "Statement 1 is true, so B is correct.": "B",
    "Some might pick A, but the answer is B.": "B",
}
NOT_CHOSEN = [
    "Neither A nor B is correct.",
    "Neither option A nor option B is the correct answer.",
    "None of A, B, or C is correct.",
    "None of A or B is correct.",
    "It is unlikely that B is correct.",
    "It is possible that B is correct.",
    "Either A or B is correct.",
    "A or B is correct.",
    "Exactly one of A and B is correct.",
    "A is correct and B is correct.",
    "Perhaps B is correct.",
    "One might think that B is correct.",
    "Tom says B is correct.",
    "Tom says that B is correct.",
    "At first sight B is correct.",
    "B is correct only if x > 2.",
    "The answer is (A) or (B).",
    "The answer is (A), (B) or (C).",
    "The answer is A, or maybe B.",
    "The answer is a, or maybe b.",
    "The answer is A/B.",
    "The correct options are A and C.",
    "The answer is (A) and (C).",
    "Answer: A, C",
    "Answer: A or B",
    "\\boxed{A, B}",
    "The answer is A, if x is 2.",
    "The answer is B, but wait.",
    "Answer: (A) is wrong.",
    "The answer is x - 3.",
    "The answer is x, where x is 3.",
    "The answer is a (very) long one.",
    "The answer is a - rather large - number.",
    "x",
    "b",
    "a)",
    "y.",
    "So b is correct.",
    "Statement A is correct.",
    "Statement (A) is correct.",
    "Student B is right.",
    "Person C is the best.",
    "Box D is the right one.",
    "Machine A is the best choice.",
    "We know that Statement A is correct.",
    "Statement A is false and B is correct.",
    "Equation (B) is correct.",
    "Option A:",
    "**Option A:**",
    "### Option A",
    "### A",
    "A:",
    "A)",
    "The best answer is a good one.",
]
CLAIMS = ["The answer is {}.", "Final answer: {}", "The correct option is {}", "So the answer is {}."]
LABELS = ["{}", "({})", "[{}]", "option {}"]


@pytest.mark.parametrize(("text", "letter"), CHOSEN.items())
def test_a_claim_chooses_a_letter(text: str, letter: str) -> None:
    assert choice(text) == letter
    assert choice(f"(A) 5\n(B) 6\n\n{text}") == letter


@pytest.mark.parametrize("text", NOT_CHOSEN)
def test_a_letter_that_is_only_mentioned_is_no_answer(text: str) -> None:
    assert choice(text) is None
    assert choice(f"The answer is D.\n{text}") == "D"


@given(
    st.sampled_from(CLAIMS),
    st.sampled_from(LABELS),
    st.lists(st.sampled_from("ABCDE"), min_size=2, max_size=4, unique=True),
    st.sampled_from([" or ", ", ", "/", " and ", ", or "]),
)
def test_one_letter_is_chosen_and_several_are_not(claim: str, label: str, letters: list[str], joined: str) -> None:
    labels = [label.format(letter) for letter in letters]
    assert choice(claim.format(labels[0])) == letters[0]
    assert choice(claim.format(labels[0].lower())) == letters[0]
    assert choice(claim.format(joined.join(labels))) is None


@given(st.sampled_from("ABCDE"), st.sampled_from(["Statement", "Student", "Box", "Town", "Team", "Figure", "Plan"]))
def test_a_thing_with_a_letter_is_no_option(letter: str, noun: str) -> None:
    for ending in ("is correct", "is the best", "is the right one", "is the answer"):
        assert choice(f"{noun} {letter} {ending}.") is None
        assert choice(f"The {noun.lower()} {letter} {ending}.") is None


def test_a_grader_reads_one_letter_of_an_answer_in_either_case() -> None:
    for answer in ("b", "B", "(b)", "b.", "b) 12", "B: 12 apples", "B - 12 apples", "option b", "\\text{b}"):
        assert letter_of(answer) == "B"
    for answer in ("A, B", "A or B", "a/b", "x - 3", "a (very) long one", "12", "apple", ""):
        assert letter_of(answer) is None
