"""An agent's request to a route with `tools = "route"`: the work that it is, and the most that this may use."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

import msgspec

from steproute.backends.text_chat import chat_model
from steproute.config import turn_writers
from steproute.core.chat import ChatRequest
from steproute.core.chat_support import check_supported
from steproute.core.errors import ScorerError
from steproute.core.ports import CAPABILITIES, DECIDES_BY, NEEDS, READS_CONFIDENCE, SCORES_REWRITES, ChatModel
from steproute.core.problem import Problem
from steproute.core.solution import Prefix, Step
from steproute.core.usage import Price, Usage
from steproute.core.usage_bounds import asks_for_an_hour, most_read, most_scored, written_for_an_hour
from steproute.engine.limits import Limits
from steproute.engine.roles import Roles, ScorerRole
from steproute.serve.errors import ApiError
from steproute.serve.turn_memory import Conversation, TurnMemory
from steproute.serve.turn_model import TurnModel
from steproute.serve.turn_scorer import scorer_of_turns

_BYTES: Final = 8
"""Bytes that a scorer reads of each token of a turn, at most: a reservation, which no call exceeds anyway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnRoles:
    """Who may write and score the next turn of a conversation, and what each token of the turn may cost.

    Each writer reads the conversation once and writes the turn once, and each draft that a policy decides about is
    scored once: that is the worst case, apart from tries that are made again.
    """

    roles: Roles
    conversation: Conversation
    writers: tuple[str, ...]
    scorers: tuple[str, ...]
    scorings: int
    reads: Mapping[str, Usage]

    def most_usd(self, tokens: int) -> Decimal:
        """Dollars if each draft has so many tokens."""
        return sum((price.most(usage) for price, usage in self._calls(tokens)), Decimal(0))

    def most_tokens(self, tokens: int) -> int:
        """Generated tokens of all writers and scorers."""
        return sum(usage.output_tokens for _, usage in self._calls(tokens))

    def affordable(self, usd: Decimal, tokens: int) -> int:
        """How many of the tokens each draft may have for so many dollars. Raises ApiError if that is none."""
        fixed = self.most_usd(0)
        each = self.most_usd(1) - fixed
        if usd < fixed + each:
            raise ApiError(
                400,
                f"Reading the conversation and scoring may cost ${fixed:.6f}, and the budget is ${usd}. "
                "Shorten the conversation, or raise max_cost_usd.",
                param="messages",
            )
        return min(tokens, int((usd - fixed) / each)) if each else tokens

    def limited_to(self, tokens: int) -> Roles:
        """The roles, whose models write turns of at most so many tokens."""
        models = {
            name: replace(role, sampling=replace(role.sampling, max_tokens=tokens)) if name in self.writers else role
            for name, role in self.roles.models.items()
        }
        return replace(self.roles, models=models)

    def _calls(self, tokens: int) -> Iterator[tuple[Price, Usage]]:
        for name in self.writers:
            yield self.roles.model(name).price, replace(self.reads[name], output_tokens=tokens)
        for name in self.scorers:
            for price, usage in self._scored(self.roles.scorer(name)):
                yield price, replace(usage, input_tokens=usage.input_tokens + self.scorings * _BYTES * tokens)

    def _scored(self, role: ScorerRole) -> Iterator[tuple[Price, Usage]]:
        if role.members:
            for member in role.members.values():
                yield from self._scored(member)
        elif not READS_CONFIDENCE.of(role.scorer):
            yield role.price, sum([_most_scored(role, self.conversation)] * self.scorings, Usage())


def turn_roles(
    request: ChatRequest,
    problem: Problem,
    conversation: Conversation,
    strategy: object,
    roles: Roles,
    memory: TurnMemory,
) -> TurnRoles:
    """For a request that each of the strategy's models can take; problem: all of its messages.

    Raises FieldRefused for what one of them cannot do.
    """
    policy, judges, writers = DECIDES_BY.of(strategy), NEEDS.of(strategy).scorers, turn_writers(strategy, roles)
    models = {name: chat_model(roles.model(name).model, roles.model(name).sampling) for name in writers}
    for model in models.values():
        check_supported(request, CAPABILITIES.of(model), model.name)
    reads = {name: most_read_by(model, problem, request) for name, model in models.items()}
    turns = {
        name: replace(roles.model(name), model=TurnModel(model, request, reads[name]), repair=None)
        for name, model in models.items()
    }
    scorers = {name: scorer_of_turns(name, roles.scorer(name), conversation, memory) for name in judges}
    rescores = policy is not None and SCORES_REWRITES.of(policy)
    return TurnRoles(
        roles=replace(roles, models={**roles.models, **turns}, scorers={**roles.scorers, **scorers}),
        conversation=conversation,
        writers=writers,
        scorers=judges,
        scorings=max(1, len(writers) - 1) if rescores else 1,
        reads=reads,
    )


def limits_of_turn(limits: Limits, conversation: Conversation) -> Limits:
    """The limits of a request within an episode that begins with all earlier turns.

    Tokens are limited for each draft, so that what one writer uses never cuts off another.
    """
    return replace(limits, max_tokens=None, max_steps=max(limits.max_steps, len(conversation.keys) + 1))


def most_read_by(model: ChatModel, problem: Problem, request: ChatRequest) -> Usage:
    """The most that a model reads of a request, whose messages are the problem's."""
    fields = msgspec.json.encode({name: request.get(name) for name in request.fields}).decode()
    most = Usage(input_tokens=most_read(Prefix(problem=problem), msgspec.json.encode(request.fields).decode()))
    asks = asks_for_an_hour(problem.canonical + fields) or CAPABILITIES.of(model).hour_writes
    return written_for_an_hour(most) if asks else most


def _most_scored(role: ScorerRole, conversation: Conversation) -> Usage:
    """Of the conversation and a newest turn without any text. A scorer that cannot read it will say so when asked."""
    steps = (*conversation.steps, Step(role="", text="", tokens=0))
    prefix = Prefix(problem=conversation.problem, steps=steps).for_scorers
    try:
        return most_scored(role.scorer, prefix)
    except ScorerError:
        return Usage(input_tokens=most_read(prefix))
