"""What the engine costs: CPU time a step over backends that answer at once, and decisions a second of each policy.

Learned policies carry random weights of the shapes that training gives them. JSON lines.
"""

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Callable

import numpy as np

from steproute.core.observation import Observation
from steproute.core.ports import Policy, Strategy
from steproute.core.problem import Problem
from steproute.core.solution import Draft, Meter, Prefix, Sampling, Scores, Step, Stop
from steproute.core.usage import Usage
from steproute.engine.episode import Episode
from steproute.engine.roles import ModelRole, Roles, ScorerRole
from steproute.learn.plan import plan
from steproute.policies.baselines.confidence import Confidence, FirstTokenEntropy
from steproute.policies.baselines.random import RandomRouting
from steproute.policies.baselines.rsd import Rsd
from steproute.policies.mixture import BudgetCurve, MixtureFamily
from steproute.policies.trim.agg import AGGREGATES, CONFIDENCES, AggNetwork
from steproute.policies.trim.learned import LearnedFamily
from steproute.policies.trim.pomdp_model import Rewriter, StepPomdp
from steproute.policies.trim.pomdp_policy import Pomdp
from steproute.policies.trim.seq import HORIZON, LAYERS, SeqNetwork
from steproute.policies.trim.threshold import Threshold, ThresholdTakeover
from steproute.strategies.pipelined import Pipelined
from steproute.strategies.stepwise import Stepwise

STEPS, WIDTH, BINS = 10, 64, 20
RNG = np.random.default_rng(0)


class Instant:
    """A model that answers at once, and boxes an answer in the tenth step."""

    name = "instant"

    async def propose(
        self, prefix: Prefix, n: int = 1, sampling: Sampling = Sampling(), meter: Meter | None = None
    ) -> list[Draft]:
        text = "so \\boxed{1}" if len(prefix.steps) == STEPS - 1 else "two and two is four"
        return [Draft(model=self.name, text=text, stop=Stop.SEPARATOR, usage=Usage(input_tokens=9, output_tokens=6))]


class InstantScorer:
    name = "instant-prm"

    async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
        newest = 0.1 if len(prefix.steps) % 4 == 0 else 0.9
        values = (*[0.9] * (len(prefix.steps) - 1), newest)
        return Scores(values=values, model=self.name, usage=Usage(input_tokens=9))


def step_ms(strategy: Strategy[Episode], problems: int, in_flight: int) -> float:
    """CPU milliseconds for each step of the solutions."""
    roles = Roles(
        models={"weak": ModelRole(model=Instant()), "strong": ModelRole(model=Instant())},
        scorers={"prm": ScorerRole(scorer=InstantScorer())},
    )
    queue = iter(range(problems))

    async def work_through() -> int:
        steps = 0
        for i in queue:
            trace = await Episode(Problem.ask(id=str(i), text="two and two?"), roles, route="t").run(strategy)
            steps += len(trace.steps)
        return steps

    async def all_steps() -> int:
        return sum(await asyncio.gather(*(work_through() for _ in range(in_flight))))

    began = time.process_time()
    steps = asyncio.run(all_steps())
    return 1000 * (time.process_time() - began) / steps


def policies() -> dict[str, Policy]:
    """One of each kind."""
    curve = BudgetCurve(axis="tokens", knobs=(0.2, 0.8), costs=(10.0, 90.0))
    return {
        "threshold": Threshold(0.5),
        "threshold+takeover": ThresholdTakeover(0.5),
        "random": RandomRouting(0.5),
        "rsd": Rsd(1.0),
        "confidence": Confidence(0.5),
        "first-token-entropy": FirstTokenEntropy(0.5),
        "agg": LearnedFamily(agg(AGGREGATES + 1), 1e-3, 1e-1).at(1e-2, 0),
        "agg-confidence": LearnedFamily(agg(AGGREGATES + CONFIDENCES + 1), 1e-3, 1e-1).at(1e-2, 0),
        "seq": LearnedFamily(seq(), 1e-3, 1e-1).at(1e-2, 0),
        "pomdp": pomdp(),
        "calibrated threshold": MixtureFamily(Threshold, curve, 50.0, 0.5, 1.0).at(0.5, 0),
    }


def agg(inputs: int) -> AggNetwork:
    weights = {"logits.weight": RNG.normal(size=(2, WIDTH)), "logits.bias": RNG.normal(size=2)}
    for i, size in enumerate((inputs, WIDTH, WIDTH, WIDTH)):
        weights[f"blocks.{i}.weight"] = RNG.normal(size=(WIDTH, size))
        weights |= {f"blocks.{i}.{name}": RNG.normal(size=WIDTH) for name in ("bias", "gain", "shift")}
    return AggNetwork(weights)


def seq() -> SeqNetwork:
    shapes: dict[str, tuple[int, ...]] = {
        "step.weight": (WIDTH, 3),
        "step.bias": (WIDTH,),
        "position": (HORIZON, WIDTH),
    }
    for i in range(LAYERS):
        shapes |= {f"layers.{i}.{name}_{part}": (WIDTH,) for name in ("attention", "mlp") for part in ("gain", "shift")}
        for name, (rows, columns) in {"qkv": (3, 1), "out": (1, 1), "up": (4, 1), "down": (1, 4)}.items():
            shapes[f"layers.{i}.{name}.weight"] = (rows * WIDTH, columns * WIDTH)
            shapes[f"layers.{i}.{name}.bias"] = (rows * WIDTH,)
    shapes |= {"gain": (WIDTH,), "shift": (WIDTH,), "logits.weight": (2, WIDTH), "logits.bias": (2,)}
    return SeqNetwork({name: RNG.normal(size=shape) for name, shape in shapes.items()})


def pomdp() -> Pomdp:
    observations = RNG.uniform(0.1, 1.0, size=(3, BINS, BINS))
    model = StepPomdp(
        weak_accuracy=0.87,
        rewriters=(Rewriter("strong", 0.97),),
        hazard=np.array([*np.linspace(0.0, 0.5, HORIZON), 1.0]),
        observations=observations / observations.sum(axis=(1, 2), keepdims=True),
        step_tokens=60,
    )
    return Pomdp(plan(model, [0.25], points=201), 0.25)


def decisions_per_second(policy: Policy, seconds: float) -> float:
    """On the tenth step of a solution, per second of CPU time."""
    steps = tuple(Step(role="weak", text=f"s{i}", tokens=30, score=0.8) for i in range(STEPS - 1))
    draft = Draft(
        model="m",
        text="x",
        stop=Stop.SEPARATOR,
        usage=Usage(output_tokens=60),
        logprobs=(-0.1,) * 60,
        first_token_entropy=0.3,
    )
    prefix = Prefix(problem=Problem.ask(id="p", text="t"), steps=steps)
    scores = tuple(RNG.uniform(0.2, 1.0, size=STEPS).tolist())
    seen = Observation(prefix=prefix, draft=draft, scores=scores, max_steps=HORIZON)
    policy.decide(seen)
    made, began = 0, time.process_time()
    while time.process_time() - began < seconds:
        for _ in range(10):
            policy.decide(seen)
        made += 10
    return made / (time.process_time() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=500)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="for each policy")
    asked = parser.parse_args()
    strategies: dict[str, Callable[[], Strategy[Episode]]] = {
        "stepwise": lambda: Stepwise(policy=Threshold(0.5)),
        "pipelined": lambda: Pipelined(policy=Threshold(0.5)),
        "pipelined, hedge always": lambda: Pipelined(policy=Threshold(0.5), hedge=1.01),
    }
    for name, make in strategies.items():
        rounds = [step_ms(make(), asked.problems, asked.in_flight) for _ in range(asked.rounds)]
        row = {"strategy": name, "in_flight": asked.in_flight, "cpu_ms_a_step": round(statistics.median(rounds), 4)}
        print(json.dumps(row), flush=True)
    for name, policy in policies().items():
        print(json.dumps({"policy": name, "decisions_per_cpu_s": round(decisions_per_second(policy, asked.seconds))}))


if __name__ == "__main__":
    main()
