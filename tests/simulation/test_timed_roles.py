"""Seconds of a deployment for calls that a step tree holds already."""

import asyncio
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path

import pytest

from steproute import Draft, Meter, ModelRole, Prefix, Problem, Roles, Sampling, ScorerRole, Scores, Stop, Usage
from steproute.engine.runner import Route
from steproute.policies.trim.threshold import Threshold
from steproute.simulation.alone import Place, SecondsAlone
from steproute.simulation.servers import Generating, Reading
from steproute.simulation.timed_roles import Deployment, timed_roles
from steproute.simulation.virtual_time import VirtualTimeLoop, run_virtually
from steproute.strategies.single import Single
from steproute.strategies.stepwise import Stepwise
from steproute.strategies.widened import BestOfN

SPEED = Generating(request_s=1.0, read_s=0.0, token_s=0.1, token_s_per_request=0.0)
DEPLOYMENT = Deployment(
    models={"weak": SPEED, "strong": SPEED},
    scorers={"prm": Reading(request_s=0.5, pass_s=0.25, read_s=0.0, passes=4)},
)
PROBLEM = Problem.ask(id="p", text="?", answer="1")
STEPS = 3


class TenTokens:
    """Writes three steps of ten tokens, in a thread that really takes a while."""

    name = "ten"

    async def propose(
        self, prefix: Prefix, n: int = 1, sampling: Sampling = Sampling(), meter: Meter | None = None
    ) -> list[Draft]:
        await asyncio.to_thread(time.sleep, 0.001)
        last = sampling.stop is None or len(prefix.steps) == STEPS - 1
        text = "so \\boxed{1}" if last else f"step {len(prefix.steps)}"
        usage = Usage(input_tokens=5, output_tokens=10)
        return [Draft(model=self.name, text=text, stop=Stop.END if last else Stop.SEPARATOR, usage=usage)] * n


@dataclass
class Half:
    """Scores every step 0.5."""

    name: str = "half"
    asked: int = 0

    async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
        self.asked += 1
        return Scores(values=(0.5,) * len(prefix.steps), model=self.name, usage=Usage(input_tokens=7))


def roles(scorer: Half | None = None) -> Roles:
    model = ModelRole(model=TenTokens())
    return Roles(models={"weak": model, "strong": model}, scorers={"prm": ScorerRole(scorer=scorer or Half())})


def seconds(
    path: Path, *routes: Route, scorer: Half | None = None, calls: Callable[[Place], Hashable] = lambda place: place
) -> list[float]:
    with SecondsAlone(path / "seconds.zst") as known:
        found = known.of([(route, PROBLEM) for route in routes], roles(scorer), DEPLOYMENT, calls=calls)
    return [found[route.name, "p", 0] for route in routes]


def test_calls_one_after_the_other_add_up_and_drafts_beside_each_other_do_not(tmp_path: Path) -> None:
    single = Route(name="single/weak", strategy=Single("weak"))
    accepting = Route(name="accepting", strategy=Stepwise(policy=Threshold(0.0)))
    rewriting = Route(name="rewriting", strategy=Stepwise(policy=Threshold(1.0)))
    several = Route(name="several", strategy=BestOfN(policy=Threshold(0.0), width=3))
    step, scoring = 1.0 + 10 * 0.1, 0.5 + 0.25
    assert seconds(tmp_path, single, accepting, rewriting, several) == pytest.approx(
        [step, STEPS * (step + scoring), STEPS * (2 * step + scoring), STEPS * (step + scoring)]
    )


def test_what_is_known_or_makes_the_same_calls_is_not_run_again(tmp_path: Path) -> None:
    scorer = Half()
    routes = [Route(name=f"at {knob}", strategy=Stepwise(policy=Threshold(knob))) for knob in (0.1, 0.2)]
    first = seconds(tmp_path, *routes, scorer=scorer, calls=lambda place: "same")
    assert scorer.asked == STEPS
    assert seconds(tmp_path, *routes, scorer=scorer) == first
    assert scorer.asked == STEPS


def test_a_stopped_clock_waits_for_threads() -> None:
    async def main() -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        other = asyncio.create_task(asyncio.sleep(3600))
        with loop.stopped_clock():
            await asyncio.to_thread(time.sleep, 0.01)
            stopped = loop.time()
        await other
        return stopped, loop.time()

    assert run_virtually(main()) == (0.0, 3600.0)


def test_timed_roles_need_virtual_time() -> None:
    timed = timed_roles(roles(), DEPLOYMENT)
    with pytest.raises(AssertionError, match="virtual time"):
        asyncio.run(timed.model("weak").model.propose(Prefix(problem=PROBLEM, separator="\n\n", session="s")))
