"""What a chat request asks of a route, and the most that it may use."""

import secrets
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Final

from steproute.backends.text_chat import chat_model
from steproute.config.gateway import GatewayRoute
from steproute.core.chat import ChatRequest
from steproute.core.chat_images import is_bounded, parts_of
from steproute.core.chat_support import check_supported
from steproute.core.ports import CAPABILITIES, ONLY_READS, RETRACTS, PolicyFamily, Strategy
from steproute.core.problem import Problem
from steproute.core.solution import Prefix
from steproute.core.usage import Price, Usage
from steproute.core.usage_bounds import most_written
from steproute.engine.episode import Episode
from steproute.engine.limits import Limits
from steproute.engine.roles import Roles
from steproute.serve.answering import Work
from steproute.serve.auto import Choice, Chooser
from steproute.serve.chat_request import Chat, ChatBody, limits_of, of_request, problem_of
from steproute.serve.errors import ApiError, refused_field
from steproute.serve.passthrough_work import PassthroughWork
from steproute.serve.step_work import StepWork, prices_of
from steproute.serve.turn_memory import Conversation, TurnMemory
from steproute.serve.turn_request import TurnRoles, limits_of_turn, most_read_by, turn_roles
from steproute.serve.turn_work import TurnWork
from steproute.solving import check_lab_problem
from steproute.store import Principal
from steproute.store.money import MOST_UNITS, usd_of
from steproute.store.records import MOST_TOKENS

USUAL_TOKENS: Final = 4096
"""What an answer may generate if a budget has to hold and nothing else says how much."""
_ALONE: Final = 2
_MOST_USD: Final = usd_of(MOST_UNITS)
_PER_MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedRoute:
    """A route, how it chooses who answers, and how it solves: the strategy, and the name that traces carry.

    family: of its policy, for requests at other knobs; None if it does not solve in steps.
    """

    route: GatewayRoute
    chooser: Chooser
    strategy: Strategy[Episode]
    name: str
    family: PolicyFamily | None = None
    memory: TurnMemory = field(default_factory=TurnMemory)

    @property
    def retracts(self) -> bool:
        """Whether no step may be shown before the end."""
        return RETRACTS.of(self.strategy)

    def choose(self, chat: Chat, knob: float | None = None) -> Choice:
        """Who answers a request. knob: of this request, if it is not the route's own."""
        if self.routes_turns(chat):
            return Choice("turns", "it has tools, and the route decides who writes each turn")
        return self.chooser.choose(chat, knob)

    def routes_turns(self, chat: Chat) -> bool:
        """Whether a request is an agent's, whose turn is a step here."""
        return self.route.tools == "route" and chat.is_agents


@dataclass(frozen=True, slots=True)
class Requested:
    """A request to a route: who answers it and why, and the work that this is.

    alone: the same asked of the passthrough model, if it is to be measured what that costs.
    """

    served: ServedRoute
    choice: Choice
    work: Work
    alone: Work | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """For the client: the route, the choice if the route chooses, and which of an agent's turns it is."""
        facts: dict[str, Any] = {"route": self.served.route.name}
        if self.served.route.auto is not None:
            facts |= {"choice": self.choice.arm, "reason": self.choice.reason}
        return facts | ({"turn": self.work.turn} if isinstance(self.work, TurnWork) else {})

    @property
    def at_once(self) -> bool:
        """Whether a stream shows each step when it is accepted. An agent's turn is shown in its own pieces."""
        return not (self.served.retracts or self.choice.arm == "turns")


def work_of(
    chat: Chat,
    served: ServedRoute,
    choice: Choice,
    roles: Roles,
    principal: Principal,
    trace_id: str,
    knob: float | None = None,
) -> Work:
    """What is to be done. Raises ApiError, FieldRefused, ConfigError and DatasetError for what cannot be.

    knob: of this request, if it is not the route's own.
    """
    if choice.arm == "steps":
        return _within_ledger(step_work(chat, served, roles, principal, trace_id, knob))
    if choice.arm == "turns":
        return _within_ledger(turn_work(chat, served, roles, principal, trace_id, knob))
    role = roles.ladder[0] if choice.arm == "weak" else served.route.passthrough
    return _within_ledger(passthrough_work(chat, served.route, role, roles, principal, trace_id))


def _within_ledger(work: Work) -> Work:
    """Raises ApiError for more than the ledger can hold: a client asked for so much, since no model does."""
    name = "max_tokens" if work.most_tokens > MOST_TOKENS else "max_cost_usd"
    if work.most_tokens > MOST_TOKENS or work.most_usd > _MOST_USD:
        raise ApiError(400, f"{name}: more than any answer can use. Ask for less.", param=name)
    return work


def step_work(
    chat: Chat,
    served: ServedRoute,
    roles: Roles,
    principal: Principal,
    trace_id: str,
    knob: float | None = None,
) -> StepWork:
    """A conversation to answer step by step. Raises ApiError, ConfigError and DatasetError for what cannot be."""
    chat.check_steps()
    problem = _readable(problem_of(chat.body, served.route, trace_id), roles)
    roles = _sampled(roles, chat.body)
    limits = limits_of(chat.body, served.route)
    if principal.limits_tokens and limits.max_tokens is None:
        limits = replace(limits, max_tokens=USUAL_TOKENS)
    strategy, name = _strategy(served, knob)
    return StepWork(
        problem=problem,
        route=name,
        strategy=strategy,
        roles=roles,
        limits=limits,
        most_usd=_most_usd(problem, served.route, roles, limits),
        seed=_seed(chat.body),
    )


def turn_work(
    chat: Chat,
    served: ServedRoute,
    roles: Roles,
    principal: Principal,
    trace_id: str,
    knob: float | None = None,
) -> TurnWork:
    """An agent's next turn, to be written by one of several models. Raises as `passthrough_work`."""
    if chat.body.n not in (None, 1):
        raise refused_field("n", "a route that routes tools gives one turn to each request.")
    problem = problem_of(chat.body, served.route, trace_id)
    owner = principal.tenant, served.route.name
    conversation = Conversation.of(chat.request, trace_id, owner, served.memory)
    strategy, name = _strategy(served, knob)
    limits = limits_of(chat.body, served.route)
    turn = turn_roles(chat.request, problem, conversation, strategy, roles, served.memory)
    tokens = _turn_tokens(chat.body, served.route, turn)
    if limits.max_cost_usd is not None:
        tokens = turn.affordable(limits.max_cost_usd, tokens)
    return TurnWork(
        request=chat.request,
        conversation=conversation,
        memory=served.memory,
        route=name,
        strategy=strategy,
        roles=turn.limited_to(tokens),
        limits=limits_of_turn(limits, conversation),
        most_usd=turn.most_usd(tokens),
        most_tokens=turn.most_tokens(tokens),
        bounds_tokens=principal.limits_tokens or served.route.limits.max_tokens is not None,
        seed=_seed(chat.body),
    )


def passthrough_work(
    chat: Chat, route: GatewayRoute, name: str, roles: Roles, principal: Principal, trace_id: str
) -> PassthroughWork:
    """A request that one model answers as it came, with a limit on its tokens if a budget has to hold.

    Raises FieldRefused for what the model cannot do, and ApiError for what its budget cannot pay.
    """
    role = roles.model(name)
    model = chat_model(role.model, role.sampling)
    check_supported(chat.request, CAPABILITIES.of(model), model.name)
    problem = _readable(problem_of(chat.body, route, trace_id), roles)
    limits = limits_of(chat.body, route)
    if limits.max_cost_usd is not None or principal.limits_usd:
        _check_bounded(chat.request)
    reads = most_read_by(model, problem, chat.request)
    tokens = _affordable(limits, role.price, reads, chat.request.replies)
    if tokens is None and (principal.limits_usd or principal.limits_tokens):
        tokens = USUAL_TOKENS
    most = replace(reads, output_tokens=chat.request.replies * (tokens or USUAL_TOKENS))
    return PassthroughWork(
        trace_id=trace_id,
        request=chat.request if tokens is None else chat.request.limited(tokens),
        role=name,
        model=role,
        retries=limits.retries,
        deadline_s=limits.deadline_s,
        most_usd=role.price.most(most),
        most_tokens=most.output_tokens if tokens else 0,
    )


def _strategy(served: ServedRoute, knob: float | None) -> tuple[Strategy[Episode], str]:
    """The route's strategy and its name, at a knob or at its own."""
    if knob is None or served.route.solves is None:
        return served.strategy, served.name
    solves = served.route.solves.changed(knob=knob)
    with of_request("steproute."):
        return solves.strategy_at(0, served.family), solves.name


def _turn_tokens(body: ChatBody, route: GatewayRoute, turn: TurnRoles) -> int:
    """The most that each draft of a turn may have. The route's own limit is of all drafts together."""
    usual = max(USUAL_TOKENS, *(turn.roles.model(name).sampling.max_tokens for name in turn.writers))
    asked = body.most_tokens or usual
    if route.limits.max_tokens is None:
        return asked
    return max(1, min(asked, route.limits.max_tokens // len(turn.writers)))


def _check_bounded(request: ChatRequest) -> None:
    """Raises ApiError that names the first part of which nothing bounds what a model reads, such as a file."""
    for number, message in enumerate(request.messages):
        for place, part in parts_of(message):
            if not is_bounded(part):
                why = f"nothing bounds the price of a part of type {part.get('type')!r}, and this request has a budget."
                raise refused_field(f"messages[{number}].content[{place}]", why)


def _readable(problem: Problem, roles: Roles) -> Problem:
    if any(ONLY_READS.of(role.model) for role in roles.models.values()):
        check_lab_problem(problem)
    return problem


def _sampled(roles: Roles, body: ChatBody) -> Roles:
    """The roles, all of which draw as the request says. Raises RequestError for numbers that cannot be."""
    given = {name: value for name in ("temperature", "top_p") if (value := getattr(body, name)) is not None}
    if not given:
        return roles
    with of_request():
        models = {name: replace(role, sampling=replace(role.sampling, **given)) for name, role in roles.models.items()}
    return replace(roles, models=models)


def _most_usd(problem: Problem, route: GatewayRoute, roles: Roles, limits: Limits) -> Decimal:
    """The limit in dollars if there is one, else twice what the passthrough model alone could cost at most.

    Routing reads the conversation again for each step, and is of no use if it costs more than that. If that model is
    free, the highest price of the others counts instead: their calls must be paid from a reservation, too.
    """
    if limits.max_cost_usd is not None:
        return limits.max_cost_usd
    alone = roles.model(route.passthrough)
    sampling = replace(alone.sampling, max_tokens=limits.max_tokens or max(USUAL_TOKENS, alone.sampling.max_tokens))
    most = most_written(alone.model, Prefix(problem=problem), 1, sampling)
    return _ALONE * (alone.price.most(most) or max(price.most(most) for price in prices_of(roles).values()))


def _affordable(limits: Limits, price: Price, reads: Usage, replies: int) -> int | None:
    """Tokens of each reply that the limits allow, None if they do not say. Raises ApiError if they allow none.

    A limit in dollars alone allows no more than USUAL_TOKENS: it could pay for more than a model's context holds.
    """
    if limits.max_cost_usd is None:
        return limits.max_tokens
    read_usd = price.most(reads)
    left, token_usd = limits.max_cost_usd - read_usd, price.output * replies / _PER_MILLION
    if left < token_usd:
        raise ApiError(
            400,
            f"The request alone may cost ${read_usd:.6f} to read, and its budget is ${limits.max_cost_usd}. "
            "Shorten the conversation, or raise max_cost_usd.",
            param="messages",
        )
    if not token_usd:
        return limits.max_tokens
    tokens = int(left / token_usd)
    return min(tokens, limits.max_tokens or USUAL_TOKENS)


def _seed(body: ChatBody) -> int:
    """The request's seed, from either place, else a random one: two equal requests may get different answers."""
    for seed in (body.overrides.seed, body.seed):
        if seed is not None:
            return seed
    return secrets.randbits(31)
