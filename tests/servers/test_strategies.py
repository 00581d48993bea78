"""Every strategy over real vLLM servers: it ends, and its account holds what the servers say that they generated.

llama-cpp-python's server writes one answer per request and reports no usage in a stream, so it cannot be held to that.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from tests.servers.lab_on_vllm import CONFIG, generated
from tests.servers.processes import Running
from tests.servers.recording_proxy import RecordingProxy, recording_proxy

from steproute.artifacts import write_artifact
from steproute.config import check_needs, read_config
from steproute.core.solution import Outcome
from steproute.core.trace import Trace, total_usage
from steproute.core.usage import Purpose
from steproute.engine.episode import Episode
from steproute.engine.limits import Limits
from steproute.engine.runner import Route
from steproute.evaluation.datasets import load_problems
from steproute.policies.advantage import INPUTS, AdvantageFamily, AdvantageNetwork
from steproute.policies.steer import ConfidenceMixture, SteerFamily
from steproute.policies.stored import advantage_artifact, steer_artifact
from steproute.retrieval.example_bank import Example, ExampleBank, bank_artifact

pytestmark = pytest.mark.servers
PROBLEMS = load_problems("lab:test", 3, 0)
LIMITS = Limits(max_steps=12)
TOP_K = "top_k = 0, max_tokens = 96"
HINT = "(3) Finn has as many coins as Ann plus 20."
SPENDS = (Purpose.ACCEPTED, Purpose.DISCARDED, Purpose.CANCELLED, Purpose.RETRY)


@dataclass(frozen=True, kw_only=True)
class Case:
    """route: the table of a steproute.toml. weak: further settings of that model. n: drafts of the widest request.

    logprobs: whether the strategy reads them. hints: whether it shows the weak model a solved step. ends: whether every
    solution ends by itself.
    """

    route: str
    weak: str = ""
    n: int = 1
    logprobs: bool = False
    hints: bool = False
    ends: bool = True


CASES = {
    "repair": Case(
        route='strategy = "stepwise"\npolicy = "threshold"\nknob = 0.5',
        weak='repair = "arithmetic"\n',
    ),
    "deli": Case(
        route='strategy = "deli"\npolicy = "threshold"\nrounds = 2\nactions = 2\ntool_s = 2',
        ends=False,
    ),
    "second-chances": Case(
        route='strategy = "second-chances"\npolicy = "ladder"\nknob = 0.9\nrungs = ["retry", "resample"]\nwidth = 3\n'
        'bank = "{folder}/bank"\nthreshold = 0.1',
        n=3,
        hints=True,
    ),
    "booststep": Case(
        route='strategy = "booststep"\npolicy = "threshold"\nknob = 0.5\nwhen = "always"\nbank = "{folder}/bank"\n'
        "threshold = 0.1",
        hints=True,
    ),
    "pats": Case(route='strategy = "pats"\npolicy = "modes"\nknob = 0.0\nladder = "weak-2/weak-4/strong-1"', n=4),
    "best-of-n": Case(route='strategy = "best-of-n"\npolicy = "threshold"\nknob = 0.9\nwidth = 3', n=3),
    "beam": Case(route='strategy = "beam"\npolicy = "threshold"\nknob = 0.9\nvote = true', n=6, logprobs=True),
    "vote": Case(route='strategy = "vote"\npolicy = "threshold"\nknob = 0.7\nsamples = 4\nweights = "min"', n=4),
    "arbitrage-oracle": Case(route='strategy = "arbitrage-oracle"\npolicy = "threshold"\nknob = 0.5'),
    "advantage": Case(route='strategy = "stepwise"\npolicy = "{folder}/advantage"\nknob = 0.5', logprobs=True),
    "primed, trigreason": Case(
        route='strategy = "primed"\npolicy = "trigreason"\nknob = 0.85\nfirst_steps = 2', logprobs=True
    ),
    "glimpse, first-token-entropy": Case(
        route='strategy = "glimpse"\npolicy = "first-token-entropy"\nknob = 0.001', logprobs=True
    ),
    "next-step, steer": Case(route='strategy = "next-step"\npolicy = "{folder}/steer"\nknob = 1.0', logprobs=True),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bank of one example, a mixture and a network, made by hand."""
    folder = tmp_path_factory.mktemp("artefacts")
    examples = [Example(problem=HINT, step="(3) Finn has Ann 4 + 20 = 24.", origin="another problem")]
    write_artifact(bank_artifact(ExampleBank.of(examples), {}), folder / "bank")
    mixture = ConfidenceMixture(
        shares=np.array([0.3, 0.7]), means=np.array([-0.2, -0.001]), deviations=np.array([0.1, 0.01])
    )
    write_artifact(steer_artifact(SteerFamily(mixture), {}), folder / "steer")
    weights = np.zeros((1, len(INPUTS) + 2))
    weights[0, INPUTS.index("log r")], weights[0, -2] = -2.0, -1.0  # the lower its score or confidence
    network = AdvantageNetwork({"layers.0.weight": weights, "layers.0.bias": np.array([-1.0])})
    write_artifact(advantage_artifact(AdvantageFamily(network, (0.0, 0.5, 1.0)), {}), folder / "advantage")
    return folder


@pytest.fixture
def proxies(vllm_servers: dict[str, Running]) -> Iterator[dict[str, RecordingProxy]]:
    with ExitStack() as stack:
        yield {name: stack.enter_context(recording_proxy(each.url)) for name, each in vllm_servers.items()}


def solved(case: Case, proxies: dict[str, RecordingProxy], folder: Path, path: Path) -> list[Trace]:
    text = CONFIG.format(**{name: proxy.url for name, proxy in proxies.items()})
    weak = case.weak + ("logprobs = 5\n" if case.logprobs else "")
    text = text.replace('model = "lab-weak"\n', f'model = "lab-weak"\n{weak}').replace("top_k = 0", TOP_K)
    path.write_text(f"{text}\n[route]\n{case.route.replace('{folder}', str(folder))}\n")
    config = read_config(path)
    roles, strategy = config.roles(), config.route.strategy_at(0)
    check_needs([Route(name=config.route.name, strategy=strategy)], roles)
    episodes = [Episode(problem, roles, route=config.route.name, limits=LIMITS) for problem in PROBLEMS]

    async def every() -> list[Trace]:
        return list(await asyncio.gather(*(episode.run(strategy) for episode in episodes)))

    return asyncio.run(every())


@pytest.mark.parametrize("name", CASES)
def test_a_strategy_ends_with_an_exact_account(
    name: str,
    vllm_servers: dict[str, Running],
    proxies: dict[str, RecordingProxy],
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    case, began = CASES[name], time.monotonic()
    before = {server: generated(running) for server, running in vllm_servers.items()}
    traces = solved(case, proxies, folder, tmp_path / "steproute.toml")
    seconds = time.monotonic() - began

    assert not [trace.error for trace in traces if trace.failed]
    if case.ends:
        assert {trace.outcome for trace in traces} <= {Outcome.ANSWERED, Outcome.ENDED_WITHOUT_ANSWER}
    lines = [line for trace in traces for line in trace.account]
    assert not any(line.usage.estimated for line in lines)
    for role in ("weak", "strong", "prm"):
        server = "lab-prm-place" if role == "prm" else f"lab-{role}"
        own, proxy = [line for line in lines if line.role == role], proxies[server]
        assert total_usage(own).read_tokens == proxy.total("prompt_tokens"), role
        if role != "prm":
            assert {line.purpose for line in own} <= set(SPENDS)
            tokens = sum(trace.generated_tokens(role) for trace in traces)
            assert tokens == proxy.total("completion_tokens") == generated(vllm_servers[server]) - before[server], role
    for role in ("weak", "strong"):
        kept = sum(trace.generated_tokens(role, Purpose.ACCEPTED) for trace in traces)
        assert kept == sum(step.tokens for trace in traces for step in trace.steps if step.role == role)

    asked = proxies["lab-weak"].calls
    assert max(call.body.get("n", 1) for call in asked) == case.n
    assert any(HINT in call.prompt for call in asked) == case.hints
    if case.logprobs:
        assert all(call.body["logprobs"] == 5 for call in asked)
        assert all(step.confidence for trace in traces for step in trace.steps if step.role == "weak")
    if case.weak:
        assert any(step.repaired_from for trace in traces for step in trace.steps)
    with capsys.disabled():
        counts = {server: len(proxy.calls) for server, proxy in proxies.items()}
        print(f"\n{name:30} {seconds:5.1f} s, calls {counts}, {sorted(trace.outcome.value for trace in traces)}")
