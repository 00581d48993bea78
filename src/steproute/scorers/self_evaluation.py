"""A language model that is asked about each step: P(yes) by its first token's alternatives, or a digit."""

import re
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, field
from math import exp, inf
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from steproute.backends.http.connection import Connection
from steproute.backends.http.finish import check_finish
from steproute.backends.http.repeats import Repeats
from steproute.backends.http.server import Server
from steproute.backends.http.stream import Chunk, chunks, most_tokens
from steproute.backends.http.stream_meter import StreamMeter, tokens_in
from steproute.backends.openai.kinds import KINDS, Kind
from steproute.core.errors import BackendUnavailable, ConfigError, ScorerError
from steproute.core.recording import estimated_tokens
from steproute.core.settings import settings_of
from steproute.core.solution import Meter, Prefix, Scores
from steproute.core.usage import Usage
from steproute.core.usage_bounds import TEMPLATE_TOKENS, byte_count
from steproute.scorers.step_by_step import StepByStep

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_QUESTIONS: Final = {
    "yes-no": "Is the last step correct, given the problem and the steps before it? Answer Yes or No, nothing else.",
    "digit": (
        "How correct and useful is the last step, given the problem and the steps before it? "
        "Answer with one digit from 0 (wrong or useless) to 9 (surely right), nothing else."
    ),
}
_MOST_TOKENS: Final = {"yes-no": 1, "digit": 8}
_AROUND_A_WORD: Final = " \t\n\u2581\u0120\u010a*\"'`.,:;!?"
_LEAST_MASS: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfEvaluationSettings:
    """The chat model, and how it is asked.

    mode: `yes-no` is P(yes) / (P(yes) + P(no)) of the answer's first token; `digit` is a written 0 to 9, divided by 9.
    question: what is asked after the problem and its steps, empty for our words. logprobs: how many alternatives of the
    first token to ask for. extra: further fields of every request.

    Raises ConfigError for a number of alternatives that no server gives.
    """

    model: str
    server: Server
    kind: Kind = "vllm"
    mode: Literal["yes-no", "digit"] = "yes-no"
    question: str = ""
    logprobs: int = 20
    extra: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 2 <= self.logprobs <= 20:
            raise ConfigError(f"{self.logprobs} is outside [2, 20].", where="logprobs")


class SelfEvaluationScorer:
    """A StepScorer over an OpenAI-compatible server; a judgement is one call, and is made once for each prefix of a
    session, one after the other."""

    judges_newest_alone: ClassVar[bool] = True

    def __init__(self, name: str, settings: SelfEvaluationSettings) -> None:
        self.name, self.settings = name, settings
        self.connection = Connection(name, settings.server)
        self._steps = StepByStep(name, self.score_newest)

    @classmethod
    def from_settings(cls, name: str, table: Mapping[str, Any]) -> "SelfEvaluationScorer":
        """From a table of `steproute.toml`: the fields of SelfEvaluationSettings and Server. Raises ConfigError."""
        return cls(name, settings_of(table, SelfEvaluationSettings))

    def most_usage(self, prefix: Prefix) -> Usage:
        """One question about the newest step; see `core.usage_bounds`."""
        bound, least = most_tokens(self.settings.extra), _MOST_TOKENS[self.settings.mode] + 1
        output = least if bound == inf else max(least, int(bound) + 1)
        return Usage(input_tokens=byte_count([self._said(prefix)]) + TEMPLATE_TOKENS, output_tokens=output)

    async def score(self, prefix: Prefix, meter: Meter | None = None) -> Scores:
        """One score per step; those that are not known yet are judged one after the other, up to the first failure.

        Raises ScorerError if an answer is no judgement, BackendError if there is none.
        """
        return await self._steps.score(prefix, meter or Meter())

    async def score_newest(self, prefix: Prefix, meter: Meter) -> Scores:
        """The last step's score alone, by one call, even if it is known. Raises as `score` does."""
        began = time.monotonic()
        verdict = await self._ask(self._said(prefix), meter)
        value = self._p_yes(verdict.alternatives) if self.settings.mode == "yes-no" else self._digit(verdict.text)
        return Scores(
            values=(value,),
            model=self.name,
            usage=meter.usage,
            latency_s=time.monotonic() - began,
            request_id=verdict.request_id,
        )

    def _said(self, prefix: Prefix) -> str:
        """The growing part is at the end, so that the part before it can be cached."""
        steps = "\n".join(f"<step>{step.text}</step>" for step in prefix.steps)
        return f"{prefix.problem.text}\n\n{steps}\n\n{self.settings.question or _QUESTIONS[self.settings.mode]}"

    async def _ask(self, said: str, meter: Meter) -> "_Verdict":
        """One streamed request."""
        settings, verdict = self.settings, _Verdict(self.name, meter, said)
        reads_alternatives = settings.mode == "yes-no"
        request: dict[str, Any] = {
            KINDS[settings.kind].chat_limit_field: _MOST_TOKENS[settings.mode],
            "temperature": 1.0 if reads_alternatives else 0.0,  # some servers give a one-hot distribution at 0
            "seed": 0,
            "stream_options": {"include_usage": True},
        }
        if reads_alternatives:
            request |= {"logprobs": True, "top_logprobs": settings.logprobs}
        request |= settings.extra
        verdict.used.most_tokens = most_tokens(request) + 1
        verdict.used.sent()
        async with (
            self.connection.call() as client,
            self.connection.opened(self._response(client, said, request), verdict.used.discard) as response,
        ):
            verdict.request_id = response.headers.get("x-request-id", "")
            async with aclosing(chunks(response.iter_bytes())) as arriving:
                async for chunk in arriving:
                    if (failure := self.connection.errors.in_event(chunk.error, chunk.foreign)) is not None:
                        verdict.used.discard()
                        raise failure
                    verdict.take(chunk)
        verdict.check()
        return verdict

    def _response(
        self, client: "AsyncOpenAI", said: str, request: Mapping[str, Any]
    ) -> AbstractAsyncContextManager[Any]:
        return client.chat.completions.with_streaming_response.create(
            model=self.settings.model, messages=[{"role": "user", "content": said}], stream=True, extra_body=request
        )

    def _p_yes(self, alternatives: Sequence[tuple[str, float]]) -> float:
        """P(yes) / (P(yes) + P(no)) over all spellings."""
        if not alternatives:
            raise ScorerError(
                "its answer has no log-probabilities.",
                where=self.name,
                remedy="Use mode = 'digit', or a server that has them.",
            )
        mass = dict.fromkeys(("yes", "no"), 0.0)
        for token, logprob in alternatives:
            word = token.strip(_AROUND_A_WORD).lower()
            if word in mass:
                mass[word] += exp(logprob)
        both = sum(mass.values())
        if both < _LEAST_MASS:
            raise ScorerError(
                f"yes and no have {both:.3f} of its first token's probability, {alternatives[0][0]!r} has more.",
                where=self.name,
                remedy="Have it answer at once (no thinking, another question), or use mode = 'digit'.",
            )
        return mass["yes"] / both

    def _digit(self, text: str) -> float:
        numbers = re.findall(r"\d+(?:\.\d+)?", text)
        if len(numbers) != 1 or len(numbers[0]) != 1:
            raise ScorerError(
                f"{text[:60]!r} is no digit from 0 to 9.",
                where=self.name,
                remedy="Have it answer at once (no thinking, another question), or use mode = 'yes-no'.",
            )
        return int(numbers[0]) / 9


class _Verdict:
    """What has come of the answer to one question; the meter is final whenever the request ends."""

    def __init__(self, name: str, meter: Meter, said: str) -> None:
        self.used = StreamMeter(meter, estimated_tokens(said))
        self.text, self.request_id = "", ""
        self.alternatives: tuple[tuple[str, float], ...] = ()
        self._name, self._repeats, self._tokens = name, Repeats(), 0
        self._finish, self._marked_end = "", False

    def take(self, chunk: Chunk) -> None:
        """The next piece, its alternatives, and what the server says that it used."""
        self._marked_end |= chunk.done
        if chunk.usage is not None:
            self.used.report(chunk.usage)
        for choice in chunk.choices:
            if piece := choice.reasoning + choice.piece:
                self._repeats.take(piece, chunk.usage.completion if chunk.usage is not None else None)
            self.text += choice.piece
            self._tokens += tokens_in(piece)
            self.used.arrived(self._repeats.pieces, self._tokens)
            if not self.alternatives and choice.logprobs is not None:
                self.alternatives = choice.logprobs.first_tokens
            self._finish = choice.finish or self._finish

    def check(self) -> None:
        """Raises BackendUnavailable if the stream ended too early or repeats itself, BackendError for a refusal."""
        self.used.ended()
        counted = self.used.usage.output_tokens if self.used.reported else None
        if self._repeats.confirmed_by(counted):
            raise BackendUnavailable("a piece came twice", where=self._name)
        if not self._finish and self._marked_end and self.used.reported and self._repeats.pieces:
            return
        check_finish(self._name, self._finish)
