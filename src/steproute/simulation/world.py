"""A deployment in virtual time: writers and a process reward model that take as long as real ones, behind the ports.

The engine, the strategies and the policies that run over it are the real ones; run them by `run_virtually`.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from math import log
from random import Random
from typing import Final

from steproute.core.problem import Problem
from steproute.core.solution import Draft, Meter, Prefix, Sampling, Scores, Stop
from steproute.core.usage import Price, Usage
from steproute.engine.roles import ModelRole, Roles, ScorerRole
from steproute.simulation.servers import (
    Generating,
    GeneratingServer,
    PrefixCache,
    Reading,
    ReadingServer,
)

_RIGHT: Final = "right"
_TABLE: Final = "simulated"
_SMALL: Final = Price(input=Decimal("0.1"), cache_read=Decimal("0.01"), output=Decimal("0.4"), table=_TABLE)
_LARGE: Final = Price(input=Decimal("2"), cache_read=Decimal("0.2"), output=Decimal("8"), table=_TABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimWorld:
    """A 3B writer on one A100, a 72B writer on four, and a 7B process reward model on as many as keep up with them.

    Seconds a token: Qwen2.5's published speeds under vLLM 0.6.3 on A100-80GB in bf16, about 125 tokens/s for 3B on one
    and 31.4 tokens/s for 72B on four (QwenLM/Qwen2.5, speed_benchmark.rst). Reading: 2 FLOP a parameter and token at
    half of 312 TFLOP/s a card (assumed). Each further request: that arithmetic again, and the reading of its keys and
    values (assumed). 5 ms a request for network and scheduling, 10 ms a pass of the reward model, no prefix cache
    there, four replicas so that it is not what limits the run (all assumed).

    Steps: 60 tokens on average and a problem's step count follow TRIM's released parameters for MATH (log-normal,
    median 7, σ 0.48), the spread of a step's length is that of Llama-3.2-1B's and 3.1-8B's recorded steps on MATH-500
    (σ of the logarithm of the characters, 0.74 and 0.72). A step is right with TRIM's per-step accuracies of weak and
    strong (0.866 and 0.9704, of Qwen2.5-1.5B and 7B there). Scores are Beta variables with the means and variances of
    TRIM's released observations: of a right step after right ones, of the first wrong one, and of steps after it. That
    all these are independent of each other is assumed, and so are the prices, with cached input at a tenth.
    """

    weak: Generating = Generating(request_s=0.005, read_s=0.00004, token_s=0.008, token_s_per_request=0.00006)
    strong: Generating = Generating(request_s=0.005, read_s=0.00023, token_s=0.032, token_s_per_request=0.00025)
    prm: Reading = Reading(request_s=0.005, pass_s=0.01, read_s=0.00009, passes=4)
    problem_tokens: int = 100
    step_tokens: float = 60.0
    step_spread: float = 0.72
    steps: float = 7.0
    steps_spread: float = 0.48
    weak_right: float = 0.866
    strong_right: float = 0.9704
    right_scores: tuple[float, float] = (2.81, 0.198)
    wrong_scores: tuple[float, float] = (0.433, 1.026)
    later_scores: tuple[float, float] = (0.706, 0.443)

    def problems(self, count: int, seed: int = 0) -> list[Problem]:
        """So many problems whose right answer is 1; a tag says how many steps a solution has, 2 to 30."""
        random = Random(f"problems/{seed}")
        lengths = [round(random.lognormvariate(log(self.steps), self.steps_spread)) for _ in range(count)]
        return [
            Problem.ask(id=f"sim-{seed}-{i}", text=f"problem {i}", answer="1", tags={"steps": str(min(max(n, 2), 30))})
            for i, n in enumerate(lengths)
        ]

    def roles(self) -> Roles:
        """Fresh servers for one run on one loop."""
        return Roles(
            models={
                "weak": ModelRole(model=SimModel("sim-weak", self, self.weak, self.weak_right), price=_SMALL),
                "strong": ModelRole(model=SimModel("sim-strong", self, self.strong, self.strong_right), price=_LARGE),
            },
            scorers={"prm": ScorerRole(scorer=SimScorer(self), price=_SMALL)},
        )


@dataclass(frozen=True, slots=True)
class _Written:
    text: str
    tokens: int
    stop: Stop


class SimModel:
    """A step model whose step lengths and errors are drawn from the call's seed and whose time passes on a server."""

    def __init__(self, name: str, world: SimWorld, speed: Generating, right: float) -> None:
        self.name, self._world, self._right = name, world, right
        self._server, self._cache = GeneratingServer(speed), PrefixCache()

    async def propose(
        self, prefix: Prefix, n: int = 1, sampling: Sampling = Sampling(), meter: Meter | None = None
    ) -> list[Draft]:
        """`n` drafts one after another; see StepModel.propose."""
        meter = Meter() if meter is None else meter
        return [await self._draft(prefix, replace(sampling, seed=sampling.seed + i), meter) for i in range(n)]

    async def _draft(self, prefix: Prefix, sampling: Sampling, meter: Meter) -> Draft:
        began, before = asyncio.get_running_loop().time(), meter.usage
        steps = list(self._steps(prefix, sampling))
        tokens = tuple(step.tokens for step in steps)
        parts = _parts(prefix, self._world)
        read = sum(part_tokens for _, part_tokens in parts)
        cached = self._cache.common(prefix.session, parts)
        usage = Usage(input_tokens=read - cached, cache_read_tokens=cached)

        def count(written: int) -> None:
            nonlocal usage
            usage = replace(usage, output_tokens=written)
            meter.usage = before + usage
            self._cache.keep(prefix.session, parts)

        await self._server.generate(sum(tokens), read - cached, count)
        self._cache.keep(prefix.session, [*parts, *((step.text, step.tokens) for step in steps)])
        return Draft(
            model=self.name,
            text=prefix.separator.join(step.text for step in steps),
            stop=steps[-1].stop,
            usage=usage,
            step_tokens=tokens,
            latency_s=asyncio.get_running_loop().time() - began,
        )

    def _steps(self, prefix: Prefix, sampling: Sampling) -> Iterator[_Written]:
        """The next step, or all that are left where there is no separator to stop at."""
        random, world = Random(sampling.seed), self._world
        mean_log = log(world.step_tokens) - world.step_spread**2 / 2
        last, place, room = int(prefix.problem.tags["steps"]), len(prefix.steps) + 1, sampling.max_tokens
        right = all(step.text.startswith(_RIGHT) for step in prefix.steps)
        while True:
            good = random.random() < self._right
            tokens = max(1, round(random.lognormvariate(mean_log, world.step_spread)))
            right &= good
            text = f"{_RIGHT if good else 'wrong'} {place} by {self.name} {random.getrandbits(32):08x}"
            if tokens > room or (tokens == room and sampling.stop is None and place < last):
                yield _Written(text, room, Stop.LENGTH)
                return
            if place >= last:
                yield _Written(f"{text} \\boxed{{{int(right)}}}", tokens, Stop.END)
                return
            yield _Written(text, tokens, Stop.SEPARATOR)
            if sampling.stop is not None:
                return
            place, room = place + 1, room - tokens


class SimScorer:
    """A process reward model that knows which steps are right and says so as unsurely as a real one."""

    def __init__(self, world: SimWorld) -> None:
        self.name = "sim-prm"
        self._world, self._server = world, ReadingServer(world.prm)

    async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
        """Drawn from the problem and the steps' texts: the same step scores the same whenever it is read."""
        began = asyncio.get_running_loop().time()
        tokens = sum(part_tokens for _, part_tokens in _parts(prefix, self._world))
        usage = Usage(input_tokens=tokens)
        if meter is not None:
            meter.usage = usage
        await self._server.read(tokens)
        took_s = asyncio.get_running_loop().time() - began
        return Scores(values=tuple(self._values(prefix)), model=self.name, usage=usage, latency_s=took_s)

    def _values(self, prefix: Prefix) -> Iterator[float]:
        on_track = True
        for step in prefix.steps:
            good = step.text.startswith(_RIGHT)
            shape = self._world.later_scores
            if on_track:
                shape = self._world.right_scores if good else self._world.wrong_scores
            yield Random(f"{prefix.problem.id}/{step.text}/{on_track}").betavariate(*shape)
            on_track &= good


def _parts(prefix: Prefix, world: SimWorld) -> list[tuple[str, int]]:
    """What a model reads, (text, tokens) each."""
    return [(prefix.problem.text, world.problem_tokens), *((step.text, step.tokens) for step in prefix.steps)]
