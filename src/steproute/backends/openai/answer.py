"""One of the answers of an OpenAI-compatible server to a request, while it arrives."""

from math import exp
from typing import Final

from steproute.backends.http.finish import Ending, ending_of
from steproute.backends.http.logprobs import Logprobs
from steproute.backends.http.stream import Choice
from steproute.backends.http.stream_meter import tokens_in
from steproute.backends.openai.settings import OpenAiSettings
from steproute.backends.prompts import written
from steproute.backends.reasoning import CLOSE, OPEN, ends_in_reasoning, opens_reasoning
from steproute.backends.step_cutter import StepCutter
from steproute.core.ports import Continuation
from steproute.core.solution import Prefix, Sampling

_NO_LOGPROBS: Final = Logprobs((), ())


class Answer:
    """The answer so far.

    pieces, tokens: how many pieces came, and about how many tokens they hold. finish: why it ended, as the server says.
    apart: whether reasoning came beside its text.
    """

    def __init__(
        self, settings: OpenAiSettings, prefix: Prefix, sampling: Sampling, prompt_text: str, apart: bool
    ) -> None:
        mode, thinking = settings.continuation, settings.thinking
        instructed, half_written = mode is Continuation.INSTRUCT, written(prefix)
        begins_in_reasoning: bool | None = False
        if instructed and (thinking == "hide" or (thinking == "keep" and settings.stop == "client")):
            begins_in_reasoning = None
        elif thinking == "hide" and not half_written:
            begins_in_reasoning = opens_reasoning(prompt_text) if mode is Continuation.COMPLETIONS else None
        self.cutter = StepCutter(
            prefix.separator,
            to_end=sampling.stop is None,
            hide_reasoning=thinking != "keep" or instructed,  # reasoning is no step
            begins_in_reasoning=begins_in_reasoning,
            echo=half_written if mode is Continuation.PREFILL else "",
        )
        self.finish, self.stopped_at, self.refusal = "", "", ""
        self.pieces = self.tokens = 0
        self.logprobs: list[float] = []
        self.entropy: float | None = None
        self.apart, self._in_pieces = False, False
        self._keeps_reasoning = thinking == "keep" and not instructed
        self._in_reasoning = ends_in_reasoning(half_written)
        # Text after reasoning that came beside it has no closing tag of its own.
        self._closes = apart and self._in_reasoning and mode is Continuation.CONTINUE_FINAL_MESSAGE

    def take(self, choice: Choice) -> None:
        """The next piece; all of the answer, which may follow its pieces, adds nothing to them."""
        self.finish, self.refusal = choice.finish or self.finish, self.refusal + choice.refusal
        self.stopped_at = choice.stopped_at or self.stopped_at
        if choice.whole and self._in_pieces:
            return
        self._in_pieces |= bool(choice.piece) and not choice.whole
        self._count(choice)
        if choice.reasoning and not (choice.whole and self.apart):
            self.apart = True
            self.cutter.begins_in_reasoning = False
            if self._keeps_reasoning:
                self.cutter.feed(choice.reasoning if self._in_reasoning else OPEN + choice.reasoning)
                self._in_reasoning = self._closes = True
        if choice.piece:
            closes = self._keeps_reasoning and self._closes
            self.cutter.feed(CLOSE + choice.piece if closes else choice.piece)
            self._in_reasoning = self._closes = False

    @property
    def ending(self) -> Ending:
        """What ended it."""
        return ending_of(self.finish)

    def _count(self, choice: Choice) -> None:
        logprobs = choice.logprobs or _NO_LOGPROBS
        self.pieces += bool(choice.piece or choice.reasoning)
        self.tokens += len(logprobs.values) or tokens_in(choice.reasoning) + tokens_in(choice.piece)
        if not self.logprobs and len(logprobs.first_tokens) > 1:
            self.entropy = -sum(exp(value) * value for _, value in logprobs.first_tokens)
        self.logprobs += logprobs.values
