import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from steproute import Accept, Decision, Draft, Observation, Prefix, Problem, Rewrite, Step, Stop, Usage
from steproute.core.arrays import F64
from steproute.core.errors import ConfigError
from steproute.learn.plan import plan
from steproute.learn.pomdp_fit import fit_hazard
from steproute.policies.trim.pomdp_model import Rewriter, StepPomdp
from steproute.policies.trim.pomdp_policy import Belief, Pomdp, PomdpFamily

SHARP = np.zeros((3, 2, 2))
SHARP[0] = [[0.0, 0.0], [0.05, 0.95]]
SHARP[1] = [[0.45, 0.45], [0.05, 0.05]]
SHARP[2] = [[0.0, 0.0], [0.95, 0.05]]
MODEL = StepPomdp(
    weak_accuracy=0.8,
    rewriters=(Rewriter("strong", 0.95),),
    hazard=np.array([0.0, 0.1, 0.2, 0.3, 1.0]),
    observations=SHARP,
    step_tokens=10,
)
PLAN = plan(MODEL, [0.01, 1.0, 50.0], points=101)


def author(decision: Decision) -> str:
    return "weak" if decision == Accept() else "strong"


def seen(
    *scores: float,
    tokens: int = 10,
    text: str = "y",
    stop: Stop = Stop.SEPARATOR,
    decisions: tuple[Decision, ...] = (),
) -> Observation:
    steps = tuple(
        Step(role=author(decision), text="x", tokens=1, decision=decision, rejected_score=rejected)
        for decision, rejected in zip(
            decisions or (Accept(),) * (len(scores) - 1),
            (0.1 if decision == Rewrite("strong") else None for decision in decisions or (Accept(),) * 9),
            strict=False,
        )
    )
    draft = Draft(model="w", text=text, stop=stop, usage=Usage(output_tokens=tokens))
    return Observation(
        prefix=Prefix(problem=Problem.ask(id="p", text="?"), steps=steps), draft=draft, scores=scores, max_steps=30
    )


def test_it_regenerates_a_doubtful_step_and_keeps_a_good_one() -> None:
    policy = Pomdp(PLAN, 1.0)
    assert policy.decide(seen(0.1)) == Rewrite("strong")
    assert policy.decide(seen(0.9)) == Accept()


def test_of_several_roles_the_one_that_earns_most_writes() -> None:
    """Mid for a doubtful step if strong is too dear, strong if tokens are cheap, nobody if the step is very long."""
    model = replace(MODEL, rewriters=(Rewriter("mid", 0.9, 0.1), Rewriter("strong", 0.95)))
    made = plan(model, [0.01, 1.0], points=101)
    dear, cheap = Pomdp(made, 1.0), Pomdp(made, 0.01)
    assert [policy.best_action(seen(0.1)) for policy in (dear, cheap)] == [1, 2]
    assert [policy.best_action(seen(0.9)) for policy in (dear, cheap)] == [0, 0]
    assert dear.best_action(seen(0.1, tokens=10_000)) == 0
    last = [dear.best_action(seen(0.1, tokens=tokens, stop=Stop.END)) for tokens in (1, 10, 10_000)]
    assert last == [2, 1, 0]
    assert dear.decide(seen(0.1)) == Rewrite("mid")


def test_the_filter_knows_which_role_wrote_a_step_again() -> None:
    """A step by a role that errs often leaves the solution in doubt."""
    model = replace(MODEL, rewriters=(Rewriter("mid", 0.5, 0.1), Rewriter("strong", 0.95)))
    policy = Pomdp(plan(model, [1.0], points=11), 1.0)

    def on_track(role: str) -> float:
        step = Step(role=role, text="x", tokens=1, decision=Rewrite(role), rejected_score=0.1)
        observation = replace(seen(0.9, 0.9), prefix=Prefix(problem=Problem.ask(id="p", text="?"), steps=(step,)))
        return float(policy.believed(observation)[0])

    first = model.posterior(1.0, 0.1, model.first_belief())
    assert on_track("mid") == model.posterior(0.9, 0.9, model.predict(first, 1))[0]
    assert on_track("mid") < on_track("strong")
    with pytest.raises(ConfigError, match="policy: 'other' rewrote a step, but the plan has only mid, strong"):
        on_track("other")


def test_it_gives_a_derailed_solution_up() -> None:
    assert Pomdp(PLAN, 1.0).decide(seen(0.1, 0.1, 0.1)) == Accept()


def test_a_long_step_has_to_be_worth_more() -> None:
    policy = Pomdp(PLAN, 1.0)
    assert policy.decide(seen(0.1, tokens=10)) == Rewrite("strong")
    assert policy.decide(seen(0.1, tokens=1000)) == Accept()
    assert Pomdp(PLAN, 50.0).decide(seen(0.1)) == Accept()


@pytest.mark.parametrize("belief", ["filter", "posterior"])
@pytest.mark.parametrize(("text", "stop"), [(r"\boxed{1}", Stop.SEPARATOR), ("y", Stop.END), (r"\boxed{1}", Stop.END)])
@pytest.mark.parametrize("scores", [(0.1,), (0.9, 0.1), (0.9, 0.9, 0.1)])
def test_at_the_last_step_only_this_step_counts(
    belief: Belief, text: str, stop: Stop, scores: tuple[float, ...]
) -> None:
    """A step is the last one if it holds the answer or the model ended the solution with it."""
    policy = Pomdp(PLAN, 1.0, belief)
    on_track, _, incorrect = policy.believed(seen(*scores))
    affordable = int(MODEL.task_reward * (MODEL.rewriters[0].accuracy * (on_track + incorrect) - on_track))
    assert affordable > 1
    assert policy.decide(seen(*scores, text=text, stop=stop, tokens=affordable - 1)) == Rewrite("strong")
    assert policy.decide(seen(*scores, text=text, stop=stop, tokens=affordable + 1)) == Accept()
    went_on = PLAN.advantage(1, len(scores) - 1, policy.believed(seen(*scores)))[0]
    assert abs(affordable - went_on / policy.cost) > 2, "a decision that is not the last one would differ"


def exact_advantage(model: StepPomdp, cost: float, belief: F64, left: int) -> float:
    """What regenerating earns more than accepting if exactly `left` more decisions follow: the whole tree, no plan."""
    p_w, p_s = model.weak_accuracy, model.rewriters[0].accuracy
    likelihoods = model.observations.reshape(3, -1).T

    def value(belief: F64, left: int) -> float:
        correct = belief[0], p_s * (belief[0] + belief[2])
        rewards = [model.task_reward * each if left == 0 else future(each, left) for each in correct]
        return float(max(rewards[0], rewards[1] - cost * model.step_tokens))

    def future(correct: float, left: int) -> float:
        predicted = np.array([correct * p_w, 1 - correct, correct * (1 - p_w)])
        joint = [likelihood * predicted for likelihood in likelihoods]
        return sum(float(each.sum()) * value(each / each.sum(), left - 1) for each in joint if each.sum() > 0)

    regenerate, accept = p_s * float(belief[0] + belief[2]), float(belief[0])
    return future(regenerate, left) - future(accept, left)


@pytest.mark.parametrize("cost", [0.3, 1.0])
@pytest.mark.parametrize("steps", [2, 3, 4, 5])
@pytest.mark.parametrize("belief", ["filter", "posterior"])
def test_at_step_t_of_solutions_of_n_steps_it_looks_n_minus_t_steps_ahead(
    belief: Belief, steps: int, cost: float
) -> None:
    """All weak solutions have `steps` steps, so at step `steps` - 1 the next one is known to be the last."""
    model = replace(MODEL, hazard=fit_hazard([steps] * 50))
    policy = Pomdp(plan(model, [cost]), cost, belief)
    for step in range(1, steps):
        for scores in product((0.1, 0.9), repeat=step):
            believed = policy.believed(seen(*scores))
            limit = exact_advantage(model, cost, believed, steps - step) / cost
            margin = policy.plan.gap / cost + 1e-6
            below, above = math.floor(limit - margin), math.ceil(limit + margin)
            if below >= 1:
                assert policy.decide(seen(*scores, tokens=below)) == Rewrite("strong")
            assert policy.decide(seen(*scores, tokens=max(1, above))) == Accept()


@pytest.mark.parametrize("lengths", [[2] * 9, [2, 3, 3, 7], [4, 4, 9], [5, 6, 6, 7], [30] * 4])
def test_walking_by_the_models_hazard_gives_back_the_lengths_of_solutions(lengths: list[int]) -> None:
    """P(the next step is the last one), decision by decision, is the distribution of step counts that it came from."""
    model = replace(MODEL, hazard=fit_hazard(lengths))
    going_on, walked = 1.0, {}
    for stage in range(model.stages - 1):  # the decision about step stage + 1
        walked[stage + 2] = going_on * model.next_is_last(stage)
        going_on *= 1 - model.next_is_last(stage)
    for length in range(2, model.stages + 1):
        assert walked[length] == pytest.approx(lengths.count(length) / len(lengths), abs=0.08)
    assert going_on == pytest.approx(0)


def test_the_filter_equals_bayes_rule_over_all_hidden_paths() -> None:
    p_w, p_s = MODEL.weak_accuracy, MODEL.rewriters[0].accuracy
    observation = seen(0.9, 0.9, 0.1, decisions=(Rewrite("strong"), Accept()))
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


@pytest.mark.parametrize("rejected", [0.1, 0.9])
def test_the_filter_reads_the_score_of_the_draft_that_was_rejected(rejected: float) -> None:
    """The decision was about the weak model's draft, so that draft's score says what the strong model could repair."""
    steps = (
        Step(role="weak", text="x", tokens=1, decision=Accept()),
        Step(role="strong", text="x", tokens=1, decision=Rewrite("strong"), rejected_score=rejected),
    )
    observation = replace(seen(0.9, 0.9, 0.9), prefix=Prefix(problem=Problem.ask(id="p", text="?"), steps=steps))
    first = MODEL.posterior(1.0, 0.9, MODEL.first_belief())
    second = MODEL.posterior(0.9, rejected, MODEL.predict(first, 0))
    third = MODEL.posterior(0.9, 0.9, MODEL.predict(second, 1))
    np.testing.assert_allclose(Pomdp(PLAN, 1.0).believed(observation), third)
    other = MODEL.posterior(0.9, 1 - rejected, MODEL.predict(first, 0))
    elsewhere = MODEL.posterior(0.9, 0.9, MODEL.predict(other, 1))
    assert not np.allclose(third, elsewhere, rtol=0, atol=1e-5)


def test_the_posterior_forgets_what_came_before() -> None:
    policy = Pomdp(PLAN, 1.0, "posterior")
    one = policy.believed(seen(0.9, 0.9, 0.1))
    other = policy.believed(seen(0.9, 0.9, 0.1, decisions=(Rewrite("strong"), Accept())))
    assert np.array_equal(one, other)
    np.testing.assert_allclose(one, SHARP[:, 1, 0] / SHARP[:, 1, 0].sum())


def test_a_rank_is_a_knob_and_so_is_a_cost_of_the_plan() -> None:
    """What was calibrated when costs were the knobs is read as before."""
    family = PomdpFamily(plan(MODEL, [0.013, 50.5, 1.7], points=101))
    assert family.knobs == (1.0, 2.0, 3.0)
    assert [family.at(knob, 0).cost for knob in family.knobs] == [50.5, 1.7, 0.013]
    assert [family.at(cost, 0).cost for cost in (0.013, 1.7, 50.5)] == [0.013, 1.7, 50.5]
    for knob in (0, 4, 1.5, 0.0130001):
        with pytest.raises(ConfigError, match="is no rank of this TRIM-POMDP. Give a whole number from 1"):
            family.at(knob, 0)
