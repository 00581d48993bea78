"""The automaton of PATS: modes step down one at a time and up at once, and a bad step is drawn again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.strategies.test_baselines import seen

from steproute import Accept, Rewrite
from steproute.core.errors import ConfigError
from steproute.policies.modes import Modes, RandomModes, Turn

SIMPLE, MEDIUM, COMPLEX = range(3)


@pytest.mark.parametrize(
    ("score", "mode", "redraws", "turn"),
    [
        (0.9, COMPLEX, 0, Turn(accept=True, mode=MEDIUM)),
        (0.85, MEDIUM, 0, Turn(accept=True, mode=SIMPLE)),
        (0.99, SIMPLE, 0, Turn(accept=True, mode=SIMPLE)),
        (0.8, MEDIUM, 0, Turn(accept=True, mode=MEDIUM)),
        (0.74, SIMPLE, 0, Turn(accept=True, mode=COMPLEX)),
        (0.39, SIMPLE, 0, Turn(accept=False, mode=COMPLEX, redraws=1)),
        (0.39, COMPLEX, 1, Turn(accept=True, mode=COMPLEX)),
        (0.9, COMPLEX, 1, Turn(accept=True, mode=MEDIUM)),
    ],
)
def test_the_automaton_follows_the_paper(score: float, mode: int, redraws: int, turn: Turn) -> None:
    assert Modes().next(seen(score), mode, COMPLEX, redraws) == turn


@given(score=st.floats(0, 1), mode=st.integers(0, 2), redraws=st.integers(0, 3), shift=st.floats(-5, 5))
def test_a_higher_shift_never_leads_to_a_simpler_mode(score: float, mode: int, redraws: int, shift: float) -> None:
    one, other = (Modes(each).next(seen(score), mode, COMPLEX, redraws) for each in (shift, shift + 1))
    assert other.mode >= one.mode
    assert one.accept or not other.accept


@given(score=st.floats(0, 1), mode=st.integers(0, 2), penalties=st.integers(0, 4))
def test_a_step_is_accepted_after_its_penalties_at_the_latest(score: float, mode: int, penalties: int) -> None:
    policy, redraws = Modes(penalties=penalties), 0
    while not (turn := policy.next(seen(score), mode, COMPLEX, redraws)).accept:
        mode, redraws = turn.mode, turn.redraws
    assert redraws <= penalties


def test_as_a_policy_of_one_step_it_has_a_bad_one_written_again() -> None:
    assert Modes().decide(seen(0.3)) == Rewrite("weak")
    assert Modes().decide(seen(0.4)) == Accept()


def test_random_modes_follow_their_rate_and_no_score() -> None:
    modes = [RandomModes(0.5).next(seen(0.0, f"p{i}"), 0, COMPLEX, 0).mode for i in range(400)]
    assert modes == [RandomModes(0.5).next(seen(1.0, f"p{i}"), 2, COMPLEX, 0).mode for i in range(400)]
    assert 0.9 < sum(modes) / 400 < 1.1
    assert RandomModes(0.0).next(seen(0.0), COMPLEX, COMPLEX, 0).mode == SIMPLE
    assert RandomModes(1.0).next(seen(0.0), SIMPLE, COMPLEX, 0).mode == COMPLEX


@pytest.mark.parametrize("thresholds", [{"bad": 0.9}, {"good": 0.5}, {"low": 1.2, "good": 1.3}, {"penalties": -1}])
def test_thresholds_out_of_order_are_refused(thresholds: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        Modes(**thresholds)  # type: ignore[arg-type]


def test_a_shift_of_any_size_is_a_knob() -> None:
    assert [Modes(shift=shift).next(seen(0.5), SIMPLE, COMPLEX, 0).accept for shift in (-2000.0, 2000.0)] == [
        True,
        False,
    ]
