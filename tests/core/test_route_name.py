import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steproute.core.route_name import RouteName

names = st.from_regex(r"[a-z][a-z0-9_+-]*", fullmatch=True)


@given(
    strategy=names.filter(lambda name: name != "single"),
    settings=st.dictionaries(names, st.booleans() | st.integers(-9, 10**20) | st.floats(0, 9) | names, max_size=3),
    policy=names | st.sampled_from(["runs/my policy", "./a=b", "lab-agg"]),
    knob=st.floats(allow_nan=False),
)
def test_a_name_gives_its_parts_back(strategy: str, settings: dict[str, object], policy: str, knob: float) -> None:
    name = RouteName.of(strategy, settings, policy, knob)
    assert RouteName.parse(str(name)) == name


@given(
    st.dictionaries(
        names.map(lambda name: re.sub(r"\W", "_", name)),
        st.booleans() | st.integers() | st.floats(0, 9) | names.map("by-{}".format) | st.lists(names) | st.none(),
        max_size=4,
    )
)
def test_a_name_gives_the_values_of_its_settings_back(settings: dict[str, object]) -> None:
    name = RouteName.parse(str(RouteName.of("s", settings, "p", 0.5)))
    assert name is not None
    assert name.values == settings


def test_a_single_model_has_a_role_and_no_policy() -> None:
    name = RouteName.parse("single/weak")
    assert name == RouteName(strategy="single", role="weak")
    assert str(name) == "single/weak"


@pytest.mark.parametrize("text", ["", "readme", "a/b", "a/b=c", "/b=1"])
def test_a_name_of_another_form_has_no_parts(text: str) -> None:
    assert RouteName.parse(text) is None
