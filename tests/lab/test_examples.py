import pytest

from steproute.core.errors import DatasetError
from steproute.lab.examples import sentence_of, sentence_steps, training_pairs
from steproute.lab.story import Story, generate


def test_each_step_stands_with_the_sentence_of_its_label() -> None:
    story = Story.parse(next(generate("test")).text)
    pairs = sentence_steps(story)
    assert [step for _, step in pairs] == story.solution()
    for sentence, step in pairs:
        assert sentence.split()[0] == step.split()[0]
        assert sentence.split(" ", 1)[1] in story.text


def test_a_step_without_a_sentence_is_refused() -> None:
    story = Story.parse(next(generate("test")).text)
    for step in ("(20) Ben has 3.", "Ben has 3."):
        with pytest.raises(DatasetError, match="works on no sentence"):
            sentence_of(story, step)


def test_training_pairs_are_the_same_each_time_and_of_training_stories() -> None:
    pairs = training_pairs(50)
    assert len(pairs) == 50
    assert pairs == training_pairs(60)[:50]
