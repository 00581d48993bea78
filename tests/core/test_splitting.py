import pytest
from hypothesis import given
from hypothesis import strategies as st

from steproute.core.errors import ConfigError
from steproute.core.splitting import join_steps, split_steps


@given(text=st.text(alphabet="ab\n. "), separator=st.sampled_from(["\n\n", "\n", ". ", "###"]))
def test_splitting_gives_any_text_back(text: str, separator: str) -> None:
    steps = split_steps(text, separator)
    assert join_steps(steps, separator) == text
    assert not any(separator in step for step in steps)


@given(text=st.text())
def test_splitting_gives_any_unicode_text_back(text: str) -> None:
    assert join_steps(split_steps(text, "\n\n"), "\n\n") == text


def test_an_empty_separator_is_refused() -> None:
    with pytest.raises(ConfigError, match="separator: is empty"):
        split_steps("text", "")
