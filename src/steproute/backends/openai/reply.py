"""The answers of an OpenAI-compatible server to one request, while they arrive."""

import time
from collections.abc import Mapping
from dataclasses import replace
from math import inf
from typing import Final

from steproute.backends.http.finish import Ending, check_finish
from steproute.backends.http.repeats import Repeats
from steproute.backends.http.stream import Choice, Chunk
from steproute.backends.http.stream_meter import StreamMeter
from steproute.backends.http.token_counts import TokenCounts
from steproute.backends.openai.answer import Answer
from steproute.backends.openai.settings import OpenAiSettings
from steproute.core.apportioning import apportion
from steproute.core.errors import BackendError, BackendUnavailable
from steproute.core.ports import Continuation
from steproute.core.recording import estimated_tokens
from steproute.core.solution import Draft, Meter, Prefix, Sampling, Stop
from steproute.core.usage import Usage

_BEYOND: Final = 16
"""How many characters a token that holds a separator, or one of several that come together, may bring after it."""
_SHOWN: Final = 200


class Reply:
    """The answers to one request while they arrive; the meter is final whenever the request ends.

    prompt_text: the prompt, or the texts of all messages. apart: whether reasoning has come beside text before.
    """

    def __init__(
        self,
        name: str,
        settings: OpenAiSettings,
        prefix: Prefix,
        n: int,
        sampling: Sampling,
        meter: Meter,
        prompt_text: str,
        apart: bool,
    ) -> None:
        self.n, self.sampling = n, sampling
        self._name, self._facts = name, settings.facts
        self._used = StreamMeter(meter, estimated_tokens(prompt_text))
        self._one_step = settings.continuation is Continuation.INSTRUCT
        self._client_stops = sampling.stop is not None and settings.stop == "client"
        # A hosted model's reasoning may come as nothing but a count, with the last chunk.
        self._counts_at_end = settings.facts.hides_reasoning and self._one_step
        self._begun = bool(prefix.steps)
        self._answers = [Answer(settings, prefix, sampling, prompt_text, apart) for _ in range(n)]
        self._repeats, self._marked_end, self._most_tokens = Repeats(), False, inf
        self._request_id = ""
        self._began = time.monotonic()

    @property
    def cut(self) -> bool:
        """Whether nothing that is still to come matters."""
        if not self._client_stops or self._counts_at_end or all(answer.finish for answer in self._answers):
            return False
        return all(answer.cutter.complete or answer.finish for answer in self._answers)

    @property
    def apart(self) -> bool:
        """Whether reasoning came beside the text."""
        return any(answer.apart for answer in self._answers)

    @property
    def overrun(self) -> bool:
        """Whether the server continued after a separator that was its stop string."""
        stops_there = self.sampling.stop is not None and not self._client_stops
        return stops_there and any(answer.cutter.beyond > _BEYOND for answer in self._answers)

    @property
    def unanswered(self) -> bool:
        """Whether nothing of an answer has come."""
        return not any(answer.pieces or answer.finish for answer in self._answers)

    def sent(self, most_tokens: float) -> None:
        """The request goes out, for at most so many tokens an answer: from now on it costs."""
        self._most_tokens = most_tokens
        self._used.most_tokens = self.n * (most_tokens + 1)
        self._used.sent()

    def opened(self, headers: Mapping[str, str]) -> None:
        """The server answers."""
        self._request_id = headers.get("x-request-id", "")

    def discard(self) -> None:
        """An error came instead of an answer, or in its middle, or the request never arrived."""
        self._used.discard()

    def take(self, chunk: Chunk) -> None:
        """The next pieces of the answers, and what the server says that it used so far."""
        self._marked_end |= chunk.done
        if chunk.usage is not None:
            self.report(chunk.usage)
        for choice in chunk.choices:
            self._take(choice, chunk.usage.completion if chunk.usage is not None else None)

    def _take(self, choice: Choice, counted: int | None) -> None:
        if not 0 <= choice.index < self.n:
            raise BackendUnavailable(f"answer {choice.index} of {self.n} was not requested", where=self._name)
        piece = choice.reasoning + choice.piece
        if piece and not choice.whole and self._repeats.take(piece, counted):
            self._check_repeats(True)
        self._answers[choice.index].take(choice)
        self._used.arrived(sum(each.pieces for each in self._answers), sum(each.tokens for each in self._answers))

    def report(self, counts: TokenCounts) -> None:
        """What the server says that it used so far."""
        self._used.report(counts)

    def check(self) -> None:
        """Raises BackendUnavailable if an answer ended too early or repeats a piece, BackendError for refusals and for
        reasoning that was taken for a step."""
        if not self.cut:
            self._used.ended()
        self._check_repeats(self._repeats.confirmed_by(self._used.usage.output_tokens if self._used.reported else None))
        for answer in self._answers:
            if answer.cutter.complete:
                continue
            answer.finish = answer.finish or self._unsaid_finish(answer)
            check_finish(self._name, answer.finish, self._facts.broken_off_hint)
            if answer.refusal and not answer.cutter.text:
                raise BackendError(f"the model refuses to answer: {answer.refusal[:_SHOWN]!r}", where=self._name)
            if answer.ending is Ending.REGULAR and self._is_only_reasoning(answer):
                raise BackendError(
                    "its answer holds reasoning and no step: the server ends it early or takes the step for reasoning.",
                    where=self._name,
                    remedy="Set stop = 'client' and thinking = 'hide', or switch off reasoning or the server's "
                    "reasoning parser.",
                )

    def drafts(self, shortened: bool) -> list[Draft]:
        """One draft an answer; the first is billed for the prompt. `shortened`: to what room the context has."""
        usage, latency_s = self._used.usage, time.monotonic() - self._began
        shares = apportion(usage.output_tokens, [answer.tokens for answer in self._answers])
        first = True
        drafts = []
        for answer, share in zip(self._answers, shares, strict=True):
            own = (
                replace(usage, output_tokens=share) if first else Usage(output_tokens=share, estimated=usage.estimated)
            )
            drafts.append(
                Draft(
                    model=self._name,
                    text=answer.cutter.text,
                    stop=self._stop(answer, shortened),
                    usage=own,
                    logprobs=tuple(answer.logprobs) or None,
                    first_token_entropy=answer.entropy,
                    latency_s=latency_s,
                    request_id=self._request_id,
                )
            )
            first = False
        return drafts

    def _check_repeats(self, is_repeat: bool) -> None:
        """Raises BackendUnavailable if a piece came twice, for servers that count tokens in every piece."""
        if is_repeat and self._facts.counts_pieces and self.n == 1:
            raise BackendUnavailable("a piece came twice", where=self._name)

    def _unsaid_finish(self, answer: "Answer") -> str:
        """How an answer ended that has its count and the stream's end mark but gives no reason; empty for others."""
        if not (self._marked_end and self._used.reported and answer.pieces):
            return ""
        return "length" if self._used.usage.output_tokens >= self.n * self._most_tokens else "stop"

    def _is_only_reasoning(self, answer: "Answer") -> bool:
        """Whether an answer that has ended stopped inside its reasoning, or holds nothing beside it but should."""
        if answer.cutter.in_reasoning:
            return self.sampling.stop is not None and not self._client_stops
        has_no_more = self._one_step and self._begun and (self._client_stops or self._facts.hides_reasoning)
        return answer.apart and not answer.cutter.text and not has_no_more

    def _stop(self, answer: "Answer", shortened: bool) -> Stop:
        if answer.cutter.closed:
            return Stop.SEPARATOR
        if answer.ending in (Ending.LENGTH, Ending.CONTEXT):
            return Stop.CONTEXT if shortened or answer.ending is Ending.CONTEXT else Stop.LENGTH
        if self.sampling.stop is None or (self._client_stops and not self._one_step):
            return Stop.END
        if self._facts.reports_stop and not self._one_step:
            return Stop.SEPARATOR if answer.stopped_at == self.sampling.stop else Stop.END
        # Other servers do not say which it was, and a requested step ends by itself; after the solution's end
        # the next step comes back empty.
        return Stop.SEPARATOR if answer.cutter.text or not self._begun else Stop.END
