"""How solutions state their answers: one rule each for boxes, sentences, letters, and none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steproute.core.answer_rule import BOXED, CHOICE, FINAL_LINE, NONE, RULES, rule_named
from steproute.core.boxed import closed_boxed
from steproute.core.choice import choice
from steproute.core.errors import ConfigError
from steproute.core.final_line import final_line

STATED = {
    "So the final answer is 210.": "210",
    "Final answer: 210": "210",
    "The answer is **210**.": "210",
    "#### 210": "210",
    "**Final Answer:** 210": "210",
    "### Final Answer\n\n210": "210",
    "**Final Answer**\n\n$\\boxed{210}$": "210",
    "So the answer is:\n\n210": "210",
    "Answer:\n210": "210",
    "The answer is:\n\\[\n\\boxed{7}\n\\]": "7",
    "Therefore, the answer is $210.": "$210",
    "The answer is $210$.": "210",
    "Answer: 210 apples": "210 apples",
    "answer = 12": "12",
    "Final answer - 12": "12",
    "Here is the answer: 12": "12",
    "So, the answer would be 3.5.": "3.5",
    "The correct answer is 12%.": "12%",
    "The final result is 9.": "9",
    "This gives a final answer of 210.": "210",
    "The answer to the question is 7.": "7",
    "Thus, our final answer is: \\boxed{42}": "42",
    "The answer is therefore 12.": "12",
    "The answer is approximately 3.14.": "3.14",
    "The answer is -3/4": "-3/4",
    "We conclude that the answer is 1,234.": "1,234",
    "Adding gives 12 + 5 = 17, which means the answer is 17.": "17",
    "If each costs 5, then 3 cost 15, so the answer is 15.": "15",
    "Since x is not zero, the answer is 5.": "5",
    "I think the answer is 5.": "5",
    "210 is the final answer.": "210",
    "So 210 is the answer.": "210",
    "We get 210 as the final answer.": "210",
    "The answer is 5. The answer is 6.": "6",
    "The answer is 5. Let me check it.": "5",
    "The answer is 3 + 4 = 7.": "3 + 4 = 7",
    "The answer is x = 5.": "x = 5",
    "The answer is (2, 3).": "(2, 3)",
    "The answers are 2 and 3.": "2 and 3",
    "The final answer is 3 hours and 20 minutes.": "3 hours and 20 minutes",
    "The answer is Paris.": "Paris",
    "The answer is St. Louis.": "St. Louis",
    'The answer is "blue".': "blue",
    "The answer is yes.": "yes",
    "The answer, as an integer from 0 to 18, inclusive, is 9.": "9",
    "So the answer is approximately:\n\\[ \\frac{3}{8} \\]": "\\frac{3}{8}",
    "Final answer: x**2 + y**2": "x**2 + y**2",
    "Final answer: $5!$": "5!",
    "The answer is `snake__case__name`.": "snake__case__name",
    "**Final Answer:**210": "210",
    "Final answer: the blue car": "the blue car",
    "Final answer: Dr. Smith. He did it.": "Dr. Smith. He did it",
    "\\boxed{5}": "5",
}
NOT_STATED = [
    "",
    "5",
    "x = 5",
    "The result is 5.",
    "the answer is not 5",
    "The answer isn't 5.",
    "The answer cannot be 5.",
    "It is not true that the answer is 5.",
    "Is the answer 5?",
    "The answer is 5?",
    "The answer is 5, right?",
    "What is the answer?",
    "if the answer is 5 then 2x = 10",
    "If the answer is 5, x is 6.",
    "Suppose the answer is 5.",
    "When the answer is 5, stop.",
    "Whether the answer is 5 or 6 depends on x.",
    "The answer is 5 if x is 2.",
    "The answer is 5, but wait",
    "Let's check that the answer is 5.",
    "To find the answer: 3 * 5 = 15",
    "Let us compute the answer: 3 * 5",
    "The wrong answer is 5.",
    "Tom's answer is 5.",
    "Previous answer: 5",
    "The intermediate answer is 5.",
    "The answer to part (a) is 5.",
    "The answer to the first part is 5.",
    "The answer to the first question is 5.",
    "The answer is the sum of these.",
    "The answer, if x is 5, is 6 times as large, of course.",
    "The answer is an integer.",
    "The answer is correct.",
    "The answer is in the form a/b.",
    "The answer is 3 times the number of cows.",
    "We know the answer is a multiple of 5.",
    "We want the answer in dollars.",
    "I was told that the answer is 5 and not 6.",
    "Final answer: ANSWER",
    "Final answer: that depends" + " on what is given" * 10,
    "Final answer: <answer>",
    "#### Step 1: Compute",
    "#### Conclusion",
]
CHOSEN = {
    "(B)": "B",
    "B": "B",
    "**B**": "B",
    "#### B": "B",
    "The answer is B.": "B",
    "The answer is (B) 12 apples.": "B",
    "The answer is B, because A is wrong.": "B",
    "Final answer: c": "C",
    "Final answer: (A)": "A",
    "Answer: A) 5": "A",
    "\\boxed{B}": "B",
    "\\boxed{\\text{(C)}}": "C",
    "$\\boxed{\\textbf{(E)}\\ 7}$": "E",
    "So the correct option is (D).": "D",
    "The best choice is E: none": "E",
    "Therefore, option B is correct.": "B",
    "Thus B is the correct answer.": "B",
    "(A) is tempting.\nThe answer is B.\nThe answer is C.": "C",
}
NOT_CHOSEN = [
    "",
    "Option (B) is wrong because",
    "(A) 5\n(B) 6\n(C) 7",
    "A good idea is needed.",
    "If the answer is B then",
    "If B is correct, then A is too.",
    "The answer is not B.",
    "B is not correct.",
    "Is B correct?",
    "The answer is I don't know",
    "The answer is a good one.",
    "\\boxed{12}",
]
BEFORE = ["", "So ", "Therefore, ", "Thus ", "2 + 3 = 5, so ", "Hence, ", "We add, and therefore "]
SUBJECT = ["the answer", "the final answer", "our final answer", "the correct answer", "the answer to the question"]
VERB = [" is ", " is: ", " would be ", " equals ", " must be "]
DRESS = ["{}", "**{}**", "${}$", "\\boxed{{{}}}", "$\\boxed{{{}}}$", "`{}`"]
number = st.one_of(
    st.integers(-(10**12), 10**12).map(str),
    st.integers(0, 10**9).map("{:,}".format),
    st.floats(0, 1e6).map("{:.3f}".format),
)
any_text = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.mark.parametrize(("text", "answer"), STATED.items())
def test_a_sentence_or_a_line_states_the_answer(text: str, answer: str) -> None:
    assert final_line(text) == answer
    assert final_line(f"First we add 2 and 3.\n\n{text}") == answer


@pytest.mark.parametrize("text", NOT_STATED)
def test_what_only_mentions_an_answer_states_none(text: str) -> None:
    assert final_line(text) is None
    if text:
        assert final_line(f"The answer is 77.\n{text}") == "77"


@given(st.sampled_from(BEFORE), st.sampled_from(SUBJECT), st.sampled_from(VERB), st.sampled_from(DRESS), number)
def test_every_number_that_is_stated_is_found(before: str, subject: str, verb: str, dress: str, value: str) -> None:
    sentence = f"{before}{subject}{verb}{dress.format(value)}."
    assert final_line(sentence[0].upper() + sentence[1:]) == value


@given(
    st.sampled_from(SUBJECT), number, st.sampled_from(["if {}", "Is it true that {}?", "Suppose {}.", "When {}, stop."])
)
def test_no_condition_and_no_question_states_an_answer(subject: str, value: str, around: str) -> None:
    assert final_line(around.format(f"{subject} is {value}")) is None
    assert final_line(f"{subject} is not {value}") is None


@given(st.lists(number, min_size=1, max_size=4))
def test_the_last_statement_counts(values: list[str]) -> None:
    assert final_line("\n\n".join(f"The answer is {value}." for value in values)) == values[-1]


@given(any_text, st.sampled_from(["Final answer: {}", "#### {}", "{} is the answer.", "(A) {}", "{}"]))
def test_any_text_is_read_without_an_error(text: str, around: str) -> None:
    for rule in RULES.values():
        found = rule.find(around.format(text))
        assert found is None or isinstance(found, str)


@pytest.mark.parametrize(("text", "letter"), CHOSEN.items())
def test_a_letter_is_chosen(text: str, letter: str) -> None:
    assert choice(text) == letter
    assert choice(f"(A) 5\n(B) 6\n\n{text}") == letter


@pytest.mark.parametrize("text", NOT_CHOSEN)
def test_options_that_are_only_discussed_are_not_chosen(text: str) -> None:
    assert choice(text) is None


@given(any_text)
def test_boxes_are_read_as_ever_and_without_a_rule_nothing_is(text: str) -> None:
    assert BOXED.find(text) == closed_boxed(text)
    assert NONE.find(text) is None


def test_only_the_boxed_rule_speaks_of_boxes() -> None:
    assert "\\boxed{answer}" in BOXED.instructions
    for rule in (FINAL_LINE, CHOICE, NONE):
        assert "boxed" not in rule.instructions + rule.form
    for rule in (FINAL_LINE, CHOICE):
        assert rule.find(f"{rule.instructions}\nFinal answer: ANSWER") is None


def test_an_unknown_rule_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="answer.rule: 'box' is unknown. Use one of boxed, final_line, choice, none"):
        rule_named("box")
