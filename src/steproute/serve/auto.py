"""Routes that choose per request: the weak model alone, step by step, or the passthrough model alone."""

import re
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from steproute.config import policy_family
from steproute.config.gateway import AutoSettings, GatewayRoute
from steproute.config.route import ROUTED
from steproute.core.errors import ConfigError
from steproute.core.route_name import SINGLE
from steproute.evaluation.formatting import dollars
from steproute.policies.query import Predictor, QueryFamily
from steproute.policies.routes import RouteFamily
from steproute.serve.chat_request import Chat

Arm = Literal["weak", "steps", "turns", "passthrough"]
_NUMBERS: Final = re.compile(r"\d+(?:[.,]\d+)*")
_REASONING: Final = re.compile(
    r"\b(how many|how much|how long|calculate|compute|solve|prove|derive|show that|evaluate|find (?:the|all)|"
    r"step by step|puzzle|equation|probability|percent)\b|\\(?:frac|sum|int|sqrt)|```",
    re.IGNORECASE,
)
_ENOUGH_NUMBERS: Final = 2


@dataclass(frozen=True, slots=True)
class Choice:
    """Who answers a request, and why in words."""

    arm: Arm
    reason: str


class Chooser(Protocol):
    """Chooses by the request alone, before anything is written."""

    def choose(self, chat: Chat, knob: float | None = None) -> Choice:
        """Who answers. knob: of this request, if it is not the route's own; only a route table reads it."""
        ...


@dataclass(frozen=True, slots=True)
class Fixed:
    """A route that does not choose: requests that cannot go in steps pass through."""

    arm: Arm

    def choose(self, chat: Chat, knob: float | None = None) -> Choice:
        """The route's own way if the request can go it."""
        if chat.wants_passthrough:
            return Choice("passthrough", "tools, JSON and images do not go in steps")
        return Choice(self.arm, "the route's own way")


@dataclass(frozen=True, slots=True)
class ByRule:
    """Steps for what looks like reasoning, the weak model for the rest. A rule of thumb: no data was fitted."""

    def choose(self, chat: Chat, knob: float | None = None) -> Choice:
        """By numbers, words and code in the last user turn."""
        if chat.wants_passthrough:
            return Choice("passthrough", "tools, JSON and images do not go in steps")
        text = chat.text
        numbers = len(_NUMBERS.findall(text))
        if numbers >= _ENOUGH_NUMBERS:
            return Choice("steps", f"the question has {numbers} numbers")
        if found := _REASONING.search(text):
            return Choice("steps", f"the question says {found[0].strip()!r}")
        return Choice("weak", "the question has no sign of reasoning in steps")


@dataclass(frozen=True, slots=True)
class ByPrediction:
    """By the predicted chance that the weak model alone is correct."""

    predictor: Predictor
    settings: AutoSettings

    def choose(self, chat: Chat, knob: float | None = None) -> Choice:
        """Weak alone where it is likely to be correct, passthrough where it hardly can be, else steps."""
        if chat.wants_passthrough:
            return Choice("passthrough", "tools, JSON and images do not go in steps")
        chance = self.predictor.probability(chat.text)
        reason = f"the weak model alone is correct with a predicted chance of {chance:.2f}"
        if chance >= self.settings.weak_from:
            return Choice("weak", f"{reason}, at least {self.settings.weak_from:g}")
        if chance < self.settings.strong_below:
            return Choice("passthrough", f"{reason}, below {self.settings.strong_below:g}")
        return Choice("steps", reason)


@dataclass(frozen=True, slots=True)
class ByTable:
    """By a route table. Its routes of one model alone go to that model; others are solved by the gateway route.

    knob: the weight of requests that have no other.
    """

    family: RouteFamily
    knob: float
    passthrough: str

    def choose(self, chat: Chat, knob: float | None = None) -> Choice:
        """The arm of the table's route."""
        if chat.wants_passthrough:
            return Choice("passthrough", "tools, JSON and images do not go in steps")
        pick = self.family.at(self.knob if knob is None else knob, 0).pick(chat.text)
        arms: dict[str, Arm] = {f"{SINGLE}/weak": "weak", f"{SINGLE}/{self.passthrough}": "passthrough"}
        cost = {"usd": dollars(pick.cost), "tokens": f"{pick.cost:.0f} tokens", "seconds": f"{pick.cost:.1f} s"}
        reason = f"{pick.route} is worth most: correct with a predicted chance of {pick.right:.2f}"
        return Choice(arms.get(pick.route, "steps"), f"{reason}, for {cost[self.family.axis]}")


def chooser_of(settings: AutoSettings, route: GatewayRoute) -> Chooser:
    """Raises ConfigError for a policy that predicts nothing about problems, ArtifactError for a damaged one."""
    if settings.auto == "rule":
        return ByRule()
    family = policy_family(settings.auto if "/" in settings.auto else f"./{settings.auto}")
    if isinstance(family, RouteFamily):
        solves = route.solves
        if solves is None or (solves.strategy, solves.policy) != (ROUTED, settings.auto):
            raise ConfigError(
                f"{settings.auto} is a route table, and the route is not solved by it.",
                where=f"serve.routes.{route.name}.auto",
                remedy=f"Add strategy = '{ROUTED}' and policy = '{settings.auto}'.",
            )
        return ByTable(family, solves.knob, route.passthrough)
    if not isinstance(family, QueryFamily):
        raise ConfigError(
            f"{settings.auto} does not predict from a question alone.",
            where="auto",
            remedy="Train a policy by `steproute train --policy query-sw`, or write auto = 'rule'.",
        )
    return ByPrediction(family.predictor, settings)
