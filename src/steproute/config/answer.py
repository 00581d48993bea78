"""The table `[answer]`: how solutions state their final answers, and what grades them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, cast

from steproute.core.answer_rule import BOXED, AnswerRule, rule_named
from steproute.core.construction import build
from steproute.core.errors import ConfigError
from steproute.core.ports import ROLE, AskingGrader, Grader, StepsGrader
from steproute.core.problem import Problem
from steproute.core.registry import graders
from steproute.core.settings import converted
from steproute.engine.roles import GraderRole, ModelRole, Roles

_COMMON: Final = ("rule", "grader")
_MATH: Final = "math"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerSettings:
    """How answers are stated and graded. settings: the grader's own, such as `relative` of numeric.

    Raises ConfigError for a rule that is unknown.
    """

    rule: str = BOXED.name
    grader: str = _MATH
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rule_named(self.rule)

    @property
    def answer_rule(self) -> AnswerRule:
        """The rule itself."""
        return rule_named(self.rule)

    def changed(
        self, *, rule: str | None = None, grader: str | None = None, settings: Mapping[str, Any] = {}
    ) -> "AnswerSettings":
        """These settings with what is given; another grader keeps none of this one's settings."""
        own = self.settings if grader in (None, self.grader) else {}
        return replace(self, rule=rule or self.rule, grader=grader or self.grader, settings={**own, **settings})

    def on(self, problems: Iterable[Problem]) -> list[Problem]:
        """The problems, whose solutions state their answers by this rule."""
        return [replace(problem, rule=self.answer_rule) for problem in problems]

    def graded(self, roles: Roles) -> Roles:
        """The roles with this grader, which may ask one of the models.

        Raises ConfigError that names the field, for invalid settings and an unknown grader.
        """
        grader = self._grader()
        if isinstance(grader, StepsGrader) and roles.environment is None:
            raise ConfigError(
                f"{self.grader!r} reads what an environment says, and there is none.",
                where="answer.grader",
                remedy="Set environment below [roles], or use another grader.",
            )
        grading = GraderRole(grader=grader, name=self.grader)
        if role := ROLE.of(grader):
            if role not in roles.models:
                names = ", ".join(sorted(roles.models))
                raise ConfigError(
                    f"there is no model {role!r}, only {names}. Describe [models.{role}].", where="answer.model"
                )
            grading = _asking(grading, role, roles.models[role])
        return replace(roles, grading=grading)

    def _grader(self) -> Grader:
        if self.grader not in graders.names():
            raise ConfigError(
                f"{self.grader!r} is unknown.",
                where="answer.grader",
                remedy=f"Use one of {', '.join(graders.names())}.",
            )
        kind = graders.get(self.grader)
        try:
            return cast(Grader, build(kind, self.grader, self.settings))
        except ConfigError as failure:
            raise failure.inside("answer", ".") from None
        except TypeError as failure:
            raise ConfigError(
                f"{self.grader}: {failure}.", where="answer", remedy="Correct or remove that setting."
            ) from None


def _asking(grading: GraderRole, role: str, asked: ModelRole) -> GraderRole:
    """A grader that asks a model of the run, at that model's price and limiter."""
    grader = grading.grader
    if not isinstance(grader, AskingGrader):
        raise ConfigError(
            f"{grading.name!r} asks the model {role!r} and cannot be given it.",
            where="answer.grader",
            remedy=f"Add def asking(self, model) to {type(grader).__name__}.",
        )
    return replace(
        grading,
        grader=grader.asking(asked.model),
        role=role,
        model=asked.model.name,
        price=asked.price,
        limiter=asked.limiter,
    )


def read_answer(where: str, table: Mapping[str, Any]) -> AnswerSettings:
    """The table `[answer]`, with the grader's own settings beside its name.

    Raises ConfigError that names `where` and the field.
    """
    common = {key: value for key, value in table.items() if key in _COMMON}
    settings = {key: value for key, value in table.items() if key not in _COMMON}
    try:
        return replace(converted(where, common, AnswerSettings), settings=settings)
    except ConfigError as failure:
        failure.where = failure.where.replace(f"{where}.answer.", f"{where}.")
        raise
