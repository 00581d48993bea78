"""What a chat reply that is passed through has used so far, and how it ends."""

import json
import time
from collections.abc import Mapping
from math import inf

from steproute.backends.http.stream_meter import StreamMeter, tokens_in
from steproute.backends.http.token_counts import TokenCounts
from steproute.core.chat import ChatDelta, ChatRequest
from steproute.core.chat_images import is_image, parts_of, usual_image_tokens
from steproute.core.errors import BackendUnavailable
from steproute.core.problem import texts_of
from steproute.core.recording import estimated_tokens
from steproute.core.solution import Meter, ModelCall


class ChatMeter:
    """Keeps the meter of a chat request up to date while its replies arrive.

    most_tokens: of all replies together. marked_end: whether the server has marked the end.
    """

    def __init__(self, name: str, request: ChatRequest, meter: Meter, most_tokens: float = inf) -> None:
        self.marked_end = False
        self._name, self._most_tokens = name, most_tokens
        self._used = StreamMeter(meter, _prompt_tokens(request))
        self._used.most_tokens = most_tokens + request.replies
        self._pieces = self._tokens = self._reasoning = 0
        self._finished: dict[int, bool] = {}
        self._request_id, self._began = "", time.monotonic()

    def sent(self) -> None:
        """The request goes out: from now on it costs."""
        self._used.sent()

    def opened(self, headers: Mapping[str, str]) -> None:
        """The server answers."""
        self._request_id = headers.get("x-request-id") or headers.get("request-id", "")

    def discard(self) -> None:
        """An error came instead of a reply, or in its middle, or the request never arrived."""
        self._used.discard()

    def report(self, counts: TokenCounts) -> None:
        """What the server says that it used so far."""
        self._used.report(counts)

    def take(self, delta: ChatDelta) -> None:
        """The next delta."""
        self._finished[delta.reply] = self._finished.get(delta.reply, False) or bool(delta.finish_reason)
        reasoning = tokens_in(delta.reasoning)
        written = reasoning + tokens_in(delta.content) + tokens_in(delta.refusal)
        written += sum(tokens_in(call.name) + tokens_in(call.arguments) for call in delta.tool_calls)
        self._pieces += bool(written)
        self._tokens, self._reasoning = self._tokens + written, self._reasoning + reasoning
        self._used.arrived(self._pieces, self._tokens, self._reasoning)

    def last(self) -> list[ChatDelta]:
        """The deltas that follow the stream's end: reasons that the server has not given, and what the call used.

        Raises BackendUnavailable if the stream broke off.
        """
        self._used.ended()
        unfinished = [reply for reply, finished in self._finished.items() if not finished]
        complete = self.marked_end and self._used.reported and self._pieces
        if not self._finished or (unfinished and not complete):
            raise BackendUnavailable("the stream broke off before the reply was complete", where=self._name)
        reason = "length" if self._used.usage.output_tokens >= self._most_tokens else "stop"
        deltas = [ChatDelta(reply=reply, finish_reason=reason) for reply in unfinished]
        latency_s = time.monotonic() - self._began
        call = ModelCall(usage=self._used.usage, latency_s=latency_s, request_id=self._request_id)
        return [*deltas, ChatDelta(call=call)]


def _prompt_tokens(request: ChatRequest) -> int:
    """An estimate of what the request has the model read."""
    texts = "".join(text for message in request.messages for text in texts_of(message))
    calls = [message["tool_calls"] for message in request.messages if message.get("tool_calls")]
    images = (part for message in request.messages for _, part in parts_of(message) if is_image(part))
    seen = sum(map(usual_image_tokens, images))
    return seen + estimated_tokens(texts) + estimated_tokens(json.dumps([request.tools, calls], ensure_ascii=False))
