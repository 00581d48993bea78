"""Chat completions and their chunks, as OpenAI's clients read them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from steproute.core.chat import ChatDelta
from steproute.core.solution import DEFAULT_SEPARATOR, Outcome, Step
from steproute.core.trace import Trace, total_usage
from steproute.serve.errors import upstream_failure
from steproute.serve.tool_calls import ToolCalls, piece

_CUT_OFF: Final = frozenset(
    {
        Outcome.MAX_STEPS,
        Outcome.STEP_TOO_LONG,
        Outcome.CONTEXT_OVERFLOW,
        Outcome.TOKEN_BUDGET,
        Outcome.MONEY_BUDGET,
        Outcome.CALL_BUDGET,
        Outcome.DEADLINE,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What a completion and each of its chunks begin with. created: Unix time in seconds. facts: of the route."""

    trace_id: str
    model: str
    created: int
    facts: Mapping[str, Any]

    def chunk(
        self,
        delta: Mapping[str, Any],
        *,
        finish_reason: str | None = None,
        steproute: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """A piece of a stream."""
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}
        return self._fields("chat.completion.chunk", [choice], steproute)

    def passed_chunk(self, delta: ChatDelta) -> dict[str, Any]:
        """A piece of a reply that is passed through."""
        choice = {
            "index": delta.reply,
            "delta": _piece(delta),
            "finish_reason": delta.finish_reason or None,
            "logprobs": delta.logprobs,
        }
        return self._fields("chat.completion.chunk", [choice], None)

    def usage_chunk(self, trace: Trace) -> dict[str, Any]:
        """The last piece of a stream whose client asked for usage."""
        return {**self._fields("chat.completion.chunk", [], None), "usage": usage_of(trace)}

    def completion(self, trace: Trace, choices: list[dict[str, Any]]) -> dict[str, Any]:
        """The whole answer."""
        return {**self._fields("chat.completion", choices, self.summary(trace)), "usage": usage_of(trace)}

    def summary(self, trace: Trace) -> dict[str, Any]:
        """The field `steproute` of an answer: steps, outcome, and dollars by role."""
        return {
            **self.facts,
            "outcome": trace.outcome.value,
            "answer": trace.answer,
            "cost_usd": f"{trace.cost_usd:f}",
            "latency_s": round(trace.latency_s, 6),
            "steps": [step_facts(step)["step"] for step in trace.steps],
            "usage_by_role": {
                role: {
                    "calls": used.calls,
                    "read_tokens": used.read_tokens,
                    "output_tokens": used.output_tokens,
                    "cost_usd": f"{used.cost_usd:f}",
                }
                for role, used in trace.usage_by_role().items()
            },
        }

    def _fields(self, kind: str, choices: list[Any], steproute: Mapping[str, Any] | None) -> dict[str, Any]:
        fields = {
            "id": self.trace_id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "choices": choices,
        }
        return fields if steproute is None else {**fields, "steproute": {"trace_id": self.trace_id, **steproute}}


def sound(trace: Trace) -> Trace:
    """Raises ApiError for a trace that is no answer."""
    if trace.failed:
        raise upstream_failure(trace.error or f"The solution ended as {trace.outcome.value}.")
    return trace


def step_choices(trace: Trace) -> list[dict[str, Any]]:
    """The one choice of an answer in steps."""
    message = {"role": "assistant", "content": text_of(trace.steps), "refusal": None}
    return [{"index": 0, "message": message, "finish_reason": finish_reason(trace), "logprobs": None}]


class PassedChoices:
    """The choices of a reply that is passed through, out of its pieces."""

    def __init__(self) -> None:
        self._choices: dict[int, _Choice] = {}

    def take(self, delta: ChatDelta) -> None:
        """A further piece."""
        if delta.call is None:
            self._choices.setdefault(delta.reply, _Choice()).take(delta)

    @property
    def whole(self) -> list[dict[str, Any]]:
        """All choices."""
        return [self._choices[reply].whole(reply) for reply in sorted(self._choices)]


class _Choice:
    """One of them, put together in time linear in its text."""

    def __init__(self) -> None:
        self._fields: dict[str, Any] = {}
        self._texts: dict[str, list[str]] = {"content": []}
        self._calls = ToolCalls()
        self._logprobs: dict[str, Any] | None = None
        self._finish_reason: str | None = None

    def take(self, delta: ChatDelta) -> None:
        self._fields.update(delta.fields)
        for name, text in _texts(delta).items():
            self._texts.setdefault(name, []).append(text)
        self._calls.take(delta.tool_calls)
        self._finish_reason = delta.finish_reason or self._finish_reason
        if delta.logprobs is not None:
            self._logprobs = self._logprobs or {}
            _add(delta.logprobs, self._logprobs)

    def whole(self, reply: int) -> dict[str, Any]:
        texts = {name: "".join(pieces) for name, pieces in self._texts.items()}
        message = {"role": "assistant", "content": "", "refusal": None, **self._fields, **texts}
        if calls := self._calls.whole:
            message |= {"tool_calls": calls, "content": message["content"] or None}
        return {
            "index": reply,
            "message": message,
            "finish_reason": self._finish_reason,
            "logprobs": self._logprobs,
        }


def _texts(delta: ChatDelta) -> dict[str, str]:
    """The texts of a piece that are not empty, by their fields."""
    texts = {"content": delta.content, "reasoning_content": delta.reasoning, "refusal": delta.refusal}
    return {name: text for name, text in texts.items() if text}


def _piece(delta: ChatDelta) -> dict[str, Any]:
    fields = {**delta.fields, **_texts(delta)}
    return fields | ({"tool_calls": [piece(call) for call in delta.tool_calls]} if delta.tool_calls else {})


def _add(logprobs: Mapping[str, Any], whole: dict[str, Any]) -> None:
    """Log-probabilities of a further piece: each field is a list of tokens, `content` or `refusal`."""
    for name, values in logprobs.items():
        if isinstance(values, list):
            whole[name] = whole.get(name) or []
            whole[name] += values
        else:
            whole[name] = values


def text_of(steps: tuple[Step, ...]) -> str:
    """The answer's text."""
    return DEFAULT_SEPARATOR.join(step.text for step in steps if step.text)


def finish_reason(trace: Trace) -> str:
    """`length` for an answer that a limit cut off, else `stop`; the outcome itself is in the field `steproute`."""
    return "length" if trace.outcome in _CUT_OFF else "stop"


def step_facts(step: Step) -> dict[str, Any]:
    """Who wrote a step, and its score."""
    return {"step": {"role": step.role, "score": step.score, "tokens": step.tokens}}


def usage_of(trace: Trace) -> dict[str, Any]:
    """Tokens of all calls, scoring and discarded drafts included; those that no answer shows are `rejected`."""
    total = total_usage(trace.account)
    return {
        "prompt_tokens": total.read_tokens,
        "completion_tokens": total.output_tokens,
        "total_tokens": total.read_tokens + total.output_tokens,
        "prompt_tokens_details": {
            "cached_tokens": total.cache_read_tokens,
            "cache_write_tokens": total.cache_write_tokens,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": total.reasoning_tokens,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": trace.discarded_tokens(),
            "audio_tokens": 0,
        },
    }
