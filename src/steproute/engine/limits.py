"""What one problem may use, and what to do if a call fails."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from math import isfinite
from typing import Literal

from steproute.core.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of one problem. None means no limit.

    None of these is ever exceeded: max_tokens counts what the models of all roles generate, without what scorers
    generate. max_cost_usd counts every call of models and scorers; a call is made only if the most that it can cost is
    left. max_calls counts the calls of each role that it names, retries and speculative ones included; n drafts are n
    calls, in however many requests a backend asks for them.

    deadline_s is wall-clock time. retries: per call.

    on_scorer_failure: accept the draft, or have the strong model rewrite it. on_strong_failure: accept the draft that a
    role was to rewrite; this covers every role that rewrites, not only `strong`. on_weak_failure: have the strong model
    write the step. `fail` fails the problem.

    Raises ConfigError for a budget that is not above 0, no step, or a negative number of calls or retries.
    """

    max_steps: int = 30
    max_tokens: int | None = None
    max_cost_usd: Decimal | None = None
    max_calls: Mapping[str, int] | None = None
    deadline_s: float | None = None
    retries: int = 2
    on_scorer_failure: Literal["fail", "accept", "regenerate"] = "fail"
    on_strong_failure: Literal["fail", "accept"] = "fail"
    on_weak_failure: Literal["fail", "strong"] = "fail"

    def __post_init__(self) -> None:
        for name in ("max_tokens", "max_cost_usd", "deadline_s"):
            value = getattr(self, name)
            if value is not None and not (isfinite(value) and value > 0):
                raise ConfigError(
                    f"{value} is not a budget.", where=name, remedy="Give a number above 0, or leave it out."
                )
        for role, calls in (self.max_calls or {}).items():
            if calls < 0:
                raise ConfigError(f"{calls} is negative.", where=f"max_calls.{role}", remedy="Give 0 or more.")
        if self.max_steps < 1:
            raise ConfigError(
                f"{self.max_steps} leaves no room for a step.", where="max_steps", remedy="Give at least 1."
            )
        if self.retries < 0:
            raise ConfigError(f"{self.retries} is negative.", where="retries", remedy="Give 0 or more.")

    def check_roles(self, roles: Iterable[str]) -> None:
        """Raises ConfigError for a limit of calls of a role that there is not."""
        names = sorted(roles)
        for role in self.max_calls or {}:
            if role not in names:
                raise ConfigError(
                    f"there is no model {role!r}.", where=f"max_calls.{role}", remedy=f"Use {', '.join(names)}."
                )

    @property
    def without_fallbacks(self) -> "Limits":
        """These limits for solutions to learn from: every failure fails the problem."""
        return replace(self, on_scorer_failure="fail", on_strong_failure="fail", on_weak_failure="fail")

    def changed(
        self,
        *,
        max_steps: int | None = None,
        max_tokens: int | None = None,
        max_cost_usd: Decimal | None = None,
        deadline_s: float | None = None,
    ) -> "Limits":
        """These limits with the given ones, except those that are None. Raises ConfigError."""
        return replace(
            self,
            max_steps=self.max_steps if max_steps is None else max_steps,
            max_tokens=self.max_tokens if max_tokens is None else max_tokens,
            max_cost_usd=self.max_cost_usd if max_cost_usd is None else max_cost_usd,
            deadline_s=self.deadline_s if deadline_s is None else deadline_s,
        )
