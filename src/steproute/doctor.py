"""`steproute doctor`: asks every backend of a configuration, and says what is wrong and what to do about it."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from steproute.config import build_policy
from steproute.config_file import ConfigFile, ProbeSettings, RouteSettings
from steproute.core.errors import ArtifactError, BackendError, ConfigError, SteprouteError, TooFewTokens
from steproute.core.problem import Problem
from steproute.core.solution import Confidence, Draft, Prefix, Sampling, Step, Stop
from steproute.engine.cast import Judge, Writer
from steproute.remote.connection import ServerConnection

_DEADLINE_S: Final = 120.0
_STEP_TOKENS: Final = 256
_COMPARED: Final = 20
_SMALL_CONTEXT: Final = 2048
_LEAST_GAP: Final = 0.1
_LAB_PROBE: Final = ProbeSettings(
    problem="(1) Cleo has 5 books. (2) There are 45 books in the bag of Zoe. "
    "(3) Kira has as many books as Zoe has more than Cleo. Find how many books Kira has in the end.",
    right=("(1) Cleo has 5.", "(2) Zoe has 45.", "(3) Kira has Zoe 45 - Cleo 5 = 40. So the answer is \\boxed{40}."),
    wrong=("(1) Cleo has 5.", "(2) Zoe has 45.", "(3) Kira has Zoe 45 + Cleo 5 = 50. So the answer is \\boxed{50}."),
)
_READS_LOGPROBS: Final = ("confidence", "first-token-entropy")
_WRITERS: Final = ("weak", "strong")
_TOLD: Final = re.compile(r".*\b((?:Set|Use|pip install) .*)$", re.DOTALL)
_JUDGES: Final = {
    **dict.fromkeys(("stepwise", "pipelined", "budgeted", "cascade", "automix-prm"), "prm"),
    "specreason": "strong",
}
_CONFIDENCE: Final = Confidence(mean_logprob=-0.1, min_logprob=-0.5, first_token_entropy=0.1)
_OTHER_MODE: Final = (
    "Choose a continuation mode that the server knows (vLLM and SGLang: completions or continue_final_message; "
    "llama.cpp: completions or prefill; hosted chat APIs: instruct)."
)


class Verdict(StrEnum):
    """How a check came out."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check of one backend: what was seen and, unless all is well, the remedy."""

    backend: str
    check: str
    verdict: Verdict
    seen: str
    remedy: str = ""


async def examine(config: ConfigFile) -> list[Finding]:
    """All findings: roles first, then each backend's, asked at the same time.

    Raises ConfigError for a probe that asks nothing.
    """
    _check(config.path.name, config.probe)
    models = [_collected(_model_findings(config, role), f"models.{role}") for role in config.tables["models"]]
    scorers = [_collected(_scorer_findings(config, role), f"scorers.{role}") for role in config.tables["scorers"]]
    found = await asyncio.gather(*models, *scorers)
    return [*_roles(config), *(finding for each in found for finding in each)]


def _check(file: str, probe: ProbeSettings) -> None:
    if not probe.problem.strip():
        raise ConfigError(f"{file}: doctor.problem: {probe.problem!r} is empty. Give a problem, or leave it out.")
    for name, steps in (("right", probe.right), ("wrong", probe.wrong)):
        if not steps or not all(step.strip() for step in steps):
            raise ConfigError(
                f"{file}: doctor.{name}: {list(steps)} holds no step, or an empty one. Give one step or more, or leave "
                "it out."
            )


async def _collected(findings: AsyncIterator[Finding], backend: str) -> list[Finding]:
    """A backend's findings up to the one after which nothing more can be asked."""
    collected = []
    try:
        async with asyncio.timeout(_DEADLINE_S):
            async for finding in findings:
                collected.append(finding)  # noqa: PERF401 - those before a failure count
    except SteprouteError as failure:
        collected.append(_failed(backend, "answers", str(failure), _remedy_for(failure, backend)))
    except TimeoutError:
        collected.append(_failed(backend, "answers", f"not within {_DEADLINE_S:g} s", "Is the server overloaded?"))
    return collected


def _roles(config: ConfigFile) -> list[Finding]:
    there, route = config.tables, config.route
    try:
        judge = _judge_of(route)
        route.strategy_at(0)
    except SteprouteError as failure:
        return [_failed("route", "policy", str(failure), "Correct [route].")]
    missing = [f"models.{role}" for role in _WRITERS if role not in there["models"]]
    if judge and judge not in there["scorers"]:
        missing.append(f"scorers.{judge}")
    if missing:
        remedy = "Describe them in the file, or choose a policy that reads no scores, such as confidence."
        return [_failed("route", "roles", f"{', '.join(missing)} missing", remedy)]
    return [Finding(backend="route", check="roles", verdict=Verdict.OK, seen=f"{route.strategy}, {route.policy}")]


async def _model_findings(config: ConfigFile, role: str) -> AsyncIterator[Finding]:
    name = f"models.{role}"
    writer = config.writer(role, {})
    connection = getattr(writer.model, "connection", None)
    if isinstance(connection, ServerConnection):
        yield await _listed(name, connection, str(config.tables["models"][role].get("model")))
    prober = _Prober(writer, _probe(config))
    began = time.monotonic()
    first = await prober.write()
    seconds = time.monotonic() - began
    yield _ok(name, "writes a step", f"{first.usage.output_tokens} tokens in {seconds:.2f} s: {first.text[:40]!r}")
    yield _stops(name, first, getattr(writer.model, "ignores_stop", False))
    yield await _continues(name, prober, first)
    if first.usage.estimated:
        remedy = "Have the server send usage with streams, or take all costs for estimates."
        yield _warning(name, "token counts", "the server reports none", remedy)
    reader = _reader_of_logprobs(config, role)
    if reader and first.confidence is None:
        remedy = f"Set logprobs = 5; {reader} reads them. Choose another where the server gives none."
        yield _failed(name, "log-probabilities", "none came", remedy)
    if writer.price.table == "not set":
        yield _warning(name, "price", "not set", f"Set price = {{ input = …, output = … }} below [{name}].")


async def _listed(name: str, connection: ServerConnection[Any], model: str) -> Finding:
    try:
        models = await connection.models()
    except BackendError as failure:
        if "status" not in str(failure) or "status 401" in str(failure) or "status 403" in str(failure):
            raise
        remedy = "Does base_url end in /v1? Servers without a list of models are fine if they write below."
        return _warning(name, "model", f"no list of models ({failure})", remedy)
    if model not in models:
        return _failed(name, "model", f"{model!r} is not served", f"Set model to one of {', '.join(models) or 'none'}.")
    room = models[model]
    if room is not None and room < _SMALL_CONTEXT:
        return _warning(name, "model", f"context of {room} tokens", "Long solutions will end in context_overflow.")
    return _ok(name, "model", f"{model}, context {room or 'not told'}")


def _stops(name: str, first: Draft, ignores_stop: bool) -> Finding:
    tokens = first.usage.output_tokens
    if ignores_stop:
        seen = f"{tokens} tokens, and only the first of them are the step: the server ignores the stop string"
        return _failed(name, "ends a step", seen, 'Set stop = "client".')
    if first.stop is Stop.LENGTH:
        remedy = "Ask for blank lines between steps in instructions, or for shorter steps."
        return _failed(name, "ends a step", f"{tokens} tokens without a separator", remedy)
    return _ok(name, "ends a step", first.stop.value)


async def _continues(name: str, prober: "_Prober", first: Draft) -> Finding:
    """Whether step 2 after step 1 is what the model writes when it writes both in one go (greedily)."""
    check = "continues a half-written answer"
    if first.stop is not Stop.SEPARATOR:
        return _warning(name, check, "the first step ended the solution", "Give [doctor] a longer problem.")
    second = await prober.write(first.text)
    if not second.text.strip():
        remedy = 'The chat template trims the end of the partial answer: set stop = "client", or use completions.'
        return _failed(name, check, "an empty step came back", remedy)
    if second.text.split() == first.text.split():
        return _failed(name, check, f"it starts over: {second.text[:40]!r}", _OTHER_MODE)
    if not prober.truly_continues:
        return _ok(name, check, f"writes one next step: {second.text[:40]!r}")
    whole = (await prober.write(to_end=True)).text
    expected = " ".join(f"{first.text}\n\n{second.text[:_COMPARED]}".split())
    if not " ".join(whole.split()).startswith(expected):
        return _failed(name, check, f"after its own first step it writes {second.text[:40]!r}", _OTHER_MODE)
    return _ok(name, check, second.text[:40].strip())


async def _scorer_findings(config: ConfigFile, role: str) -> AsyncIterator[Finding]:
    name, probe = f"scorers.{role}", _probe(config)
    judge = config.judge(role, {}, {})
    if config.tables["scorers"][role].get("backend") == "confidence":
        yield _ok(name, "one score a step", "from the models' log-probabilities, which are checked with each model")
        return
    began = time.monotonic()
    for count in range(1, len(probe.right) + 1):
        await _scores(judge, probe, probe.right[:count])
    seconds = (time.monotonic() - began) / len(probe.right)
    yield _ok(name, "one score a step", f"for 1 to {len(probe.right)} steps, {seconds:.2f} s a call")
    right = min(await _scores(judge, probe, probe.right))
    wrong = min(await _scores(judge, probe, probe.wrong))
    seen = f"lowest score of right steps {right:.2f}, with wrong ones {wrong:.2f}"
    if right < wrong:
        remedy = "The score is upside down: does the server give [p_good, p_bad], or another head?"
        yield _failed(name, "tells right from wrong", seen, remedy)
    elif right - wrong < _LEAST_GAP:
        remedy = "Check text and marker against the model card, and that the server loads the reward model's head."
        yield _failed(name, "tells right from wrong", seen, remedy)
    else:
        yield _ok(name, "tells right from wrong", seen)
    if judge.price.table == "not set" and not judge.members:
        yield _warning(name, "price", "not set", f"Set price = {{ input = …, output = … }} below [{name}].")


async def _scores(judge: Judge, probe: ProbeSettings, steps: tuple[str, ...]) -> tuple[float, ...]:
    done = tuple(Step(role="weak", text=text, tokens=0, confidence=_CONFIDENCE) for text in steps)
    problem = Problem(id="doctor", text=probe.problem)
    return (await judge.scorer.score(Prefix(problem=problem, steps=done, session="doctor"))).values


class _Prober:
    """Greedy steps of one model."""

    def __init__(self, writer: Writer, probe: ProbeSettings) -> None:
        self._writer = writer
        self._problem = Problem(id="doctor", text=probe.problem)
        settings = getattr(writer.model, "settings", None)
        greedy = "temperature" in getattr(settings, "sampling_fields", ("temperature",))
        self.truly_continues = greedy and getattr(settings, "continuation", "completions") != "instruct"
        self._hides_thoughts = getattr(settings, "thinking", "off") == "hide"

    async def write(self, *steps: str, to_end: bool = False) -> Draft:
        """One step after `steps`, or all to the end."""
        done = tuple(Step(role="doctor", text=text, tokens=0) for text in steps)
        prefix = Prefix(problem=self._problem, steps=done, session=f"doctor/{to_end}")
        most = self._writer.sampling.max_tokens
        if not self._hides_thoughts:
            most = min(_STEP_TOKENS, most)
        sampling = Sampling(temperature=0.0, top_p=1.0, top_k=0, max_tokens=most)
        if to_end:
            sampling = replace(sampling, stop=None)
        (draft,) = await self._writer.model.propose(prefix, 1, sampling)
        return draft


def _probe(config: ConfigFile) -> ProbeSettings:
    """The file's probe; the lab's own, whose models read nothing else, where all of the file is the lab."""
    parts = {table.get("backend") for kind in config.tables.values() for table in kind.values()}
    if config.probe != ProbeSettings() or parts - {"confidence", "ensemble"} != {"lab"}:
        return config.probe
    return _LAB_PROBE


def _judge_of(route: RouteSettings) -> str:
    """The scorer that the route asks; empty where it asks none. Raises ConfigError, ArtifactError."""
    needs_scores = build_policy(route.policy, route.knob, 0).needs_scores
    return _JUDGES.get(route.strategy, "") if needs_scores else ""


def _reader_of_logprobs(config: ConfigFile, role: str) -> str:
    """What of the route reads a model's log-probabilities, if anything does: a policy reads those of weak, a scorer
    those of all steps, whoever wrote them."""
    route, scorers = config.route, config.tables["scorers"]
    if role not in _WRITERS:
        return ""
    if route.policy in _READS_LOGPROBS:
        return route.policy if role == "weak" else ""
    asked = []
    with suppress(SteprouteError):  # of the route, which are found with the roles
        asked.append(_judge_of(route))
    for name in asked:
        table = scorers.get(name, {})
        if table.get("backend") == "confidence":
            return f"scorers.{name}"
        members = table.get("of")
        if isinstance(members, list):
            asked += [each for each in members if isinstance(each, str) and each not in asked]
    return ""


def _remedy_for(failure: SteprouteError, backend: str) -> str:
    told = _TOLD.match(str(failure))
    if isinstance(failure, ConfigError | ArtifactError | TooFewTokens):
        return told.group(1) if told else f"Correct [{backend}]."
    return _remedy_for_answer(str(failure), told)


def _remedy_for_answer(failure: str, told: "re.Match[str] | None") -> str:
    if "api_key_env" in failure or "status 401" in failure or "status 403" in failure:
        return "Put the right key into the variable that api_key_env names."
    if "pairs for" in failure:
        return "Set marker to the step tag that the server was started with (--pooler-config step_tag_id)."
    if "Use mode =" in failure or "use mode =" in failure:
        return "Change the scorer's mode or question, or switch its model's thinking off by extra."
    if "starts the solution over" in failure:
        return _OTHER_MODE
    if "Connect" in failure or "connection" in failure:
        return "Start the server, and check base_url's host and port."
    if told is not None:
        return told.group(1)
    if "status 404" in failure:
        return "Check that base_url ends in /v1, and the model's name."
    return "See the server's log."


def _ok(backend: str, check: str, seen: str) -> Finding:
    return Finding(backend=backend, check=check, verdict=Verdict.OK, seen=seen)


def _warning(backend: str, check: str, seen: str, remedy: str) -> Finding:
    return Finding(backend=backend, check=check, verdict=Verdict.WARNING, seen=seen, remedy=remedy)


def _failed(backend: str, check: str, seen: str, remedy: str) -> Finding:
    return Finding(backend=backend, check=check, verdict=Verdict.FAILED, seen=seen, remedy=remedy)
