"""What can write a weak step again: roles and second chances, what they cost, and the loop that carries them out."""

from collections.abc import Sequence
from dataclasses import dataclass

from steproute.core.errors import ConfigError
from steproute.core.ports import AskedPolicy, Policy
from steproute.core.usage import FREE, Price
from steproute.engine.roles import Roles
from steproute.policies.trim.pomdp_model import Rewriter
from steproute.strategies.second_chances import RUNGS, SecondChances
from steproute.strategies.stepwise import Stepwise


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
    writers = {rewriter: "weak" if rewriter in RUNGS else rewriter for rewriter in rewriters}
    return {
        rewriter: 1.0 if writer == "strong" else float(roles.model(writer).price.output / strong)
        for rewriter, writer in writers.items()
    }


def dollars_per_token(roles: Roles, rewriters: Sequence[str]) -> float | None:
    """The unit of what is spent if a second chance is among the rewriters: the dollars of the strong model's token.

    A second chance is drafts of the weak model and scores, which no rewriter's tokens show, so all that is billed
    counts. None without one: what is spent are the rewriters' tokens at their relative prices.
    """
    if not any(rewriter in RUNGS for rewriter in rewriters):
        return None
    return float(roles.model("strong").price.output) / 1e6


def routing_loop(policy: Policy | AskedPolicy, rewriters: Sequence[str], width: int) -> Stepwise:
    """The strategy that carries the policy's decisions out. width: drafts of the rung `resample`."""
    rungs = tuple(rewriter for rewriter in rewriters if rewriter in RUNGS)
    return SecondChances(policy=policy, rungs=rungs, width=width) if rungs else Stepwise(policy=policy)
