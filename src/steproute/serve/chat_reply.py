"""Chat completions and their chunks, as OpenAI's clients read them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from steproute.core.solution import DEFAULT_SEPARATOR, Outcome, Step
from steproute.core.trace import Trace, total_usage

_CUT_OFF: Final = frozenset(
    {
        Outcome.MAX_STEPS,
        Outcome.STEP_TOO_LONG,
        Outcome.CONTEXT_OVERFLOW,
        Outcome.TOKEN_BUDGET,
        Outcome.MONEY_BUDGET,
        Outcome.DEADLINE,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What a completion and each of its chunks begin with. created: Unix time in seconds."""

    trace_id: str
    model: str
    created: int

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

    def usage_chunk(self, trace: Trace) -> dict[str, Any]:
        """The last piece of a stream whose client asked for usage."""
        return {**self._fields("chat.completion.chunk", [], None), "usage": usage_of(trace)}

    def completion(self, trace: Trace) -> dict[str, Any]:
        """The whole answer."""
        message = {"role": "assistant", "content": text_of(trace.steps), "refusal": None}
        choice = {"index": 0, "message": message, "finish_reason": finish_reason(trace), "logprobs": None}
        return {**self._fields("chat.completion", [choice], summary(trace)), "usage": usage_of(trace)}

    def _fields(self, kind: str, choices: list[Any], steproute: Mapping[str, Any] | None) -> dict[str, Any]:
        fields = {
            "id": self.trace_id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "choices": choices,
        }
        return fields if steproute is None else {**fields, "steproute": {"trace_id": self.trace_id, **steproute}}


def text_of(steps: tuple[Step, ...]) -> str:
    """The answer's text."""
    return DEFAULT_SEPARATOR.join(step.text for step in steps)


def finish_reason(trace: Trace) -> str:
    """`length` for an answer that a limit cut off, else `stop`; the outcome itself is in the field `steproute`."""
    return "length" if trace.outcome in _CUT_OFF else "stop"


def step_facts(step: Step) -> dict[str, Any]:
    """Who wrote a step, and its score."""
    return {"step": {"role": step.role, "score": step.score, "tokens": step.tokens}}


def summary(trace: Trace) -> dict[str, Any]:
    """The field `steproute` of an answer: steps, outcome, and dollars by role."""
    return {
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


def usage_of(trace: Trace) -> dict[str, Any]:
    """Tokens of all calls, scoring and discarded drafts included; those that no answer shows are `rejected`."""
    total = total_usage(trace.account)
    return {
        "prompt_tokens": total.read_tokens,
        "completion_tokens": total.output_tokens,
        "total_tokens": total.read_tokens + total.output_tokens,
        "prompt_tokens_details": {"cached_tokens": total.cache_read_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": total.reasoning_tokens,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": trace.discarded_tokens(),
            "audio_tokens": 0,
        },
    }
