"""A model that writes an agent's next turn: one chat request, buffered, of which a strategy reads the text."""

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from steproute.core.chat import ChatDelta, ChatRequest
from steproute.core.errors import FieldRefused
from steproute.core.ports import ChatModel, ModelCapabilities, Response
from steproute.core.solution import Draft, Meter, ModelCall, Prefix, Sampling, Stop
from steproute.core.turns import ToolRules, turn_text
from steproute.core.usage import Usage
from steproute.serve.chat_reply import PassedChoices

_CUT_OFF: Final = "length"


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnDraft(Draft):
    """A turn as its model wrote it. deltas: its pieces. fault: why no client could act on it, empty if it can."""

    deltas: tuple[ChatDelta, ...] = ()
    fault: str = ""

    @property
    def degenerate(self) -> bool:
        """Never: a turn of punctuation is one, and a call is one whatever its tool's name."""
        return False


class TurnModel:
    """Writes the next turn of one request's conversation, which it sends as it came. reads: the most that it reads.

    refused: what its server refused of the request, if it did.
    """

    capabilities: ClassVar[ModelCapabilities] = ModelCapabilities(
        logprobs=False, several=False, example=False, plans=False, tools=True, tool_calls=True
    )

    def __init__(self, model: ChatModel, request: ChatRequest, reads: Usage) -> None:
        self.name = model.name
        self.refused: FieldRefused | None = None
        self._model, self._request, self._reads = model, request, reads
        self._rules = rules_of(request)

    def most_usage(self, prefix: Prefix, n: int, sampling: Sampling) -> Usage:
        """See BoundedModel."""
        return self._reads + Usage(output_tokens=sampling.max_tokens)

    async def propose(
        self, prefix: Prefix, n: int = 1, sampling: Sampling = Sampling(), meter: Meter | None = None
    ) -> list[Draft]:
        """One turn, of at most `sampling.max_tokens`; the request itself says how to draw it. See StepModel."""
        meter = meter or Meter()
        deltas, call = [], ModelCall(usage=Usage())
        async for delta in self._deltas(sampling.max_tokens, meter):
            if delta.call is None:
                deltas.append(delta)
            else:
                call = delta.call
        sent_back = [ModelCall(usage=usage) for part in meter.parts for usage in part.calls]
        return [self._draft(tuple(deltas), call, tuple(sent_back))]

    async def _deltas(self, tokens: int, meter: Meter) -> AsyncIterator[ChatDelta]:
        try:
            async with aclosing(self._model.chat(self._request.limited(tokens), meter)) as deltas:
                async for delta in deltas:
                    yield delta
        except FieldRefused as failure:
            self.refused = failure
            raise

    def _draft(self, deltas: tuple[ChatDelta, ...], call: ModelCall, sent_back: tuple[ModelCall, ...]) -> TurnDraft:
        choice = _choice(deltas)
        text, calls = turn_text(choice["message"]), choice["message"].get("tool_calls") or ()
        return TurnDraft(
            model=self.name,
            text=text,
            stop=Stop.LENGTH if choice["finish_reason"] == _CUT_OFF else Stop.SEPARATOR if calls else Stop.END,
            usage=call.usage,
            latency_s=call.latency_s,
            request_id=call.request_id,
            sent_back=sent_back,
            deltas=deltas,
            fault=self._rules.fault(calls) or ("" if text else "it is empty"),
        )


class AnsweredByClient:
    """The environment of an agent that runs elsewhere: its answer to a turn comes with the next request."""

    async def respond(self, prefix: Prefix) -> Response:
        """The turn is the whole solution of this request."""
        return Response(ends=True)


def rules_of(request: ChatRequest) -> ToolRules:
    """What calls a request allows."""
    tools = [tool.get("function") for tool in request.tools if isinstance(tool, Mapping)]
    return ToolRules(
        names=frozenset(str(each.get("name")) for each in tools if isinstance(each, Mapping)),
        choice=request.get("tool_choice"),
        parallel=request.get("parallel_tool_calls") is not False,
    )


def _choice(deltas: tuple[ChatDelta, ...]) -> dict[str, Any]:
    passed = PassedChoices()
    for delta in deltas or (ChatDelta(),):
        passed.take(delta)
    return passed.whole[0]
