"""Chat requests of nothing but text, for models that only write steps."""

import hashlib
import json
import secrets
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any, Final

from steproute.core.answer_rule import AnswerRule
from steproute.core.chat import LIMIT_FIELDS, ChatDelta, ChatRequest
from steproute.core.chat_support import check_supported, refusal
from steproute.core.errors import ConfigError, DatasetError, RequestError
from steproute.core.ports import ChatModel, ModelCapabilities, StepModel
from steproute.core.problem import Problem
from steproute.core.solution import Meter, ModelCall, Prefix, Sampling, Stop

_SAMPLING_FIELDS: Final = ("temperature", "top_p", "top_k", "seed")
_NO_EFFECT: Final = frozenset(
    {"model", "stream", "stream_options", "user", "metadata", "store", "tools", "tool_choice", "parallel_tool_calls"}
    | {"functions", "response_format", "safety_identifier", "prompt_cache_key", "service_tier"}
)
"""Fields that change nothing of a reply's text, and those that `check_supported` has checked."""
_NEUTRAL: Final[dict[str, Any]] = {
    "n": 1,
    "logprobs": False,
    "frequency_penalty": 0,
    "presence_penalty": 0,
    "logit_bias": {},
    "stop": [],
}
_RULE: Final = AnswerRule.of_whole_text("chat", "")


def chat_model(model: StepModel, sampling: Sampling = Sampling()) -> ChatModel:
    """The model for chat requests: itself if it takes them, else as a writer of text, by default with `sampling`."""
    return model if isinstance(model, ChatModel) else TextChat(model, sampling)


class TextChat:
    """A step model that answers a chat request with all that it writes at once, which is one piece."""

    capabilities = ModelCapabilities()

    def __init__(self, model: StepModel, sampling: Sampling) -> None:
        self.name = model.name
        self._model, self._sampling = model, sampling

    async def chat(self, request: ChatRequest, meter: Meter | None = None) -> AsyncGenerator[ChatDelta, None]:
        """See ChatModel."""
        check_supported(request, self.capabilities, self.name)
        sampling, meter = _sampling(request, self._sampling, self.name), meter or Meter()
        prefix = Prefix(problem=_problem(request), session=secrets.token_hex(8))
        (draft,) = await self._model.propose(prefix, 1, sampling, meter)
        if draft.text:
            yield ChatDelta(content=draft.text)
        yield ChatDelta(finish_reason="length" if draft.stop in (Stop.LENGTH, Stop.CONTEXT) else "stop")
        yield ChatDelta(call=ModelCall(usage=draft.usage, latency_s=draft.latency_s, request_id=draft.request_id))


def _problem(request: ChatRequest) -> Problem:
    text = json.dumps(request.messages, default=dict).encode()
    digest = hashlib.blake2b(text, digest_size=8).hexdigest()
    try:
        return Problem(id=f"chat-{digest}", messages=request.messages, rule=_RULE)
    except DatasetError as failure:
        where = failure.where.removeprefix("problem.")
        raise RequestError(failure.message, where=where, remedy=failure.remedy) from None


def _sampling(request: ChatRequest, sampling: Sampling, model: str) -> Sampling:
    """The request's sampling settings. Raises FieldRefused for a field that has no effect here, RequestError."""
    known = {*_SAMPLING_FIELDS, *LIMIT_FIELDS, *_NO_EFFECT}
    for name in request.fields:
        value = request.get(name)
        if name not in known and value is not None and value != _NEUTRAL.get(name, ...):
            raise refusal(model, name, "does not take this field", "Remove it, or send the request to another model.")
    given = {name: value for name in _SAMPLING_FIELDS if (value := request.get(name)) is not None}
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int if name in ("top_k", "seed") else int | float):
            raise RequestError(f"{value!r:.80} is no number that it takes.", where=name)
    if "seed" in given:
        given["seed"] %= 2**63
    try:
        return replace(sampling, **given, max_tokens=request.max_tokens or sampling.max_tokens, stop=None)
    except ConfigError as failure:
        raise RequestError(failure.message, where=failure.where, remedy=failure.remedy) from None
