"""What the roles cost that can write a weak step again."""

from collections.abc import Sequence
from dataclasses import dataclass

from steproute.core.errors import ConfigError
from steproute.core.usage import FREE, Price
from steproute.engine.roles import Roles
from steproute.policies.trim.pomdp_model import Rewriter


@dataclass(frozen=True, slots=True, kw_only=True)
class SoloSolutions:
    """Solutions that one role wrote alone.

    answers: the number of steps of each, and whether its answer is correct. tokens: output tokens in all.
    """

    role: str
    answers: Sequence[tuple[int, bool]]
    tokens: int
    price: Price = FREE

    @property
    def step_tokens(self) -> float:
        """Mean output tokens per step."""
        return self.tokens / max(1, sum(steps for steps, _ in self.answers))

    @property
    def step_cost(self) -> float:
        """Output tokens per step at their price, in millionths of a dollar."""
        return self.step_tokens * float(self.price.output)


def priced_rewriters(
    solutions: Sequence[SoloSolutions], accuracies: Sequence[float]
) -> tuple[tuple[Rewriter, ...], float]:
    """The rewriters from the cheapest to the dearest, and the tokens per step of the dearest.

    accuracies: p_k of each. The price of a single rewriter does not matter. Raises ConfigError if several cost nothing.
    """
    order = sorted(range(len(solutions)), key=lambda index: solutions[index].step_cost)
    dearest = solutions[order[-1]]
    if len(solutions) > 1 and not dearest.step_cost:
        raise ConfigError(
            "their output tokens cost nothing, so no role costs more than another.",
            where="roles",
            remedy="Set the prices of their models, or train for two roles.",
        )
    costs = [each.step_cost / dearest.step_cost if each is not dearest else 1.0 for each in solutions]
    rewriters = (Rewriter(solutions[index].role, accuracies[index], costs[index]) for index in order)
    return tuple(rewriters), dearest.step_tokens


def relative_prices(roles: Roles, rewriters: Sequence[str]) -> dict[str, float]:
    """Price of each rewriter's output token over that of the strong model's.

    The strong model's own price does not matter. Raises ConfigError for an unknown role, or if the strong model's
    tokens cost nothing and another role can rewrite.
    """
    strong = roles.model("strong").price.output
    if not strong and any(role != "strong" for role in rewriters):
        raise ConfigError(
            "the strong model's output tokens cost nothing, so no other role is cheaper.",
            where="roles",
            remedy="Set the prices of their models, or train for two roles.",
        )
    return {role: 1.0 if role == "strong" else float(roles.model(role).price.output / strong) for role in rewriters}
