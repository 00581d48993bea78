"""Writes docs/reference/steproute-toml.md from the settings classes: python docs/steproute_toml.py.

Fields, types and defaults come from the classes, the meanings from below. A field without a meaning is an error, and so
is a meaning without a field.
"""

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from steproute.backends.anthropic.model import AnthropicSettings
from steproute.backends.llama_cpp.model import LlamaCppSettings
from steproute.backends.openai.settings import OpenAiSettings
from steproute.config import ProbeSettings, RouteSettings
from steproute.config.answer import AnswerSettings
from steproute.config.file import RolesSettings
from steproute.config.gateway import RouteFields, ServeSettings
from steproute.core.answer_rule import BOXED
from steproute.core.registry import Registry, choosers, graders, policies, strategies
from steproute.core.solution import Sampling
from steproute.core.usage import Price
from steproute.engine.limiter import LimiterSettings
from steproute.engine.limits import Limits
from steproute.grading.judge import JUDGE_PROMPT, JudgeSettings
from steproute.grading.numeric import NumericGrader
from steproute.grading.regex import RegexGrader
from steproute.grading.user_function import PythonSettings
from steproute.lab.models import LabScorerSettings, LabSettings
from steproute.lab.planner import OraclePlanner
from steproute.scorers.arithmetic import ArithmeticSettings
from steproute.scorers.confidence import ConfidenceSettings
from steproute.scorers.ensemble import EnsembleSettings
from steproute.scorers.self_evaluation import SelfEvaluationSettings
from steproute.scorers.step_text import QWEN_PRM
from steproute.scorers.transformers_prm import TransformersPrmSettings
from steproute.scorers.vllm_pooling import PoolingSettings

PAGE: Final = Path(__file__).parent / "reference/steproute-toml.md"
MODELS: Final[Mapping[str, tuple[type, str]]] = {
    "openai": (OpenAiSettings, "A model of an OpenAI-compatible server."),
    "anthropic": (AnthropicSettings, "Claude. Needs `pip install 'steproute[anthropic]'`."),
    "llama.cpp": (LlamaCppSettings, "A GGUF file in this process. Needs `pip install 'steproute[local]'`."),
    "lab": (LabSettings, "A model of the bundled lab."),
    "lab-oracle-planner": (OraclePlanner, "Knows the plan of every lab story. It costs nothing and has no settings."),
}
SCORERS: Final[Mapping[str, tuple[type, str]]] = {
    "vllm-pooling": (PoolingSettings, "A process reward model on vLLM's pooling endpoint."),
    "transformers-prm": (
        TransformersPrmSettings,
        "A process reward model in this process. Needs `pip install 'steproute[prm]'`.",
    ),
    "self-evaluation": (SelfEvaluationSettings, "A chat model that is asked about each step."),
    "confidence": (ConfidenceSettings, "The log-probabilities of the models that wrote the steps. It calls nothing."),
    "arithmetic": (ArithmeticSettings, "A veto on steps that state a false equality. It calls nothing."),
    "ensemble": (EnsembleSettings, "Several scorers of this file, combined."),
    "lab": (LabScorerSettings, "A process reward model of the bundled lab."),
}
LONG: Final = {QWEN_PRM: "[below](#texts)", JUDGE_PROMPT: "[below](#texts)"}
_ESCAPED: Final = str.maketrans({"|": "\\|"})

MEANINGS: Final[Mapping[str, str]] = {
    "OpenAiSettings.model": "the model's name at the server",
    "OpenAiSettings.kind": "which server it is; some fields have other names there. Hosted APIs and gateways: `openai`",
    "OpenAiSettings.continuation": "how a half-written answer is continued "
    "([table](../how-to/connect-your-models.md#how-a-half-written-answer-is-continued))",
    "OpenAiSettings.template": "for `completions`: the chat template of the `server`, a tokenizer's folder, or `none`",
    "OpenAiSettings.instructions": "the system message, which says how to write steps and the answer; empty for none",
    "OpenAiSettings.stop": "who ends a step at the blank line; `client` closes the stream there",
    "OpenAiSettings.thinking": "a model's reasoning: kept as steps, hidden (but billed), or switched off",
    "OpenAiSettings.logprobs": "alternatives per token to ask for, 0 to 20; `confidence` needs at least 1",
    "OpenAiSettings.extra": "further fields of every request",
    "OpenAiSettings.omit": "request fields that are not sent; by default those that the model is known to refuse",
    "AnthropicSettings.model": "the model's name",
    "AnthropicSettings.continuation": "`instruct`, or `prefill` before Claude 4.6",
    "AnthropicSettings.instructions": "the system message; empty for none",
    "AnthropicSettings.thinking": "reasoning is switched off, or hidden but billed",
    "AnthropicSettings.thinking_budget": "maximum reasoning tokens before Claude 4.7; 0 leaves it to the model",
    "AnthropicSettings.sampling_fields": "which sampling settings are sent: temperature, top_p, top_k",
    "AnthropicSettings.extra": "further fields of every request",
    "LlamaCppSettings.path": "the GGUF file",
    "LlamaCppSettings.n_ctx": "tokens of the context",
    "LlamaCppSettings.threads": "processor threads; 0 for half of the processor's",
    "LlamaCppSettings.gpu_layers": "layers on the GPU, if the build has one; -1 for all",
    "LlamaCppSettings.template": "the file's own chat template, or the bare problem",
    "LlamaCppSettings.instructions": "the system message; empty for none",
    "LlamaCppSettings.thinking": "reasoning: kept as steps, hidden, or switched off by the template",
    "LlamaCppSettings.sessions": "number of problems whose caches are kept",
    "LabSettings.name": "which model",
    "LabScorerSettings.name": "which model; the older one is for comparison",
    "Server.base_url": "the address, with `/v1` or the path that the server's documentation gives",
    "Server.api_key_env": "the environment variable that holds the key; empty for none",
    "Server.connect_s": "maximum seconds to connect",
    "Server.read_s": "maximum seconds of silence",
    "Server.total_s": "maximum seconds of a call",
    "Server.longest_wait_s": "maximum wait that a server may ask for; beyond it the call fails at once",
    "Server.proxy": "a proxy's address, or `environment` to use HTTP_PROXY and similar variables; empty for none",
    "PoolingSettings.model": "the model's name at the server",
    "PoolingSettings.text": "what the model reads, with {problem} and {steps}",
    "PoolingSettings.marker": "text that closes each step; the score is read there",
    "PoolingSettings.between": "text between closed steps",
    "TransformersPrmSettings.model": "a local folder, or an id of the Hugging Face hub, with safetensors",
    "TransformersPrmSettings.head": "what turns the hidden state at a step's end into a score",
    "TransformersPrmSettings.text": "what the model reads; empty for what the head's model was trained on",
    "TransformersPrmSettings.marker": "text that closes each step; empty for what the head's model was trained on",
    "TransformersPrmSettings.between": "text between closed steps",
    "TransformersPrmSettings.good": "`marker-token`: the token of a good step",
    "TransformersPrmSettings.bad": "`marker-token`: the token of a bad step",
    "TransformersPrmSettings.dtype": "precision of the weights",
    "TransformersPrmSettings.device": "`auto`, `cpu`, `cuda` or another device of PyTorch",
    "TransformersPrmSettings.max_batch_tokens": "tokens per forward pass; 16384 on an accelerator, else 1024",
    "SelfEvaluationSettings.model": "the model's name at the server",
    "SelfEvaluationSettings.kind": "which server it is",
    "SelfEvaluationSettings.mode": "P(yes) of the first token, which needs log-probabilities, or a written digit",
    "SelfEvaluationSettings.question": "the question after the problem and its steps; empty for the built-in one",
    "SelfEvaluationSettings.logprobs": "alternatives of the first token to ask for, 2 to 20",
    "SelfEvaluationSettings.extra": "further fields of every request",
    "ConfidenceSettings.measure": "mean or minimum probability of a step's tokens, or entropy at its first token",
    "ArithmeticSettings.error_rate": "the share of incorrect steps without a false equality; 0 for a veto",
    "EnsembleSettings.combine": "how the members' scores become one",
    "EnsembleSettings.weights": "for `weighted`: one number above 0 per member",
    "Sampling.temperature": "0 for greedy",
    "Sampling.top_p": "1 for all tokens",
    "Sampling.top_k": "0 for all tokens",
    "Sampling.max_tokens": "maximum tokens per call",
    "LimiterSettings.in_flight": "maximum requests at once",
    "LimiterSettings.tokens_per_minute": "maximum tokens read and written; no limit if left out",
    "LimiterSettings.failures_to_open": "failures in a row after which the circuit opens: calls fail at once",
    "LimiterSettings.cooldown_s": "seconds until an open circuit lets a test call through",
    "Price.input": "dollars per million tokens read",
    "Price.output": "dollars per million tokens written",
    "Price.cache_read": "dollars per million tokens read from a cache; as `input` if left out",
    "Price.cache_write": "dollars per million tokens written to a cache; as `input` if left out",
    "Price.cache_write_1h": "dollars per million tokens written to a cache for an hour; twice `input` if left out",
    "Price.table": "a name for these prices, shown on every line of the account",
    "RolesSettings.environment": "what answers each accepted step: `calculator`, or a registered name; empty for none",
    "RolesSettings.ladder": "the models that may write steps, cheapest first: `weak`, any others, `strong`",
    "RouteSettings.strategy": "how one problem is solved: {strategies}",
    "RouteSettings.policy": "what decides about each step: {policies}; with `preroute` what chooses who writes it: "
    "{choosers}; or the folder of a trained policy",
    "RouteSettings.knob": "the policy's knob; for `threshold` the strong model rewrites steps that score lower",
    "takeover_steps": "steps that the strong model writes once it takes over; to the end if left out",
    "judge": "the role of the scorer that scores steps",
    "lookahead": "maximum steps that the weak model drafts while a step is scored",
    "first_steps": "steps that the strong model writes before the policy decides",
    "beam.width": "chains that are kept",
    "width": "drafts that the best one is chosen from",
    "chain": "what a chain's score is made of: the newest steps' ratios, or the scorer's score of the prefix",
    "weight": "share of the likelihood in a chain's score; the rest is the judge's",
    "beam.temperature": "of the draw of chains; 0 keeps the best ones",
    "second-chances.temperature": "of the further drafts",
    "mppa.temperature": "added to the weak model's own for plans",
    "decay": "what the temperature is multiplied by after each step",
    "vote": "whether the chains that are left vote on the answer",
    "weights": "what a vote weighs: nothing, or the judge's scores of its solution",
    "ladder": "the modes from the simplest to the hardest, each ROLE-NUMBER of drafts",
    "by": "what chooses among candidates: the judge or their votes",
    "first": "the mode of the first step, from 0; the hardest if left out",
    "good": "instead of the policy's: from this score on the next step gets a simpler mode",
    "low": "instead of the policy's: below this score the next step gets the hardest mode",
    "bad": "instead of the policy's: below this score a step is drawn again",
    "penalties": "instead of the policy's: how often one step is drawn again",
    "hedge": "the strong model starts together with the weak model if the last score is below this; 0 for never",
    "initial": "the role that writes the first solution",
    "deliberator": "the role that corrects the first solution by tools and in words",
    "rounds": "the maximum of rounds of tool calls and revision",
    "actions": "the maximum of tool calls per round",
    "tool_s": "seconds of CPU time that a tool may take; then the model writes its output",
    "samples": "further solutions of the weak model that verify its answer",
    "beam.samples": "drafts per chain",
    "vote.samples": "solutions",
    "rungs": "the second chances, in their order: `retry`, `resample`",
    "plans": "how many next steps the weak model writes to be merged",
    "merge": "`write`: the aggregator writes one step with the plans in view; `vote` and `judge` choose one of them",
    "aggregator": "the role that merges plans",
    "every_step": "whether plans are gathered whenever they are due, or only if the first is a planning step",
    "gap": "least tokens between two gatherings at the beginning of a solution",
    "slowing": "after so many tokens of the solution the gap is twice as long, and so on",
    "allocation": "folder of a fitted allocation, or the role that writes everything",
    "price": "of the most expensive model's usual solution, in correct answers",
    "mode": "`once`: all sub-tasks are allocated before the first step; `online`: again before each one",
    "planner": "the role that breaks the problem into sub-tasks",
    "bank": "folder of an example bank",
    "threshold": "least similarity of an example that is shown, from 0 to 1",
    "when": "`always`, or only where the policy would not accept the first try",
    "AnswerSettings.rule": "how a solution states its answer: boxed, final_line, choice, none, actions",
    "AnswerSettings.grader": "what grades answers: {graders}",
    "NumericGrader.relative": "tolerance as a share of the gold answer",
    "NumericGrader.absolute": "tolerance as a number",
    "NumericGrader.ignore_units": "whether the comparison ignores units",
    "RegexGrader.pattern": "the pattern that an answer has to match; the gold answer if empty",
    "RegexGrader.ignore_case": "whether upper and lower case are the same",
    "RegexGrader.whole": "whether the whole answer has to match, or a part of it",
    "RegexGrader.cpu_s": "maximum seconds of CPU time per answer",
    "PythonSettings.function": "`module:function` of (problem, answer, solution), which returns whether it is correct",
    "PythonSettings.timeout_s": "maximum seconds per answer",
    "JudgeSettings.model": "the role of the model that judges",
    "JudgeSettings.prompt": "the judge's prompt, with {problem}, {gold} and {answer}",
    "JudgeSettings.max_tokens": "maximum tokens of its reply",
    "Limits.max_steps": "maximum steps per solution",
    "Limits.max_tokens": "maximum generated tokens per problem",
    "Limits.max_cost_usd": "maximum dollars per problem, never exceeded: a call is made only if the most that it can "
    "cost is left",
    "Limits.max_calls": "maximum calls of a role per problem, never exceeded: `{ strong = 3 }`. Retries count, and so "
    "does each of several drafts, even if one request asks for all. A model that is continued by `instruct` is asked "
    "only if two are left, since its reply may be sent back",
    "Limits.deadline_s": "maximum seconds per problem",
    "Limits.retries": "retries of a call after a failure that may pass",
    "Limits.on_scorer_failure": "what happens to a step that could not be scored; `fail` fails the problem",
    "Limits.on_strong_failure": "`accept` keeps the weak model's draft if the strong model fails",
    "Limits.on_weak_failure": "`strong`: the strong model writes a step if the weak model fails, except in always-weak",
    "ServeSettings.host": "address to listen on; one that other machines reach needs `keys = true`",
    "ServeSettings.port": "port to listen on",
    "ServeSettings.workers": "processes behind the port; budgets hold across them",
    "ServeSettings.database": "the ledger: `sqlite:///FILE` for one machine, or "
    "`postgresql://USER:PASSWORD@HOST/NAME`, which needs `pip install 'steproute[postgres]'`",
    "ServeSettings.database_env": "the environment variable that holds the database's address, for one with a "
    "password; empty to use `database`",
    "ServeSettings.keys": "whether every request needs an API key, and every model a price",
    "ServeSettings.keep_prompts": "whether stored traces hold the conversations",
    "ServeSettings.keep_texts": "whether stored traces, spans and logs may hold any text of conversations and answers; "
    "false keeps their structure: roles, scores, decisions, tokens and dollars",
    "ServeSettings.retention_days": "days for which traces are stored",
    "ServeSettings.ledger_days": "days for which every call is a line of the ledger, at least 32; older ones become "
    "sums per day. None: for good",
    "ServeSettings.max_in_flight": "maximum requests at once in each worker; further ones get status 503",
    "ServeSettings.max_body_mb": "maximum size of a request in megabytes",
    "ServeSettings.drain_s": "seconds that a stopping gateway gives its requests to finish",
    "ServeSettings.lease_s": "seconds that the reservations of a killed worker hold their money",
    "ServeSettings.media_urls": "addresses of images that requests may have: `data:`, schemes, of which only public "
    "names, and beginnings of addresses such as `http://images.internal/`",
    "RouteFields.role": "the model that answers every request alone, in the place of a strategy",
    "RouteFields.passthrough": "the model that answers what steps cannot: tools, JSON, images; "
    "by default the last of the ladder",
    "RouteFields.rule": "the answer rule, as in `[answer]`; by default `none`, so that a solution ends where its model "
    "ends it",
    "RouteFields.knobs": "the lowest and highest knob that a request may set; none: no request may",
    "RouteFields.paced": "the knob of a tenant whose budget lasts, and that of one with nothing left; between them it "
    "follows the budget and the time that remain",
    "RouteFields.auto": "`rule`, or the folder of a trained query policy, which chooses for each request: the weak "
    "model alone, steps, or passthrough",
    "RouteFields.weak_from": "with `auto`: from this chance of being correct the weak model answers alone",
    "RouteFields.strong_below": "with `auto`: below this chance the passthrough model answers",
    "RouteFields.baseline_share": "the share of requests that the passthrough model alone is also asked, in the "
    "background, paid by the tenant `baseline`, so that `savings` can measure what routing saves",
    "RouteFields.tools": "requests with tools: `passthrough`, or `route`, by which each turn of an agent is a step "
    "([how](../how-to/run-the-gateway.md#agents-with-tools))",
    "ProbeSettings.problem": "the problem that `steproute doctor` asks",
    "ProbeSettings.right": "correct steps of it; a scorer has to score them higher",
    "ProbeSettings.wrong": "incorrect steps of it",
}
COMMON: Final = {
    "backend": ("word", "required", "which part it is: the headings below"),
    "price": ("table", "not set", "what its tokens cost: [price](#price)"),
    "sampling": ("table", "{}", "how it draws tokens: [sampling](#sampling). Models only"),
    "limiter": ("table", "{}", "how many calls at once: [limiter](#limiter)"),
    "repair": (
        "word",
        "none",
        "what corrects each step that it writes, before it is scored: `arithmetic`, or a registered name. Models only",
    ),
    "calibration": ("text", "none", "folder of a map by `steproute calibrate-scorer`. Scorers only"),
}
_DEFAULTS: Final = {"Price.table": '`"steproute.toml"`'}  # of the file, where the class has another one
_SET_ELSEWHERE: Final = {
    "Sampling": ("stop", "seed"),
    "RouteSettings": ("settings",),
    "AnswerSettings": ("settings",),
}
GRADERS: Final = {
    "numeric": NumericGrader,
    "regex": RegexGrader,
    "python": PythonSettings,
    "judge": JudgeSettings,
}
_ANSWER: Final = (
    "How solutions state their answers, and what grades them ([how](../how-to/grade-your-own-answers.md)). The graders "
    "math, exact and choice have no settings."
)


class Reference:
    """The page, and which meanings it has used."""

    def __init__(self) -> None:
        self.used: set[str] = set()

    def page(self) -> str:
        """The whole page; raises KeyError for a field without a meaning, ValueError for a meaning without a field."""
        text = "\n".join(self._lines()) + "\n"
        if unused := MEANINGS.keys() - self.used:
            raise ValueError(f"meanings without a field: {', '.join(sorted(unused))}")
        return text

    def _lines(self) -> Iterator[str]:
        yield from (_HEAD, "", "## `[models.ROLE]` and `[scorers.ROLE]`", "", _ROLES, "")
        yield from _table(f"| `{name}` | {' | '.join(cells)} |" for name, cells in COMMON.items())
        for kind, backends in (("models", MODELS), ("scorers", SCORERS)):
            for name, (settings, said) in backends.items():
                yield from (f'### `[{kind}.ROLE]` with `backend = "{name}"`', "", said, "")
                own = ["| `of` | list of text | required | the roles of its members |"] if name == "ensemble" else []
                if rows := [*own, *self._rows(settings)]:
                    yield from _table(rows)
        for heading, settings in (("price", Price), ("sampling", Sampling), ("limiter", LimiterSettings)):
            yield from (f"### {heading}", "", _INLINE[heading], "", *_table(self._rows(settings)))
        yield from ("## `[roles]`", "", *_table(self._rows(RolesSettings)))
        yield from ("## `[route]`", "", *_table([*self._rows(RouteSettings), *self._strategies()]))
        yield from ("## `[answer]`", "", _ANSWER, "", *_table(self._rows(AnswerSettings)))
        for grader, settings in GRADERS.items():
            yield from (f'### `[answer]` with `grader = "{grader}"`', "", *_table(self._rows(settings)))
        yield from ("## `[limits]`", "", "These limits apply to each problem.", "", *_table(self._rows(Limits)))
        yield from ("## `[serve]`", "", _SERVE, "", *_table(self._rows(ServeSettings)))
        yield from ("## `[serve.routes.NAME]`", "", _ROUTES, "", *_table(self._rows(RouteFields)))
        yield from ("## `[doctor]`", "", *_table(self._rows(ProbeSettings)))
        default = "The default `instructions` of a model under the answer rule `boxed`:"
        yield from ("## Texts", "", default, "", "```text", BOXED.instructions, "```", "")
        yield from ("The default `prompt` of a judge:", "", "```text", JUDGE_PROMPT, "```", "")
        yield from ("The default `text` of `vllm-pooling`, that of Qwen2.5-Math-PRM:", "", "```text", QWEN_PRM, "```")

    def _rows(self, settings: type) -> Iterator[str]:
        assert is_dataclass(settings)
        hints = get_type_hints(settings)
        for each in fields(settings):
            if each.name in _SET_ELSEWHERE.get(settings.__name__, ()):
                continue
            if is_dataclass(hints[each.name]) and isinstance(hints[each.name], type):
                yield from self._rows(hints[each.name])
                continue
            default = _DEFAULTS.get(f"{settings.__name__}.{each.name}") or _default(each)
            cells = (_type(hints[each.name]), default, self._meaning(settings, each.name))
            yield f"| `{each.name}` | {' | '.join(cells)} |"

    def _meaning(self, settings: type, name: str) -> str:
        key = f"{settings.__name__}.{name}"
        self.used.add(key)
        lists = {"strategies": strategies, "policies": policies, "choosers": choosers, "graders": graders}
        meaning = MEANINGS[key]
        for word, registry in lists.items():
            meaning = meaning.replace(f"{{{word}}}", _names(registry))
        return meaning

    def _strategies(self) -> Iterator[str]:
        """A row for each setting that strategies share, with their names."""
        found: dict[tuple[str, str, str, str], list[str]] = {}
        for name in built_in(strategies):
            kind = strategies.get(name)
            hints = get_type_hints(kind)
            for each in fields(kind):
                if each.init and each.name not in ("policy", "chooser", "routes", "role"):
                    own = f"{name}.{each.name}"
                    key = own if own in MEANINGS else each.name
                    self.used.add(key)
                    row = each.name, _type(hints[each.name]), _default(each), MEANINGS[key]
                    found.setdefault(row, []).append(f"`{name}`")
        for (setting, type_, default, meaning), names in found.items():
            yield f"| `{setting}` | {type_} | {default} | {', '.join(names)}: {meaning} |"


@cache
def built_in(registry: Registry) -> list[str]:
    """Names of the parts that come with the package."""
    return [name for name in registry.names() if registry.get(name).__module__.startswith("steproute.")]


def _names(registry: Registry) -> str:
    return ", ".join(f"`{name}`" for name in built_in(registry) if name != "single")


def _table(rows: "Iterator[str] | list[str]") -> Iterator[str]:
    yield from ("| field | takes | default | meaning |", "|---|---|---|---|", *rows, "")


def _type(hint: Any) -> str:
    """What a field takes, in words."""
    origin, inside = get_origin(hint), get_args(hint)
    if origin is Literal:
        return ", ".join(f"`{word}`" for word in inside)
    if origin in (Union, UnionType):
        return " or ".join(_type(each) for each in inside if each is not NoneType)
    if origin in (tuple, list):
        return f"list of {_type(inside[0])}"
    if isinstance(hint, type) and issubclass(hint, Enum):
        return ", ".join(f"`{member.value}`" for member in hint)
    return {str: "text", int: "whole number", float: "number", bool: "true, false"}.get(hint) or _other(hint)


def _other(hint: Any) -> str:
    return "number, or text for exactness" if getattr(hint, "__name__", "") == "Decimal" else "table"


def _default(field: "Field[Any]") -> str:
    if field.default is MISSING and field.default_factory is MISSING:
        return "required"
    value = field.default_factory() if field.default_factory is not MISSING else field.default
    if value is None:
        return "none"
    if isinstance(value, str) and value in LONG:
        return LONG[value]
    return f"`{_toml(value)}`".translate(_ESCAPED)


def _toml(value: Any) -> str:
    if isinstance(value, Enum):
        return _toml(value.value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\") + '"'
    if isinstance(value, tuple | list):
        return f"[{', '.join(_toml(each) for each in value)}]"
    return "{}" if isinstance(value, Mapping) else str(value)


_HEAD: Final = """# steproute.toml

Every table, field and default. `python docs/steproute_toml.py` writes this page from the code. `steproute init` writes
a file to start from ([how](../how-to/connect-your-models.md)), and `steproute doctor` checks it.
Unknown fields are errors.

Options on the command line override `[route]` and `[limits]` of the file."""
_ROLES: Final = """\
A model's role is `weak`, `strong` or any other name, such as `mid` for the baseline `single:mid`. A scorer's role is
`prm`, unless a strategy asks for another: `specreason` asks for `strong`. These fields are common to all backends:"""
_SERVE: Final = """\
The gateway of `steproute serve` ([how](../how-to/run-the-gateway.md)). It needs `pip install 'steproute[serve]'`.
Options of the command override these fields."""
_ROUTES: Final = """\
Each table is a model that clients name as `steproute/NAME`. Besides the fields below it takes every field of `[route]`
and `[limits]`, whose values apply to whatever it leaves out. Its limits apply to each request, and a request may ask
for less. Without any such table, `[route]` is the model `steproute/default`. Each model of the file is also available
by its role, such as `steproute/strong`, and answers alone."""
_INLINE: Final = {
    "price": '`price = { input = "0.05", output = "0.20" }`. Without a price its dollars are not counted.',
    "sampling": "`sampling = { temperature = 0.7, max_tokens = 512 }`. Each call sets the stop string and the seed.",
    "limiter": "`limiter = { in_flight = 32 }`. All tables of one server and model share one limiter.",
}

if __name__ == "__main__":
    PAGE.write_text(Reference().page())
