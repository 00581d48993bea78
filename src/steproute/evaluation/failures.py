"""Why problems failed or fell back: reasons that differ only in numbers, ids and the like are counted together."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from steproute.core.trace import Trace

_ASIDE: Final = (
    (re.compile(r"\w+://[^\s'\"<>),;]+"), "<address>"),
    (re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?\b|\b[\w.-]+:\d{2,5}\b|\[[0-9a-f:]+\](?::\d+)?"), "<address>"),
    (re.compile(r"(?<!\w)'[^']*'(?!\w)|\"[^\"]*\""), "<text>"),
    (re.compile(r"\b(?=[\w-]*\d)(?=[\w-]*[A-Za-z_-])[\w-]{8,}\b"), "<id>"),
    (re.compile(r"(?i)(?<!\d)(?<!status )(?<!code: )\d+(?:[.,]\d+)*"), "<number>"),
)


FELL_BACK: Final = (
    "solutions fell back: a model or scorer failed, and another decision stands in for its own, as the limits declare. "
    "The same command tries them again, unless --keep-failed is given."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureGroup:
    """Problems that failed or fell back for one reason.

    reason: the first one's, in full; role: of the model or scorer at fault, empty if it was none; problem, route and
    seed: where it came first.
    """

    count: int
    role: str
    reason: str
    problem: str
    route: str
    seed: int

    def __str__(self) -> str:
        at_fault = f"{self.role}: " if self.role else ""
        return (
            f"{self.count} × {at_fault}{self.reason} First: problem {self.problem!r}, {self.route}, seed {self.seed}."
        )


def failure_groups(traces: Iterable[Trace]) -> list[FailureGroup]:
    """The reasons of all traces without a verdict, the most frequent first.

    Two reasons are the same if they name the same role, and differ only in numbers, ids, addresses and quoted texts. A
    status is no such number: 401 and 503 are different reasons.
    """
    return _grouped(
        _group(trace, trace.at_fault or "", trace.error or _unjudged(trace))
        for trace in traces
        if trace.verdict is None
    )


def fallen_back(traces: Iterable[Trace]) -> list[Trace]:
    """The judged solutions that were finished without a model or scorer that failed."""
    return [trace for trace in traces if trace.verdict is not None and trace.fallbacks]


def fallback_groups(traces: Iterable[Trace]) -> list[FailureGroup]:
    """As `failure_groups`, for solutions that were finished without a model or scorer; each counts once a reason."""
    return _grouped(group for trace in traces for group in _fallbacks(trace))


def _grouped(each: Iterable[FailureGroup]) -> list[FailureGroup]:
    groups: dict[tuple[str, str], FailureGroup] = {}
    for group in each:
        before = groups.get(_key(group))
        groups[_key(group)] = group if before is None else replace(before, count=before.count + 1)
    return sorted(groups.values(), key=lambda group: -group.count)


def _key(group: FailureGroup) -> tuple[str, str]:
    return group.role, normal_form(group.reason)


def normal_form(reason: str) -> str:
    """The reason without what differs between problems."""
    for pattern, name in _ASIDE:
        reason = pattern.sub(name, reason)
    return reason


def _fallbacks(trace: Trace) -> Iterable[FailureGroup]:
    groups = [_group(trace, each.role, each.reason) for each in trace.fallbacks]
    return {_key(group): group for group in reversed(groups)}.values()


def _group(trace: Trace, role: str, reason: str) -> FailureGroup:
    place = {"problem": trace.problem_id, "route": trace.route}
    return FailureGroup(count=1, role=role, reason=_sentence(reason), seed=trace.seed, **place)


def _unjudged(trace: Trace) -> str:
    return trace.outcome.value if trace.failed else "it has no gold answer"


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
