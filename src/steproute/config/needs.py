"""What routes need of models and scorers, checked before the first call is paid for."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from steproute.core.answer_rule import AnswerRule
from steproute.core.errors import ConfigError
from steproute.core.ports import (
    CAPABILITIES,
    DECIDES_BY,
    NEEDS,
    ONLY_READS,
    READS_CONFIDENCE,
    ROUTES_TURNS,
    SCORES_REWRITES,
    ChatModel,
    reads,
)
from steproute.engine.roles import Roles, reads_confidence
from steproute.engine.runner import Route
from steproute.strategies.budgeted import BudgetPacing
from steproute.strategies.routed import Routed


def check_needs(routes: Iterable[Route], roles: Roles) -> None:
    """Raises ConfigError that names the route, what is missing and the remedy, for the first route that cannot run."""
    for route in _with_own_routes(routes):
        needs = NEEDS.of(route.strategy)
        for role in needs.models:
            if role not in roles.models:
                names = ", ".join(sorted(roles.models))
                raise ConfigError(
                    f"it asks the model {role!r}, and there are only {names}. Describe [models.{role}] in "
                    "the steproute.toml, or leave that policy out.",
                    where=route.name,
                )
        for scorer in needs.scorers:
            _check_scorer(route.name, scorer, needs.models, roles)
        for advice in ("example", "plans", "subtasks"):
            for role in getattr(needs, advice):
                _check_advice(route.name, role, advice, roles)
        policy = DECIDES_BY.of(route.strategy)
        if policy is not None and reads(policy, "confidence"):
            _check_logprobs(f"{route.name}: its policy", ("weak",), roles)


def check_answers(routes: Iterable[Route], rule: AnswerRule) -> None:
    """Raises ConfigError for a route that compares final answers, of which `rule` extracts none."""
    for route in routes:
        if NEEDS.of(route.strategy).answers and not rule.extracts:
            raise ConfigError(
                f"it compares final answers, and the answer rule {rule.name!r} extracts none.",
                where=route.name,
                remedy="Use another rule, or leave that strategy out.",
            )


def turn_writers(strategy: object, roles: Roles) -> tuple[str, ...]:
    """The roles that may write an agent's turn: all of the ladder if the policy decides about each of its rungs."""
    policy = DECIDES_BY.of(strategy)
    climbs = policy is not None and SCORES_REWRITES.of(policy)
    return tuple(dict.fromkeys((*NEEDS.of(strategy).models, *(roles.ladder if climbs else ()))))


def check_turns(where: str, strategy: object, roles: Roles) -> None:
    """Raises ConfigError that names what of a strategy, its models and its scorers cannot route the turns of agents."""
    remedy = 'Use another one, or set tools = "passthrough".'
    if not ROUTES_TURNS.of(strategy):
        raise ConfigError(
            "the route's strategy cannot route turns.",
            where=where,
            remedy='Use stepwise, or set tools = "passthrough".',
        )
    needs, policy = NEEDS.of(strategy), DECIDES_BY.of(strategy)
    for name in turn_writers(strategy, roles):
        model = roles.models[name].model
        if not (isinstance(model, ChatModel) and CAPABILITIES.of(model).tool_calls):
            raise ConfigError(f"models.{name} ({model.name}) calls no tools.", where=where, remedy=remedy)
    for name in needs.scorers:
        if reads_confidence(roles.scorers[name]):
            raise ConfigError(
                f"scorers.{name} reads log-probabilities, and a turn has none.", where=where, remedy=remedy
            )
        if only := ONLY_READS.of(roles.scorers[name].scorer):
            raise ConfigError(f"scorers.{name} reads nothing but {only}.", where=where, remedy=remedy)
    if policy is not None and reads(policy, "confidence"):
        raise ConfigError(
            "the route's policy reads log-probabilities, and a turn has none.", where=where, remedy=remedy
        )


def _with_own_routes(routes: Iterable[Route]) -> Iterator[Route]:
    """The routes, each before those that it chooses among."""
    for route in routes:
        yield route
        if isinstance(route.strategy, Routed | BudgetPacing):
            yield from (replace(route, name=name, strategy=each) for name, each in route.strategy.routes.items())


def _check_advice(route: str, role: str, advice: str, roles: Roles) -> None:
    model = roles.models[role].model
    if not getattr(CAPABILITIES.of(model), advice):
        raise ConfigError(
            f"its model {role!r} has to read the {advice} that it is shown, and {model.name} cannot.",
            where=route,
            remedy="Use a model that reads English, or another strategy or setting.",
        )


def _check_scorer(route: str, scorer: str, models: Iterable[str], roles: Roles) -> None:
    if scorer not in roles.scorers:
        names = ", ".join(sorted(roles.scorers)) or "none"
        raise ConfigError(
            f"it reads scores of the scorer {scorer!r}, and there is {names}. Describe "
            f'[scorers.{scorer}] in the steproute.toml: backend = "vllm-pooling" or '
            '"transformers-prm" for a reward model, "self-evaluation" to have one of your '
            f"models judge steps. Or use a policy that needs no scorer: {_without_scores(roles)}.",
            where=route,
        )
    if READS_CONFIDENCE.of(roles.scorers[scorer].scorer):
        _check_logprobs(f"{route}: the scorer {scorer!r}", models, roles)


def _without_scores(roles: Roles) -> str:
    """The policies that these models can be routed by without a scorer."""
    if "weak" in roles.models and CAPABILITIES.of(roles.models["weak"].model).logprobs:
        return "--policy confidence, which reads the weak model's log-probabilities, or random"
    return "random, or --policy confidence after you set logprobs = 5 below [models.weak] if its server offers them"


def _check_logprobs(reader: str, models: Iterable[str], roles: Roles) -> None:
    for role in models:
        if not CAPABILITIES.of(roles.models[role].model).logprobs:
            raise ConfigError(
                f"{reader} reads log-probabilities, and the model {role!r} gives none.",
                remedy=f"Set logprobs = 5 below [models.{role}] if its server offers them, or use another "
                "policy or scorer.",
            )
