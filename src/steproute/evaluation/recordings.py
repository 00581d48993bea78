"""The recorded sets of the data folder: real models and PRM scores on MATH-500, ready to replay."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

from steproute.backends.replay import ReplayModel
from steproute.core.apportioning import apportion
from steproute.core.errors import DatasetError
from steproute.core.problem import Problem
from steproute.core.recording import Recording, estimated_tokens
from steproute.core.solution import DEFAULT_SEPARATOR, Sampling
from steproute.core.splitting import split_steps
from steproute.core.usage import Price
from steproute.engine.limits import Limits
from steproute.engine.roles import ModelRole, Roles, ScorerRole
from steproute.evaluation.datasets import data_file, read_rows
from steproute.scorers.replay import ReplayScorer

_TABLE: Final = "nominal 1:20"
_WEAK: Final = Price(input=Decimal("0.05"), output=Decimal("0.20"), table=_TABLE)
_STRONG: Final = Price(input=Decimal("1.00"), output=Decimal("4.00"), table=_TABLE)
_PRM: Final = Price(input=Decimal("0.05"), output=Decimal(0), table=_TABLE)
_SUPPORTS: Final = (
    "Both models solved every problem from the start, so always-weak, always-strong and cascade are honest; no "
    "recording shows strong going on from a weak prefix."
)
_SAMPLING: Final = Sampling(max_tokens=1_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A recorded set: problems, the replaying roles, and the recorded correctness by (role, problem id).

    `note` says what the set can and cannot support.
    """

    problems: list[Problem]
    roles: Roles
    limits: Limits
    graded: Mapping[tuple[str, str], bool]
    note: str

    def priced(self, prices: Mapping[str, Price]) -> "Recorded":
        """The same at other prices, by role: weak, strong and prm."""
        writers = {role: replace(writer, price=prices[role]) for role, writer in self.roles.models.items()}
        judges = {role: replace(judge, price=prices[role]) for role, judge in self.roles.scorers.items()}
        return replace(self, roles=Roles(models=writers, scorers=judges))


def load_recorded(name: str) -> Recorded:
    """A recorded set by name, `qwen3` or `llama`; raises DatasetError if it is unknown or missing."""
    if name not in _SETS:
        raise DatasetError(f"recorded set: {name!r} is unknown.", remedy=f"Use one of {', '.join(_SETS)}.")
    return _SETS[name]()


def _qwen3() -> Recorded:
    rows: list[Any] = [row for _, row in read_rows(data_file("traces_qwen3_math500/episodes.jsonl.gz"))]
    sides = {
        role: {
            row["problem_id"]: _whole(
                row["problem_id"], row[role], row[role].get("prm_scores", ()) if role == "weak" else ()
            )
            for row in rows
        }
        for role in ("weak", "strong")
    }
    graded = {(role, row["problem_id"]): bool(row[role]["correct"]) for row in rows for role in sides}
    return _recorded(
        rows,
        sides,
        graded,
        names=("Qwen3-1.7B", "Qwen3-14B", "Qwen2.5-Math-PRM-7B"),
        note=f"{_SUPPORTS} Total tokens are real, tokens per step are estimated. Problem math/test/algebra/892 is "
        "recorded as right for both, but neither solution gives a final answer, so here it is wrong.",
    )


def _llama() -> Recorded:
    sides: dict[str, dict[str, Recording]] = {}
    graded: dict[tuple[str, str], bool] = {}
    rows: list[Any] = []
    for role, file in (("weak", "llama3.2-1b_stepwise_n1_q500"), ("strong", "llama3.1-8b_stepwise_n1_q500")):
        rows = [row for _, row in read_rows(data_file(f"traces_llama_math500/{file}.jsonl.gz"))]
        sides[role] = {row["problem_id"]: _stepwise(row) for row in rows}
        graded |= {(role, row["problem_id"]): bool(row["correct"]) for row in rows}
    both = [row for row in rows if row["problem_id"] in sides["weak"]]
    return _recorded(
        both,
        sides,
        graded,
        names=("Llama-3.2-1B", "Llama-3.1-8B", "Llama3.1-8B-PRM-Deepseek"),
        note=f"{_SUPPORTS} Tokens were not recorded: all counts are estimates from text.",
    )


def _recorded(
    rows: list[Any],
    sides: dict[str, dict[str, Recording]],
    graded: dict[tuple[str, str], bool],
    *,
    names: tuple[str, str, str],
    note: str,
) -> Recorded:
    weak, strong, prm = names
    return Recorded(
        problems=[
            Problem.ask(
                id=row["problem_id"], text=row["problem"], answer=row["answer"], tags={"subject": row["subject"]}
            )
            for row in rows
        ],
        roles=Roles(
            models={
                "weak": ModelRole(model=ReplayModel(weak, sides["weak"].values()), price=_WEAK, sampling=_SAMPLING),
                "strong": ModelRole(
                    model=ReplayModel(strong, sides["strong"].values()), price=_STRONG, sampling=_SAMPLING
                ),
            },
            scorers={"prm": ScorerRole(scorer=ReplayScorer(prm, sides["weak"].values()), price=_PRM)},
        ),
        limits=Limits(max_steps=10_000, on_scorer_failure="accept"),
        graded=graded,
        note=note,
    )


def _whole(problem_id: str, side: dict[str, Any], scores: tuple[float, ...]) -> Recording:
    """A side of a Qwen3 row: its full solution, the recorded total of tokens spread over steps by characters."""
    steps = [step.strip() for step in split_steps(side["solution"], DEFAULT_SEPARATOR)]
    return Recording(
        problem_id=problem_id,
        steps=tuple(steps),
        step_tokens=tuple(apportion(int(side["total_tokens"]), [len(step) + 1 for step in steps])),
        scores=tuple(scores),
    )


def _stepwise(row: dict[str, Any]) -> Recording:
    return Recording(
        problem_id=row["problem_id"],
        steps=tuple(row["steps"]),
        step_tokens=tuple(estimated_tokens(step) for step in row["steps"]),
        scores=tuple(row["prm_scores"]),
    )


_SETS: Final[Mapping[str, Callable[[], Recorded]]] = {"qwen3": _qwen3, "llama": _llama}
