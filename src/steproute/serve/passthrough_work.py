"""A request that one model answers as it came: tools, JSON, images and whatever else its server can do."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from steproute.backends.passthrough import passed_through
from steproute.backends.text_chat import chat_model
from steproute.core.chat import ChatDelta, ChatRequest
from steproute.core.errors import (
    ArtifactError,
    BackendError,
    ConfigError,
    ContextOverflow,
    FieldRefused,
    SpendingLimitReached,
)
from steproute.core.events import Billed, Finished
from steproute.core.problem import Message
from steproute.core.solution import Meter, ModelCall, Outcome, Step
from steproute.core.trace import Trace
from steproute.core.usage import AccountLine, Price, Purpose
from steproute.engine.limiter import slot_at
from steproute.engine.roles import ModelRole
from steproute.engine.spending import SpendingLimit
from steproute.serve.answering import Happening
from steproute.serve.tool_calls import ToolCalls


@dataclass(frozen=True, slots=True, kw_only=True)
class PassthroughWork:
    """A chat request and the model that answers it. See Work.

    most_usd: the most that one try can cost; it is tried again only while that fits what is left of it.
    """

    trace_id: str
    request: ChatRequest
    role: str
    model: ModelRole
    retries: int
    deadline_s: float | None
    most_usd: Decimal
    most_tokens: int

    @property
    def route(self) -> str:
        """As traces carry it."""
        return f"passthrough/{self.role}"

    @property
    def messages(self) -> Sequence[Message]:
        """The conversation."""
        return self.request.messages

    @property
    def prices(self) -> Mapping[str, Price]:
        """Of its model."""
        return {self.role: self.model.price}

    async def run(self, emit: Callable[[Happening], None]) -> Trace:
        """Hand each piece on as it comes. A model that fails gives a failed trace, with what it used."""
        reply = _Reply(self, emit)
        try:
            async with asyncio.timeout(self.deadline_s):
                await self._stream(reply)
        except TimeoutError:
            return reply.finish(Outcome.DEADLINE)
        except FieldRefused as failure:
            trace = reply.finish(Outcome.FAILED, str(failure))
            if self.request.fields.keys() >= {*failure.fields} - {"messages"}:
                raise
            return trace
        except ContextOverflow as failure:
            reply.finish(Outcome.FAILED, str(failure))
            raise
        except (BackendError, SpendingLimitReached) as failure:
            return reply.finish(Outcome.FAILED, str(failure))
        except (ConfigError, ArtifactError) as failure:
            reply.finish(Outcome.FAILED, str(failure))
            raise
        except BaseException:
            reply.finish(Outcome.CANCELLED)
            raise
        return reply.finish(reply.outcome)

    async def _stream(self, reply: "_Reply") -> None:
        limit = SpendingLimit(self.most_usd or None)

        @asynccontextmanager
        async def slot(meter: Meter) -> AsyncIterator[None]:
            async with limit.reserve(self.most_usd) as payment, slot_at(self.model.limiter, meter):
                try:
                    yield
                finally:
                    payment.usd = self.model.price.cost(meter.total)

        model = chat_model(self.model.model, self.model.sampling)
        deltas = passed_through(model, self.request, enter=reply.bill, retries=self.retries, slot=slot)
        async with aclosing(deltas):
            async for delta in deltas:
                reply.take(delta)


class _Reply:
    """What has come of an answer, and what it has cost."""

    def __init__(self, work: PassthroughWork, emit: Callable[[Happening], None]) -> None:
        self._work, self._emit = work, emit
        self._account: list[AccountLine] = []
        self._text: list[str] = []
        self._calls = ToolCalls()
        self._began = asyncio.get_running_loop().time()
        self.outcome = Outcome.COMPLETED

    def take(self, delta: ChatDelta) -> None:
        """A further piece."""
        if delta.reply == 0:
            self._text.append(delta.content)
            self._calls.take(delta.tool_calls)
        if delta.finish_reason == "length":
            self.outcome = Outcome.TOKEN_BUDGET
        self._emit(delta)

    def bill(self, purpose: Purpose, call: ModelCall, wait_s: float) -> None:
        """A try has ended."""
        work = self._work
        line = AccountLine(
            role=work.role,
            model=work.model.model.name,
            purpose=purpose,
            usage=call.usage,
            cost_usd=work.model.price.cost(call.usage),
            price_table=work.model.price.table,
            latency_s=call.latency_s,
            request_id=call.request_id,
            wait_s=wait_s,
        )
        self._account.append(line)
        self._emit(Billed(line))

    def finish(self, outcome: Outcome, error: str | None = None) -> Trace:
        """The trace: one step with the text, or with the calls of tools as JSON."""
        tokens = sum(line.usage.output_tokens for line in self._account if line.purpose is Purpose.ACCEPTED)
        calls: list[dict[str, Any]] = self._calls.whole
        text = "".join(self._text) or (msgspec.json.encode(calls).decode() if calls else "")
        trace = Trace(
            problem_id=self._work.trace_id,
            route=self._work.route,
            steps=(Step(role=self._work.role, text=text, tokens=tokens),) if text else (),
            answer=None,
            outcome=outcome,
            account=tuple(self._account),
            latency_s=asyncio.get_running_loop().time() - self._began,
            seed=0,
            error=error,
            at_fault=self._work.role if error else None,
        )
        self._emit(Finished(trace))
        return trace
