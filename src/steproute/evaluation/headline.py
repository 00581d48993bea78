"""A sweep's result in plain sentences, whichever way it went."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from steproute.evaluation.formatting import SHIPPED, percent, percent_interval, policy_label
from steproute.evaluation.operating_points import SHARES, OperatingPoint
from steproute.evaluation.summary import Point, Summary

_WHOLE_PERCENT: Final = 1.005
_MANY_TIMES: Final = 2.0
_WIDE: Final = 0.1
_UNPRICED: Final = " Always-strong has no price, so nothing is said about dollars. Set price below its [models.strong]."


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """One policy of a sweep as it is shown: `reached` holds its operating points."""

    name: str
    label: str
    points: Sequence[Point]
    reached: Sequence[OperatingPoint]

    @property
    def single_model(self) -> bool:
        """Whether it is one model alone, which has no knob to choose."""
        return self.name.startswith("single:")

    @property
    def shipped(self) -> bool:
        """Whether it is one of the paper's policies that come with the package."""
        return self.name in SHIPPED


def swept(summary: Summary) -> list[Swept]:
    """The policy under study, then every baseline."""
    own = (summary.policy, summary.points, summary.operating_points)
    others = [(series.name, series.points, series.operating_points) for series in summary.baselines]
    return [
        Swept(name=name, label=policy_label(name, summary.strategy), points=points, reached=reached)
        for name, points, reached in (own, *others)
    ]


def headlines(summary: Summary) -> list[str]:
    """One sentence for the policy under study, then one for each other policy that comes with the package."""
    if not summary.operating_points:
        return [_no_gap(summary)]
    own, *others = swept(summary)
    weak, strong = percent(summary.weak.accuracy), percent(summary.strong.accuracy)
    gap = f"of the accuracy gap between always-weak ({weak}) and always-strong ({strong})"
    return [_sentence(own, gap, summary), *(_sentence(each, "of the gap", summary) for each in others if each.shipped)]


def is_priced(summary: Summary) -> bool:
    """Whether dollars can lead: always-strong costs some."""
    return summary.strong.cost_usd > 0


def is_timed(summary: Summary) -> bool:
    """Whether the models took any time that was measured."""
    return summary.strong.latency_s > 0


def is_timed_alone(summary: Summary) -> bool:
    """Whether each route took its own time, real or virtual, and not that of others' calls in a shared step tree."""
    return is_timed(summary) and (summary.paid_usd is None or summary.virtual_time)


def how_to_read(summary: Summary) -> str:
    """What the figures of the headline are."""
    return (
        f"{_listed(summary)} are shares of what always-strong takes. Each figure is interpolated between two "
        "neighbouring knobs of the policy. Brackets are 95 % intervals of a bootstrap over "
        f"{summary.problems} problems that repeats the interpolation; ∞ means that some resamples never get there. "
        "They cover the draw of the problems, not the choice of the knobs or the sampling of the models."
        f"{'' if is_priced(summary) else _UNPRICED}"
    )


def _listed(summary: Summary) -> str:
    shown = ["dollars"] * is_priced(summary) + ["tokens"] + ["time"] * is_timed_alone(summary)
    words = shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
    return words.capitalize()


def _sentence(policy: Swept, gap: str, summary: Summary) -> str:
    reached = [point for point in policy.reached if point.strong_tokens is not None]
    if not is_timed_alone(summary):
        reached = [replace(point, latency=None) for point in reached]
    if not reached:
        start = f"{policy.label} does not recover {_share(SHARES[0])} {gap} at any of its knobs."
        return " ".join([start, *_at_best(policy, summary)])
    best = reached[-1]
    start = f"{policy.label} recovers {_share(best.gap_recovered)} {gap}"
    if best.gap_recovered < SHARES[-1]:
        start = f"{policy.label} does not recover {_share(SHARES[-1])} {gap}. It recovers {_share(best.gap_recovered)}"
    return " ".join([f"{start} for {_spent(best)}.", *_warnings(best), *_cheaper(reached)])


def _spent(point: OperatingPoint) -> str:
    """Dollars first, then tokens and time."""
    tokens = percent_interval(point.strong_tokens, point.strong_tokens_ci95)
    time = "" if point.latency is None else f", in {percent(point.latency)} of its time"
    if point.cost_usd is None:
        return f"{tokens} of the strong model's tokens{time}"
    usd = percent_interval(point.cost_usd, point.cost_usd_ci95)
    return f"{usd} of the strong model's dollars and {tokens} of its tokens{time}"


def _warnings(point: OperatingPoint) -> Iterator[str]:
    """What a reader who looks for a saving must know."""
    if point.between is not None and point.between[1] - point.between[0] > _WIDE:
        low, high = (percent(share) for share in point.between)
        yield f"That is read off a straight line between {low} and {high} of its tokens; add knobs between them."
    yield from _more_or_slower(point.cost_usd, point.latency)
    if point.cost_usd is not None and point.cost_usd <= 1 and not _is_below_1(point.cost_usd_ci95[1]):
        yield "The interval includes 100 % of its dollars, so a saving in dollars is not certain."
    if point.strong_tokens is not None and point.strong_tokens > 1:
        yield "That is more strong tokens than always using the strong model."


def _is_below_1(end: float | None) -> bool:
    return end is not None and end <= 1


def _more_or_slower(cost_usd: float | None, latency: float | None) -> Iterator[str]:
    """What of dollars and time is more than always-strong's, in plain words."""
    costs_more = _above(cost_usd, "more", "much")
    slower = _above(latency, "longer", "long")
    if costs_more:
        more = f"It costs {' '.join(costs_more)} always-strong"
        yield f"{more} and takes {slower[0]}." if slower else f"{more}."
    elif slower:
        yield f"It takes {' '.join(slower)} always-strong."


def _above(share: float | None, more: str, much: str) -> tuple[str, str] | None:
    """How far a share is above 1, and the word before what it is compared with; None if it is not."""
    if share is None or share <= 1:
        return None
    if share < _WHOLE_PERCENT:
        return f"a little {more}", "than"
    if share < _MANY_TIMES:
        return f"{100 * (share - 1):.0f} % {more}", "than"
    return f"{share:.1f} times as {much}", "as"


def _cheaper(reached: Sequence[OperatingPoint]) -> Iterator[str]:
    """The largest share of the gap that costs less than always-strong, if the best one costs more."""
    if (reached[-1].cost_usd or 0) <= 1:
        return
    for point in reversed(reached):
        if point.cost_usd is not None and point.cost_usd < 1:
            yield f"{_share(point.gap_recovered)} of the gap costs {percent(point.cost_usd)} of its dollars."
            return


def _at_best(policy: Swept, summary: Summary) -> Iterator[str]:
    """Whether even its most accurate knob, which recovers so little, costs more or takes longer."""
    best = max(policy.points, key=lambda point: point.accuracy)
    cost = best.cost_usd / summary.strong.cost_usd if is_priced(summary) else None
    latency = best.latency_s / summary.strong.latency_s if is_timed_alone(summary) else None
    for fault in _more_or_slower(cost, latency):
        yield f"At its most accurate knob, {best.knob:g}, it reaches {percent(best.accuracy)}. {fault}"


def _no_gap(summary: Summary) -> str:
    weak, strong = summary.weak, summary.strong
    if strong.accuracy > weak.accuracy:
        return "Always-strong generates no more strong tokens than always-weak, so there is no cost to save."
    return (
        f"Always-strong ({percent(strong.accuracy)}) is not better than always-weak ({percent(weak.accuracy)}) here, "
        "so there is no gap to recover."
    )


def _share(value: float) -> str:
    return f"{100 * value:.0f} %"
