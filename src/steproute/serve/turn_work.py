"""An agent's next turn: the weak model writes it, the route's policy accepts it or has a stronger model write it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from steproute.core.chat import ChatRequest
from steproute.core.events import Drafted, Event, Finished
from steproute.core.ports import Strategy
from steproute.core.problem import Message
from steproute.core.trace import Trace
from steproute.core.usage import Price
from steproute.engine.episode import Episode
from steproute.engine.limits import Limits
from steproute.engine.roles import Roles
from steproute.engine.spending import limited_tokens
from steproute.serve.answering import Happening
from steproute.serve.step_work import prices_of, solved, within
from steproute.serve.turn_memory import Conversation, TurnMemory
from steproute.serve.turn_model import AnsweredByClient, TurnDraft, TurnModel
from steproute.serve.turn_pieces import in_order


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnWork:
    """A conversation, and the strategy that decides who writes its next turn. See Work.

    roles: whose models write turns of this request (TurnModel). bounds_tokens: whether all calls together generate no
    more than `most_tokens`, tries after failures included.
    """

    request: ChatRequest
    conversation: Conversation
    memory: TurnMemory
    route: str
    strategy: Strategy[Episode]
    roles: Roles
    limits: Limits
    most_usd: Decimal
    most_tokens: int
    bounds_tokens: bool = False
    seed: int = 0

    @property
    def trace_id(self) -> str:
        """The problem's id."""
        return self.conversation.problem.id

    @property
    def messages(self) -> Sequence[Message]:
        """The conversation."""
        return self.request.messages

    @property
    def prices(self) -> Mapping[str, Price]:
        """Of all models, and of the scorers whose names no model has."""
        return prices_of(self.roles)

    @property
    def turn(self) -> int:
        """Which of the assistant's turns it is, from 1."""
        return len(self.conversation.keys) + 1

    @property
    def bounded_roles(self) -> Roles:
        """The roles, whose calls stay within what is reserved."""
        roles = limited_tokens(self.roles, self.most_tokens) if self.bounds_tokens else self.roles
        return within(self.most_usd, roles)

    async def run(self, emit: Callable[[Happening], None]) -> Trace:
        """Hand on the pieces of the accepted turn once it is accepted, and of no other."""
        turn = _Turn(self, emit)
        await solved(turn.begin, self.strategy, turn.take)
        self._raise_refused(turn.trace)
        return turn.trace

    def _raise_refused(self, trace: Trace) -> None:
        """Raises FieldRefused if a model's server refused a field that the client itself has sent."""
        for role in self.roles.models.values():
            refused = role.model.refused if isinstance(role.model, TurnModel) else None
            if trace.failed and refused is not None and self.request.fields.keys() >= {*refused.fields} - {"messages"}:
                raise refused


class _Turn:
    """The turn under way. trace: of this turn alone, once it has ended."""

    trace: Trace

    def __init__(self, work: TurnWork, emit: Callable[[Happening], None]) -> None:
        self._work, self._emit = work, emit
        self._drafts: dict[int, TurnDraft] = {}

    def begin(self, on_event: Callable[[Event], None]) -> Episode:
        """The episode, whose solution begins with the earlier turns."""
        work = self._work
        self._episode = Episode(
            work.conversation.problem,
            replace(work.bounded_roles, environment=AnsweredByClient()),
            route=work.route,
            limits=work.limits,
            seed=work.seed,
            history=work.conversation.steps,
            on_event=on_event,
        )
        return self._episode

    def take(self, event: Event) -> None:
        """Something happened."""
        if isinstance(event, Finished):
            return self._end(event.trace)
        if isinstance(event, Drafted) and isinstance(event.draft, TurnDraft):
            self._drafts[event.draft.id] = event.draft
        self._emit(event)

    def _end(self, trace: Trace) -> None:
        steps = trace.steps[len(self._work.conversation.steps) :]
        faults = [f"{draft.role}: {draft.fault}" for draft in self._drafts.values() if draft.fault]
        self.trace = replace(trace, steps=steps, notes=(*trace.notes, *faults))
        if steps and not trace.failed:
            self._work.memory.keep_turn(self._work.conversation.key_of_next(steps[-1].text), steps[-1])
            for delta in in_order(self._drafts[self._episode.accepted[-1]].deltas):
                self._emit(delta)
        self._emit(Finished(self.trace))
