import numpy as np
import pytest

from steproute import Decision, Draft, Observation, Prefix, Problem, Step, Stop, Usage
from steproute.learn.plan import plan
from steproute.policies.pomdp import Pomdp
from steproute.policies.step_pomdp import StepPomdp

SHARP = np.zeros((3, 2, 2))
SHARP[0] = [[0.0, 0.0], [0.05, 0.95]]
SHARP[1] = [[0.45, 0.45], [0.05, 0.05]]
SHARP[2] = [[0.0, 0.0], [0.95, 0.05]]
MODEL = StepPomdp(
    weak_accuracy=0.8,
    strong_accuracy=0.95,
    hazard=np.array([0.0, 0.1, 0.2, 0.3, 1.0]),
    observations=SHARP,
    step_tokens=10,
)
PLAN = plan(MODEL, [0.01, 1.0, 50.0], points=101)


def seen(*scores: float, tokens: int = 10, text: str = "y", decisions: tuple[Decision, ...] = ()) -> Observation:
    steps = tuple(
        Step(role="weak", text="x", tokens=1, decision=decision, rejected_score=rejected)
        for decision, rejected in zip(
            decisions or (Decision.ACCEPT,) * (len(scores) - 1),
            (0.1 if decision is Decision.REGENERATE else None for decision in decisions or (Decision.ACCEPT,) * 9),
            strict=False,
        )
    )
    draft = Draft(model="w", text=text, stop=Stop.SEPARATOR, usage=Usage(output_tokens=tokens))
    return Observation(
        prefix=Prefix(problem=Problem(id="p", text="?"), steps=steps), draft=draft, scores=scores, max_steps=30
    )


def test_it_regenerates_a_doubtful_step_and_keeps_a_good_one() -> None:
    policy = Pomdp(PLAN, 1.0)
    assert policy.decide(seen(0.1)) is Decision.REGENERATE
    assert policy.decide(seen(0.9)) is Decision.ACCEPT


def test_it_gives_a_derailed_solution_up() -> None:
    assert Pomdp(PLAN, 1.0).decide(seen(0.1, 0.1, 0.1)) is Decision.ACCEPT


def test_a_long_step_has_to_be_worth_more() -> None:
    policy = Pomdp(PLAN, 1.0)
    assert policy.decide(seen(0.1, tokens=10)) is Decision.REGENERATE
    assert policy.decide(seen(0.1, tokens=1000)) is Decision.ACCEPT
    assert Pomdp(PLAN, 50.0).decide(seen(0.1)) is Decision.ACCEPT


@pytest.mark.parametrize("belief", ["filter", "posterior"])
def test_at_the_last_step_only_this_step_counts(belief: str) -> None:
    policy = Pomdp(PLAN, 1.0, belief)  # type: ignore[arg-type]
    on_track, _, wrong = policy.believed(seen(0.1))
    affordable = int(MODEL.task_reward * (MODEL.strong_accuracy * (on_track + wrong) - on_track))
    assert policy.decide(seen(0.1, text=r"\boxed{1}", tokens=affordable - 1)) is Decision.REGENERATE
    assert policy.decide(seen(0.1, text=r"\boxed{1}", tokens=affordable + 1)) is Decision.ACCEPT


def test_the_filter_equals_bayes_rule_over_all_hidden_paths() -> None:
    p_w, p_s = MODEL.weak_accuracy, MODEL.strong_accuracy
    observation = seen(0.9, 0.9, 0.1, decisions=(Decision.REGENERATE, Decision.ACCEPT))
    # drafts seen: (1, 0.1) regenerated, (0.9, 0.9) accepted, (0.9, 0.1) now
    first, second, third = SHARP[:, 1, 0], SHARP[:, 1, 1], SHARP[:, 1, 0]
    weight = np.zeros(3)
    for right_first, p in ((0, p_w), (2, 1 - p_w)):
        for repaired, q in ((True, p_s), (False, 1 - p_s)):
            for state, r in ((0, p_w), (2, 1 - p_w)) if repaired else ((1, 1.0),):
                after = {0: ((0, p_w), (2, 1 - p_w)), 1: ((1, 1.0),), 2: ((1, 1.0),)}[state]
                for newest, s in after:
                    weight[newest] += p * first[right_first] * q * r * second[state] * s * third[newest]
    np.testing.assert_allclose(Pomdp(PLAN, 1.0).believed(observation), weight / weight.sum())


def test_the_posterior_forgets_what_came_before() -> None:
    policy = Pomdp(PLAN, 1.0, "posterior")
    one = policy.believed(seen(0.9, 0.9, 0.1))
    other = policy.believed(seen(0.9, 0.9, 0.1, decisions=(Decision.REGENERATE, Decision.ACCEPT)))
    assert np.array_equal(one, other)
    np.testing.assert_allclose(one, SHARP[:, 1, 0] / SHARP[:, 1, 0].sum())
