"""The reference's whole table against a general POMDP solver (POUCT of the package pomdp-py) on the same model.

One run, one process, one thread (neither side calls BLAS): our plan of every stage and cost first, then as many of the
table's instances (cost, token bin, stage, belief) as the general solver decides in `--seconds`, drawn at random. The
time that it would need for the whole table is extrapolated from the median instance.
"""

import argparse
import random
import statistics
import time
from pathlib import Path

import numpy as np
import pomdp_py

from steproute.core.arrays import F64
from steproute.learn.plan import plan
from steproute.learn.pomdp_reference import load_reference
from steproute.policies.trim.pomdp_model import StepPomdp
from steproute.policies.trim.pomdp_plan import Plan

COSTS = (0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75)
TOKENS = (5, 10, 20, 30, 40, 50, 75, 100, 125, 150, 175, 200, 250, 300, 350, 400, 450, 500)
PARTS = 40
LAST, END = "last", "end"
ACCEPT, REGENERATE = pomdp_py.SimpleAction("accept"), pomdp_py.SimpleAction("regenerate")
History = tuple[tuple[pomdp_py.SimpleAction, pomdp_py.SimpleObservation], ...]


class General(pomdp_py.TransitionModel, pomdp_py.ObservationModel, pomdp_py.RewardModel, pomdp_py.RolloutPolicy):
    """The model as pomdp-py takes one. States hold (hidden, tokens, stage, last), observations (bin, stage, last)."""

    def __init__(self, model: StepPomdp, cost: float) -> None:
        p_w, p_s = model.weak_accuracy, model.rewriters[0].accuracy
        regenerated = ((0, p_s * p_w), (1, 1 - p_s), (2, p_s * (1 - p_w)))
        self.model, self.cost = model, cost
        self.moves = {
            ACCEPT: (((0, p_w), (2, 1 - p_w)), ((1, 1.0),), ((1, 1.0),)),
            REGENERATE: (regenerated, ((1, 1.0),), regenerated),
        }
        self.bins = list(range(model.observations[0].size))
        self.cumulated = model.observations.reshape(3, -1).cumsum(1).tolist()

    def get_all_actions(
        self, state: pomdp_py.State | None = None, history: History | None = None
    ) -> list[pomdp_py.SimpleAction]:
        return [ACCEPT, REGENERATE]

    def rollout(self, state: pomdp_py.State, history: History | None = None) -> pomdp_py.SimpleAction:
        return random.choice((ACCEPT, REGENERATE))


class Transition(General):
    def sample(self, state: pomdp_py.SimpleState, action: pomdp_py.SimpleAction) -> pomdp_py.SimpleState:
        hidden, _, stage, last = state.data
        if last or stage == END:
            return pomdp_py.SimpleState((0, 0, END, ""))
        choices, weights = zip(*self.moves[action][hidden], strict=True)
        after = random.choices(choices, weights)[0]
        ends = random.random() < self.model.next_is_last(stage)
        return pomdp_py.SimpleState((after, self.model.step_tokens, stage + 1, LAST if ends else ""))


class Seen(General):
    def sample(self, next_state: pomdp_py.SimpleState, action: pomdp_py.SimpleAction) -> pomdp_py.SimpleObservation:
        hidden, _, stage, last = next_state.data
        seen = 0 if stage == END else random.choices(self.bins, cum_weights=self.cumulated[hidden])[0]
        return pomdp_py.SimpleObservation((seen, stage, last))


class Reward(General):
    def sample(
        self, state: pomdp_py.SimpleState, action: pomdp_py.SimpleAction, next_state: pomdp_py.SimpleState
    ) -> float:
        hidden, tokens, stage, last = state.data
        if stage == END:
            return 0.0
        paid = self.cost * tokens if action == REGENERATE else 0.0
        if not last:
            return -paid
        earned = {ACCEPT: (1.0, 0.0, 0.0), REGENERATE: (1.0, 0.0, 1.0)}[action][hidden]
        kept = self.model.rewriters[0].accuracy if action == REGENERATE else 1.0
        return self.model.task_reward * earned * kept - paid


def decide(
    model: StepPomdp, cost: float, tokens: int, stage: int, belief: F64, simulations: int
) -> pomdp_py.SimpleAction:
    """The action that POUCT chooses."""
    states = {pomdp_py.SimpleState((hidden, tokens, stage, "")): float(p) for hidden, p in enumerate(belief) if p > 0}
    agent = pomdp_py.Agent(
        pomdp_py.Histogram(states),
        General(model, cost),
        Transition(model, cost),
        Seen(model, cost),
        Reward(model, cost),
    )
    planner = pomdp_py.POUCT(
        max_depth=model.stages + 1,
        discount_factor=1.0,
        num_sims=simulations,
        exploration_const=model.task_reward,
        rollout_policy=agent.policy_model,
    )
    return planner.plan(agent)


def agreement(model: StepPomdp, made: Plan, seconds: float, simulations: int) -> tuple[list[float], list[bool]]:
    """Seconds of each instance, and whether both decide alike where ours is clear of a tie."""
    beliefs = np.array([(i, j, PARTS - i - j) for i in range(PARTS + 1) for j in range(PARTS + 1 - i)]) / PARTS
    rng, took, alike = np.random.default_rng(0), [], []
    random.seed(0)
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        cost, tokens = int(rng.integers(len(COSTS))), int(rng.choice(TOKENS))
        stage, belief = int(rng.integers(model.stages)), beliefs[rng.integers(len(beliefs))]
        began = time.perf_counter()
        action = decide(model, COSTS[cost], tokens, stage, belief, simulations)
        took.append(time.perf_counter() - began)
        gain = float(made.advantage(cost, stage, belief)[0]) - COSTS[cost] * tokens
        if abs(gain) > 1.0:
            alike.append((gain > 0) == (action == REGENERATE))
    return took, alike


def main() -> None:
    """Print both times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reference", type=Path, default=Path("../shared/data/trim_reference"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--simulations", type=int, default=2000)
    options = parser.parse_args()
    model = load_reference(options.reference)
    ours = []
    for _ in range(options.rounds):
        began = time.perf_counter()
        made = plan(model, COSTS)
        ours.append(time.perf_counter() - began)
    took, alike = agreement(model, made, options.seconds, options.simulations)
    beliefs = (PARTS + 1) * (PARTS + 2) // 2
    instances = len(COSTS) * len(TOKENS) * model.stages * beliefs
    whole = statistics.median(took) * instances
    print(f"steproute: {statistics.median(ours):.2f} s for {instances:,} instances, gap {made.gap:.3f} of 100")
    print(f"  rounds {', '.join(f'{second:.2f}' for second in ours)} s")
    print(
        f"POUCT, {options.simulations} simulations: {len(took)} instances, median {statistics.median(took):.3f} s each"
    )
    print(f"  extrapolated to the table: {whole / 3600:,.0f} h, {whole / statistics.median(ours):,.0f} times as long")
    print(f"  decides alike on {sum(alike)} of {len(alike)} instances whose advantage is over 1 of 100")


if __name__ == "__main__":
    main()
