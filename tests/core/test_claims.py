"""Sentences that claim an answer, and sentences and headings that only mention one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steproute.core.final_line import final_line

CLAIMS = {
    "#### 18": "18",
    "#### 1": "1",
    "#### -3.5": "-3.5",
    "#### $18": "$18",
    "#### 18 dollars": "18 dollars",
    "#### 12 m": "12 m",
    "#### 25 %": "25 %",
    "#### 1,234": "1,234",
    "#### 3/4": "3/4",
    "#### $\\frac{3}{4}$": "\\frac{3}{4}",
    "#### \\boxed{7}": "7",
    "#### 18.": "18",
    "I think the answer is 5.": "5",
    "We think that the answer is 5.": "5",
    "I believe the answer is 5.": "5",
    "I would say that the answer is 5.": "5",
    "It is safe to say that the answer is 5.": "5",
    "It is easy to see that the answer is 5.": "5",
    "This shows that the answer is 5.": "5",
    "We can conclude that the answer is 5.": "5",
    "4 is wrong, so the answer is 5.": "5",
    "Some might think it is 4, but the answer is 5.": "5",
    "Some think that it is 4 but the answer is 5.": "5",
    "Neither 3 nor 4 works, so the answer is 5.": "5",
    "It would be a mistake to stop here; the answer is 5.": "5",
    "Correcting the mistake, the answer is 5.": "5",
    "If x is wrong, y is right, therefore the answer is 5.": "5",
    "The smallest possible value shows that the answer is 5.": "5",
    "By elimination the answer is 5.": "5",
    "Written in simplest form the answer is 3/4.": "3/4",
    "Final answer: first": "first",
    "Answer: First National Bank": "First National Bank",
    "In this case, the answer is 5.": "5",
    "In both cases the answer is 5.": "5",
    "After some algebra, the answer is 5.": "5",
    "Some algebra shows that the answer is 5.": "5",
    "As expected, the answer is 5.": "5",
    '"The answer is 5."': "5",
    "We find that 5 is the answer.": "5",
    "So x = 5 is the answer.": "5",
    "The answer is 5 hours.": "5 hours",
    "The answer is Monday.": "Monday",
    "The answer is x = 5 or x = -5.": "x = 5 or x = -5",
    "Answer: Tom and Jerry": "Tom and Jerry",
    "Answer:\nthe red car": "the red car",
    "Final answer: 1) apples, 2) pears": "1) apples, 2) pears",
}
MENTIONS = [
    "#### 1. Find the cost",
    "#### 1. Compute the total",
    "#### 2) Total",
    "#### 3: Check",
    "#### 1. 5 apples cost",
    "#### 1. $x$",
    "#### **1. Find the cost**",
    "#### 2 Setup",
    "#### 1.1 Setup",
    "#### 3 Compute the total",
    "#### Step 1",
    "Answer:\n1. Compute the total",
    "The answer is:\n1. Compute the total",
    "Final answer: let me check again",
    "Answer: Let's think step by step.",
    "Answer: To solve this, we first add 3 and 4.",
    "Answer: We need the total.",
    "Answer:\nLet us add them.",
    "Answer:\nStep 1: add them",
    "One might think the answer is 5.",
    "One may think that the answer is 5.",
    "You might say the answer is 5.",
    "Some would say that the answer is 12.",
    "Some people think the answer is 5.",
    "Many students believe that the answer is 5.",
    "Tom says the answer is 5.",
    "Her brother said that the answer is 5.",
    "He wrote that the answer is 5.",
    "Let us say the answer is 5.",
    "It would be a mistake to say the answer is 5.",
    "We would be mistaken to say the answer is 5.",
    "It is wrong that the answer is 5.",
    "It is incorrect to say that the answer is 5.",
    "It is false that the answer is 5.",
    "He wrongly states that the answer is 5.",
    "It is unlikely that the answer is 5.",
    "It is possible that the answer is 5.",
    "It is impossible that the answer is 5.",
    "Perhaps the answer is 5.",
    "Maybe the answer is 5.",
    "I hope the answer is 5.",
    "I suspect the answer is 5.",
    "I am unsure that the answer is 5.",
    "It is tempting to say the answer is 5.",
    "At first sight the answer is 5.",
    "We can rule out that the answer is 5.",
    "This contradicts that the answer is 5.",
    "We want to show that the answer is 5.",
    "We will prove that the answer is 5.",
    "In that case the answer is 5.",
    "In the first case, the answer is 5.",
    "For example, the answer is 5 here.",
    "Otherwise the answer is 5.",
    'End with a sentence such as "The answer is 5."',
    "Neither 3 nor 4 is the answer.",
    "Either 3 or 4 is the answer.",
    "3 or 4 is the answer.",
    "The product of 3 and 4 is the answer.",
    "The square of 4 is the answer.",
    "3 + 4 is the answer.",
    "Some think that 4 is the answer.",
    "It is unlikely that 4 is the answer.",
    "The answer is 24 hours divided by 3.",
    "The answer is 5, wrong as it looks.",
    "The answer is easy to find.",
    "The answer is based on this.",
    "The answer is hidden below.",
]
DOUBTS = [
    "It is {} that",
    "It may be {} that",
    "One might think that",
    "Nobody says that",
    "We hope that",
    "It is {} to say that",
]
DOUBTFUL = ["wrong", "incorrect", "a mistake", "unlikely", "false", "impossible", "doubtful", "not true", "possible"]


@pytest.mark.parametrize(("text", "answer"), CLAIMS.items())
def test_a_claim_is_an_answer(text: str, answer: str) -> None:
    assert final_line(text) == answer
    assert final_line(f"First we add 2 and 3.\n\n{text}") == answer


@pytest.mark.parametrize("text", MENTIONS)
def test_a_heading_a_plan_or_a_doubt_is_no_answer(text: str) -> None:
    assert final_line(text) is None
    assert final_line(f"The answer is 77.\n{text}") == "77"


@given(st.sampled_from(DOUBTS), st.sampled_from(DOUBTFUL), st.integers(0, 999), st.booleans())
def test_no_doubt_states_an_answer_but_what_follows_from_it_does(
    doubt: str, word: str, value: int, reversed_: bool
) -> None:
    claim = f"{value} is the answer" if reversed_ else f"the answer is {value}"
    assert final_line(f"{doubt.format(word)} {claim}.") is None
    assert final_line(f"{doubt.format(word)} x is odd, so {claim}.") == str(value)


@given(st.integers(0, 99), st.sampled_from([".", ")", ":"]), st.sampled_from(["Find it", "4 apples", "$x$", "total"]))
def test_a_numbered_heading_is_no_answer(number: int, sign: str, title: str) -> None:
    assert final_line(f"#### {number}{sign} {title}\n4 apples cost 8.") is None
