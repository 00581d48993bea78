"""SmolLM2-135M-Instruct in process and behind llama-cpp-python's server: real text, real tokens, real caches."""

import asyncio
import importlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from tests.servers.processes import Running, free_port, server

from steproute.backends.http.server import Server
from steproute.backends.llama_cpp import model as in_process
from steproute.backends.llama_cpp.model import LlamaCppModel, LlamaCppSettings
from steproute.backends.openai.model import OpenAiModel
from steproute.backends.openai.settings import OpenAiSettings
from steproute.backends.text_chat import chat_model
from steproute.core.chat import ChatDelta, ChatRequest
from steproute.core.decision import Accept, Rewrite
from steproute.core.errors import ContextOverflow
from steproute.core.grade import Verdict
from steproute.core.ports import ChatModel, Continuation
from steproute.core.problem import Problem
from steproute.core.solution import Draft, Meter, Outcome, Prefix, Sampling, Step, Stop
from steproute.core.trace import Trace
from steproute.core.usage import AccountLine, Usage
from steproute.engine.episode import Episode
from steproute.engine.limits import Limits
from steproute.engine.roles import ModelRole, Roles
from steproute.evaluation.datasets import load_problems
from steproute.grading.checker import AnswerChecker
from steproute.policies.baselines.confidence import Confidence
from steproute.strategies.stepwise import Stepwise

pytestmark = pytest.mark.servers
STEPROUTE = str(Path(sys.executable).with_name("steproute"))
GREEDY = Sampling(temperature=0.0, top_p=1.0, top_k=0, max_tokens=40)
LINES = replace(GREEDY, stop="\n", max_tokens=24)
SPRINTS = Problem.ask(
    id="sprints",
    text="James decides to run 3 sprints 3 times a week. He runs 60 meters each sprint. "
    "How many total meters does he run a week?",
)


@pytest.fixture(scope="session")
def home() -> Path:
    """Where llama-cpp-python's server is, with the model; the package is also put where this test runs."""
    installer = Path(__file__).with_name("install_llama_cpp.sh")
    said = subprocess.run([installer, sys.executable], check=True, stdout=subprocess.PIPE, text=True).stdout
    importlib.invalidate_caches()
    return Path(said.strip())


@pytest.fixture(scope="session")
def gguf(home: Path) -> str:
    return str(home / "smollm2-135m-instruct.gguf")


@pytest.fixture(scope="session")
def llama_server(home: Path, gguf: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    port = free_port()
    command = [
        *(f"{home}/bin/python", "-m", "llama_cpp.server", "--model", gguf, "--model_alias", "smollm2"),
        *("--n_ctx", "1024", "--n_threads", "1", "--n_threads_batch", "1", "--interrupt_requests", "false"),
        *("--host", "127.0.0.1", "--port", str(port), "--verbose", "false"),
    ]
    with server(command, port, tmp_path_factory.mktemp("llama") / "server.log", ready="/v1/models") as running:
        yield running


def local(gguf: str, **settings: Any) -> LlamaCppModel:
    return LlamaCppModel("local", LlamaCppSettings(**{"path": gguf, "n_ctx": 1024, "threads": 1, **settings}))


def remote(running: Running, **settings: Any) -> OpenAiModel:
    mode = {"model": "smollm2", "kind": "llama-cpp-python", "template": "none", "stop": "client", **settings}
    return OpenAiModel("remote", OpenAiSettings(server=Server(base_url=running.url), **mode))


@pytest.fixture(scope="session")
def smol(gguf: str) -> LlamaCppModel:
    return local(gguf)


def write(model: LlamaCppModel, prefix: Prefix, sampling: Sampling = GREEDY, n: int = 1) -> list[Draft]:
    return asyncio.run(model.propose(prefix, n, sampling))


def then(prefix: Prefix, draft: Draft) -> Prefix:
    return prefix.extended(Step(role="weak", text=draft.text, tokens=draft.usage.output_tokens))


def test_its_server_writes_the_same_greedy_steps_with_the_same_probabilities(gguf: str, llama_server: Running) -> None:
    """Steps are lines here: this tokenizer reads a blank line at the end of a prompt, as the server has it, as another
    token than one before a word, as the model in process has it."""
    here, there = local(gguf, template="none"), remote(llama_server, logprobs=1)

    async def compare(problem: Problem) -> int:
        prefix = Prefix(problem=problem, session=problem.id, separator="\n")
        for done in range(3):
            # The server would go on from what it has in its cache, and small batches give other numbers.
            await there.propose(Prefix(problem=Problem.ask(id="other", text="Z")), 1, replace(GREEDY, max_tokens=1))
            (own,), (got,) = await here.propose(prefix, 1, LINES), await there.propose(prefix, 1, LINES)
            assert (got.text, got.stop) == (own.text, own.stop), (problem.id, done)
            assert got.logprobs is not None
            assert own.logprobs is not None
            assert got.logprobs == pytest.approx(own.logprobs[: len(got.logprobs)], abs=1e-3)
            assert len(own.logprobs) - len(got.logprobs) in (0, 1), "the server does not show the end"
            assert got.usage.estimated
            if own.stop is Stop.END:
                return done + 1
            prefix = then(prefix, own)
        return 3

    async def all_problems() -> int:
        return sum([await compare(problem) for problem in load_problems("gsm8k", 3)])

    assert asyncio.run(all_problems()) >= 6


def test_steps_written_one_by_one_go_on_as_those_written_in_one_go(smol: LlamaCppModel) -> None:
    prefix = Prefix(problem=load_problems("gsm8k", 3)[2], session="one by one")
    (whole,) = write(smol, prefix, replace(GREEDY, stop=None, max_tokens=120))
    texts = whole.text.split("\n\n")
    assert len(texts) > 2
    assert whole.step_tokens is not None
    assert len(whole.step_tokens) == len(texts)
    assert sum(whole.step_tokens) == whole.usage.output_tokens
    (first,) = write(smol, prefix)
    assert (first.text, first.stop, first.step_tokens) == (texts[0], Stop.SEPARATOR, whole.step_tokens[:1])
    (second,) = write(smol, then(prefix, first))
    assert second.text[:20] == texts[1][:20]


def test_what_a_session_has_read_is_not_read_again(gguf: str) -> None:
    two, one = local(gguf), local(gguf, sessions=1)
    read = {"a": 0, "b": 0}
    prefixes = {name: Prefix(problem=Problem.ask(f"({name}) {SPRINTS.text}"), session=name) for name in read}
    for turn in range(3):
        for name, prefix in prefixes.items():
            (draft,) = write(two, prefix, replace(GREEDY, max_tokens=20))
            (same,) = write(one, prefix, replace(GREEDY, max_tokens=20))
            assert (same.text, same.logprobs) == (draft.text, draft.logprobs)
            assert same.usage == Usage(input_tokens=draft.usage.read_tokens, output_tokens=len(draft.logprobs or ()))
            assert draft.usage.cache_read_tokens == read[name]
            assert 0 < draft.usage.input_tokens < (200 if turn == 0 else 25)
            read[name] = draft.usage.read_tokens
            prefixes[name] = then(prefix, draft)
    (again,) = write(two, prefixes["a"])
    (replaced,) = write(two, replace(prefixes["a"], steps=prefixes["a"].steps[:1]))
    assert replaced.usage.cache_read_tokens < again.usage.cache_read_tokens
    assert replaced.usage.cache_read_tokens > 0


def test_a_draft_depends_on_seed_and_prefix_and_on_nothing_that_ran_before(smol: LlamaCppModel, gguf: str) -> None:
    sampling = Sampling(temperature=0.8, max_tokens=24, seed=2**60 + 5)
    begun = Prefix(problem=SPRINTS, session="seeds", steps=(Step(role="weak", text="First.", tokens=1),))
    first, second = write(smol, begun, sampling, 2)
    write(smol, Prefix(problem=SPRINTS, session="elsewhere"), sampling)
    write(smol, replace(begun, steps=()), sampling)
    fresh = local(gguf)
    for model in (smol, fresh):
        (again,) = write(model, begun, sampling)
        assert (again.text, again.logprobs) == (first.text, first.logprobs)
    assert second.text != first.text
    assert second.usage.input_tokens == 0
    assert write(smol, begun, replace(sampling, seed=6))[0].text != first.text


@pytest.mark.parametrize("separator", ["ames run", "eter", "h s"])
def test_a_step_is_cut_inside_the_token_that_holds_the_separator(smol: LlamaCppModel, separator: str) -> None:
    prefix = Prefix(problem=SPRINTS, session="cut", separator=separator)
    (draft,) = write(smol, prefix, replace(GREEDY, stop=separator))
    count = draft.usage.output_tokens
    uncut = [write(smol, prefix, replace(GREEDY, stop=None, max_tokens=most))[0] for most in (count - 1, count)]
    assert separator not in uncut[0].text
    assert uncut[1].text.partition(separator)[0] == draft.text
    assert not uncut[1].text.endswith(separator), "the token goes on behind the separator"
    assert draft.logprobs == uncut[1].logprobs
    assert draft.stop is Stop.SEPARATOR


def test_probabilities_come_with_every_token(smol: LlamaCppModel) -> None:
    (draft,) = write(smol, Prefix(problem=SPRINTS, session="logprobs"), replace(GREEDY, temperature=0.7, max_tokens=15))
    assert draft.logprobs is not None
    assert len(draft.logprobs) == draft.usage.output_tokens
    assert all(value < 0 for value in draft.logprobs)
    assert 0 < (draft.first_token_entropy or 0) < 11


def test_a_cancelled_call_stops_within_a_token_and_one_in_the_queue_costs_nothing(smol: LlamaCppModel) -> None:
    async def run() -> tuple[int, Meter, Meter]:
        running, waiting = Meter(), Meter()
        prefix = Prefix(problem=SPRINTS, session="cancelled")
        long = replace(GREEDY, stop=None, max_tokens=500)
        first = asyncio.ensure_future(smol.propose(prefix, 1, long, running))
        second = asyncio.ensure_future(smol.propose(prefix, 1, long, waiting))
        while running.usage.output_tokens < 5:
            await asyncio.sleep(0.001)
        seen = running.usage.output_tokens
        second.cancel()
        first.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
        assert first.cancelled()
        assert second.cancelled()
        return seen, running, waiting

    seen, running, waiting = asyncio.run(run())
    final = running.usage
    assert final.output_tokens <= seen + 2
    assert waiting.usage == Usage()
    (after,) = write(smol, Prefix(problem=SPRINTS, session="cancelled"), replace(GREEDY, max_tokens=5))
    assert running.usage == final, "nothing runs on"
    assert after.usage.cache_read_tokens == final.input_tokens


CAPITAL = {
    "type": "function",
    "function": {
        "name": "capital",
        "parameters": {"type": "object", "properties": {"country": {"type": "string"}}, "required": ["country"]},
    },
}
CHAT = ChatRequest(
    messages=(
        {"role": "system", "content": "Answer in English."},
        {"role": "user", "content": "What is the capital of France?"},
    ),
    fields={"temperature": 0, "top_p": 1, "top_k": 0, "max_tokens": 40},
)


def chat(model: ChatModel, request: ChatRequest = CHAT) -> list[ChatDelta]:
    async def run() -> list[ChatDelta]:
        async with aclosing(model.chat(request)) as deltas:
            return [delta async for delta in deltas]

    return asyncio.run(run())


def test_a_chat_request_is_passed_through(smol: LlamaCppModel, llama_server: Running) -> None:
    there, here = chat(remote(llama_server, continuation=Continuation.INSTRUCT)), chat(chat_model(smol))
    for deltas in (there, here):
        assert "Paris" in "".join(delta.content for delta in deltas)
        assert [delta.finish_reason for delta in deltas if delta.finish_reason] == ["stop"]
        assert deltas[-1].call is not None
    assert len(there) > len(here), "it comes in pieces"


def test_a_forced_call_to_a_tool_is_passed_through(llama_server: Running) -> None:
    choice = {"type": "function", "function": {"name": "capital"}}
    request = replace(CHAT, fields={**CHAT.fields, "tools": [CAPITAL], "tool_choice": choice})
    deltas = chat(remote(llama_server, continuation=Continuation.INSTRUCT), request)
    calls = [call for delta in deltas for call in delta.tool_calls]
    assert [call.name for call in calls if call.name] == ["capital"]
    assert "".join(call.arguments for call in calls).startswith("{")
    assert not any(delta.content or delta.fields for delta in deltas)


def test_a_chat_request_that_is_too_long_is_an_overflow(llama_server: Running) -> None:
    request = ChatRequest(messages=({"role": "user", "content": "word " * 3000},))
    with pytest.raises(ContextOverflow):
        chat(remote(llama_server, continuation=Continuation.INSTRUCT), request)


def test_a_full_context_ends_the_solution_in_so_many_words(gguf: str, llama_server: Running) -> None:
    small = local(gguf, n_ctx=256)
    (draft,) = write(small, Prefix(problem=SPRINTS, session="full"), replace(GREEDY, stop=None, max_tokens=500))
    assert draft.stop in (Stop.CONTEXT, Stop.END)
    begun = Prefix(problem=SPRINTS, steps=(Step(role="weak", text="and so on, " * 42, tokens=1),))
    (draft,) = write(small, begun, replace(GREEDY, stop=None, max_tokens=500))
    assert draft.stop is Stop.CONTEXT
    assert draft.usage.read_tokens + draft.usage.output_tokens == 256
    long = Problem.ask(id="long", text="one word and " * 400)
    with pytest.raises(ContextOverflow, match="Raise n_ctx"):
        write(small, Prefix(problem=long))
    for model in (small, remote(llama_server)):
        roles = Roles(models={"weak": ModelRole(model=model), "strong": ModelRole(model=model)})
        trace = asyncio.run(Episode(long, roles, route="long").run(Stepwise(policy=Confidence(0.0))))
        assert trace.outcome is Outcome.CONTEXT_OVERFLOW, trace
        assert trace.generated_tokens("weak") == 0


def later_calls(trace: Trace) -> list[AccountLine]:
    """All calls of a role but its first, which finds nothing in the cache."""
    lines = sorted(trace.account, key=lambda line: line.role)
    return [line for _, of_role in groupby(lines, key=lambda line: line.role) for line in list(of_role)[1:]]


def test_trim_solves_real_problems_and_every_token_is_on_the_account(
    gguf: str, llama_server: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = []
    monkeypatch.setattr(
        in_process, "draw", lambda *known, draw=in_process.draw: drawn.append(draw(*known)) or drawn[-1]
    )
    problems = [*load_problems("gsm8k", 3), *load_problems("math500", 2)]
    sampling = Sampling(max_tokens=128)  # enough for a step to end, so that there is a prefix to find in the cache
    rows = []
    for where in ("in process", "server"):
        pair = [local(gguf) if where == "in process" else remote(llama_server, logprobs=2) for _ in range(2)]
        roles = Roles(
            models={
                role: ModelRole(model=model, sampling=sampling)
                for role, model in zip(("weak", "strong"), pair, strict=True)
            }
        )
        began = time.monotonic()
        traces = asyncio.run(solve(problems, roles))
        seconds = time.monotonic() - began
        assert not [trace.error for trace in traces if trace.failed]
        lines = [line for trace in traces for line in trace.account]
        generated = sum(line.usage.output_tokens for line in lines)
        decisions = {step.decision for trace in traces for step in trace.steps}
        assert decisions == {Accept(), Rewrite("strong")}
        assert generated > 200
        if where == "in process":
            assert generated == len(drawn)
            assert not any(line.usage.estimated for line in lines)
            read = sum(line.usage.read_tokens for line in lines)
            hits = sum(line.usage.cache_read_tokens for line in lines) / read
            later = [line.usage for trace in traces for line in later_calls(trace)]
            assert later
            assert sum(usage.cache_read_tokens for usage in later) > 0.5 * sum(usage.read_tokens for usage in later)
        with AnswerChecker() as checker:
            answers = zip(traces, problems, strict=True)
            verdicts = [checker.check_now(trace.answer, problem.answer or "") for trace, problem in answers]
        right = verdicts.count(Verdict.CORRECT)
        rows.append(
            f"{where:10} {right} of {len(problems)} right, {generated} tokens, {generated / seconds:.1f} a second, "
            f"{seconds:.0f} s" + (f", {hits:.0%} of what was read came from the cache" if where == "in process" else "")
        )
    with capsys.disabled():
        print("\n" + "\n".join(rows))


async def solve(problems: list[Problem], roles: Roles) -> list[Trace]:
    """All problems at once, so that their calls alternate."""
    strategy, limits = Stepwise(policy=Confidence(0.75)), Limits(max_steps=3)
    episodes = [Episode(problem, roles, route="real", limits=limits) for problem in problems]
    return list(await asyncio.gather(*(episode.run(strategy) for episode in episodes)))


def run(folder: Path, *words: str, code: int = 0) -> str:
    result = subprocess.run([STEPROUTE, *words], cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == code, result.stdout + result.stderr
    return result.stdout


def test_a_new_user_edits_what_the_template_names_and_gets_a_routed_answer(gguf: str, tmp_path: Path) -> None:
    run(tmp_path, "init", "--template", "llama.cpp")
    config = tmp_path / "steproute.toml"
    unedited = json.loads(run(tmp_path, "doctor", "--json", code=1))
    assert "Set path to a GGUF file" in json.dumps(unedited)
    lines = config.read_text().splitlines()
    for at, line in enumerate(lines):
        if line.startswith("# EDIT:") and "file" in line:
            lines[at + 1] = f'path = "{gguf}"'
    config.write_text("\n".join(lines) + "\n[limits]\nmax_steps = 3\n")
    findings = json.loads(run(tmp_path, "doctor", "--json"))
    assert not [each for each in findings if each["severity"] == "failed"]
    solved = run(tmp_path, "solve", "--config", "steproute.toml", "--json", SPRINTS.text)
    assert '"role":"strong"' in solved
