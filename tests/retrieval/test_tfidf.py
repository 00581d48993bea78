import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steproute.retrieval.tfidf import TextIndex, terms_of

TEXTS = ["Ben 20 + 4 = 24.", "Mia 4 + 20 = 24.", "Leo 7 * 3 = 21.", "no number here"]


def test_single_digits_and_signs_are_terms_and_pairs_keep_their_order() -> None:
    assert {"+", "4", "=", "20 +", "+ 4"} <= set(terms_of("20 + 4 = 24"))
    assert "4 +" not in terms_of("20 + 4 = 24")


def test_the_same_text_is_nearest_at_similarity_1() -> None:
    index = TextIndex.of(TEXTS)
    for place, text in enumerate(TEXTS):
        similarities = index.similarities(text)
        assert similarities.argmax() == place
        assert similarities[place] == pytest.approx(1.0, abs=1e-6)


def test_a_wrong_result_still_finds_its_calculation() -> None:
    assert TextIndex.of(TEXTS).similarities("Ada 20 + 4 = 23.").argmax() == 0


def test_words_that_no_text_holds_lower_every_similarity() -> None:
    index = TextIndex.of(TEXTS)
    assert index.similarities("7 * 3 = 21 quite unheard of").max() < index.similarities("7 * 3 = 21").max()
    np.testing.assert_array_equal(index.similarities("zebra"), np.zeros(4))


words = st.lists(st.sampled_from(["a", "b", "7", "+", "="]), max_size=8).map(" ".join)


@given(st.lists(words, min_size=1, max_size=6), words)
def test_similarities_are_those_of_dense_vectors(texts: list[str], query: str) -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    found = TextIndex.of(texts).similarities(query)
    assert ((found >= 0) & (found <= 1 + 1e-6)).all()
    held = {term for text in texts for term in terms_of(text)}
    if held and set(terms_of(query)) <= held:
        dense = TfidfVectorizer(analyzer=terms_of).fit(texts)
        expected = (dense.transform(texts) @ dense.transform([query]).T).toarray()[:, 0]
        np.testing.assert_allclose(found, expected, atol=1e-5)
