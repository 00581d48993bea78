"""TRIM over three real vLLM servers that serve the lab's own models, against the same models in process."""

import asyncio
import re
import time
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from tests.servers.lab_on_vllm import generated, written_config
from tests.servers.processes import Running

from steproute.backends.http.server import Server
from steproute.backends.openai.model import OpenAiModel
from steproute.backends.openai.settings import OpenAiSettings
from steproute.config import lab_roles, read_config
from steproute.core.ports import Continuation
from steproute.core.problem import Problem
from steproute.core.solution import Meter, Prefix, Sampling, Step, Stop
from steproute.core.trace import Trace
from steproute.core.usage import Purpose
from steproute.engine.roles import Roles
from steproute.evaluation.datasets import load_problems
from steproute.lab.models import LAB_SAMPLING, LabModel, LabPrm
from steproute.learn.rollouts import solve_all
from steproute.policies.trim.threshold import Threshold
from steproute.scorers.vllm_pooling import PoolingSettings, VllmPoolingScorer
from steproute.strategies.pipelined import Pipelined
from steproute.strategies.single import Single
from steproute.strategies.stepwise import Stepwise

pytestmark = pytest.mark.servers
GREEDY = replace(LAB_SAMPLING, temperature=0.0)
PROBLEMS = load_problems("lab:test", 100, 0)


@pytest.fixture
def roles(vllm_servers: dict[str, Running], tmp_path: Path) -> Roles:
    return read_config(written_config(tmp_path / "steproute.toml", vllm_servers)).roles()


@pytest.mark.parametrize(
    "mode",
    [
        {"template": "none"},
        {"template": "server", "instructions": ""},
        {"continuation": Continuation.CONTINUE_FINAL_MESSAGE, "instructions": ""},
        {"template": "none", "stop": "client"},
    ],
    ids=["raw", "rendered by the server", "continue_final_message", "cut by the client"],
)
def test_every_mode_continues_as_the_model_in_process_does(
    vllm_servers: dict[str, Running], mode: dict[str, object]
) -> None:
    address = Server(base_url=vllm_servers["lab-weak"].url)
    remote = OpenAiModel("weak", OpenAiSettings(model="lab-weak", server=address, logprobs=1, **mode))  # type: ignore[arg-type]
    local = LabModel("lab-weak")

    async def solve(problem: Problem) -> int:
        prefix, steps = Prefix(problem=problem, session=problem.id), 0
        while True:
            (own,) = await local.propose(prefix, 1, GREEDY)
            (got,) = await remote.propose(prefix, 1, GREEDY)
            assert (got.text, got.stop) == (own.text, own.stop)
            steps += 1
            if mode.get("stop") != "client":
                assert got.usage.output_tokens == own.usage.output_tokens
                assert got.logprobs == pytest.approx(own.logprobs, abs=1e-3)
            if own.stop is not Stop.SEPARATOR:
                return steps
            prefix = prefix.extended(Step(role="weak", text=own.text, tokens=0))

    async def all_problems() -> int:
        return sum([await solve(problem) for problem in PROBLEMS[:15]])

    assert asyncio.run(all_problems()) > 45


def test_the_reward_model_scores_as_in_process(vllm_servers: dict[str, Running]) -> None:
    settings = PoolingSettings(
        model="lab-prm-place", server=Server(base_url=vllm_servers["lab-prm-place"].url), text="{problem}\n\n{steps}"
    )
    remote, local, weak = VllmPoolingScorer("prm", settings), LabPrm("lab-prm-place"), LabModel("lab-weak")

    async def differences() -> list[float]:
        found: list[float] = []
        for problem in PROBLEMS[:20]:
            (draft,) = await weak.propose(Prefix(problem=problem, session=problem.id), 1, replace(GREEDY, stop=None))
            steps = tuple(Step(role="weak", text=text, tokens=0) for text in draft.text.split("\n\n"))
            prefix = Prefix(problem=problem, steps=steps, session=problem.id)
            own, got = await local.score(prefix), await remote.score(prefix)
            assert len(got.values) == len(steps)
            found += np.abs(np.subtract(own.values, got.values)).tolist()
        return found

    assert max(asyncio.run(differences())) < 1e-3


def accuracy(traces: list[Trace]) -> float:
    return float(np.mean([trace.answer == problem.answer for problem, trace in zip(PROBLEMS, traces, strict=True)]))


def test_trim_over_three_servers_is_as_accurate_as_in_process(roles: Roles, capsys: pytest.CaptureFixture[str]) -> None:
    routes = {
        "always weak": Single("weak"),
        "TRIM-Thr 0.5": Stepwise(policy=Threshold(0.5)),
        "TRIM-Thr 0.5, drafting ahead": Pipelined(policy=Threshold(0.5)),
        "always strong": Single("strong"),
    }
    rows = []
    for name, strategy in routes.items():
        began = time.monotonic()
        remote = asyncio.run(solve_all(PROBLEMS, roles, strategy))
        seconds = time.monotonic() - began
        local = asyncio.run(solve_all(PROBLEMS, lab_roles("prm-place"), strategy))
        assert not [trace.error for trace in remote if trace.failed]
        both = np.array([[t.answer == p.answer for p, t in zip(PROBLEMS, ts, strict=True)] for ts in (remote, local)])
        spread = float(np.std(both[0].astype(float) - both[1]) / np.sqrt(len(PROBLEMS)))
        assert abs(both[0].mean() - both[1].mean()) < 3.3 * max(spread, 0.02), name
        tokens = [np.mean([trace.generated_tokens("strong") for trace in ts]) for ts in (remote, local)]
        rows.append(
            f"{name:30} vLLM {accuracy(remote):6.1%} in process {accuracy(local):6.1%} "
            f"strong tokens {tokens[0]:5.1f} {tokens[1]:5.1f}  {seconds:5.0f} s"
        )
        assert all(trace.cost_usd > Decimal(0) for trace in remote)
        lines = [line for trace in remote for line in trace.account if line.usage.estimated]
        assert {line.purpose for line in lines} <= {Purpose.CANCELLED, Purpose.RETRY}, "calls that got no answer"
    with capsys.disabled():
        print("\n" + "\n".join(rows))


def test_a_closed_client_stops_the_server_within_one_token(vllm_servers: dict[str, Running]) -> None:
    running = vllm_servers["lab-strong"]
    settings = OpenAiSettings(
        model="lab-strong",
        server=Server(base_url=running.url),
        template="none",
        extra={"ignore_eos": True, "min_tokens": 250},
    )
    wanted = Sampling(temperature=0.7, max_tokens=250, stop=None, top_k=0)

    async def cancel_in_the_middle() -> tuple[int, float]:
        meter = Meter()
        prefix = Prefix(problem=PROBLEMS[0])
        task = asyncio.ensure_future(OpenAiModel("strong", settings).propose(prefix, 1, wanted, meter))
        while meter.usage.output_tokens < 20:
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        before = generated(running)
        await asyncio.sleep(2.0)
        return meter.usage.output_tokens, generated(running) - before

    started = generated(running)
    seen, after = asyncio.run(cancel_in_the_middle())
    total = generated(running) - started
    assert seen < 250
    assert total < 250, "the server went on to the end"
    assert total <= seen + 20
    assert after <= 20
    assert re.search(r"[Aa]borted", running.log.read_text(errors="replace"))
