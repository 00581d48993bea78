"""A sweep's result in plain sentences, whichever way it went."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from steproute.bench.formatting import SHIPPED, percent, percent_interval, policy_label
from steproute.bench.operating_points import SHARES, OperatingPoint
from steproute.bench.summary import Point, Summary


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
    return [_sentence(own, gap), *(_sentence(each, "of the gap") for each in others if each.shipped)]


def how_to_read(summary: Summary) -> str:
    """What the figures of the headline are."""
    return (
        "Tokens and dollars are shares of what always-strong spends. Each figure is interpolated between two "
        "neighbouring knobs of the policy. Brackets are 95 % intervals of a bootstrap over "
        f"{summary.problems} problems that repeats the interpolation; ∞ means that some resamples never get there."
    )


def _sentence(policy: Swept, gap: str) -> str:
    reached = [point for point in policy.reached if point.strong_tokens is not None]
    if not reached:
        return f"{policy.label} does not recover {_share(SHARES[0])} {gap} at any of its knobs."
    best = reached[-1]
    start = f"{policy.label} recovers {_share(best.gap_recovered)} {gap}"
    if best.gap_recovered < SHARES[-1]:
        start = f"{policy.label} does not recover {_share(SHARES[-1])} {gap}. It recovers {_share(best.gap_recovered)}"
    tokens = f"{percent_interval(best.strong_tokens, best.strong_tokens_ci95)} of the strong model's tokens"
    return " ".join([f"{start} for {tokens}{_dollars(best)}.", *_warnings(best)])


def _dollars(point: OperatingPoint) -> str:
    if point.cost_usd is None:
        return ""
    return f" and {percent_interval(point.cost_usd, point.cost_usd_ci95)} of its dollars"


def _warnings(point: OperatingPoint) -> Iterator[str]:
    """What a reader who looks for a saving must know."""
    if point.strong_tokens is not None and point.strong_tokens > 1:
        yield "That is more strong tokens than always using the strong model."
    if point.cost_usd is None:
        return
    high = point.cost_usd_ci95[1]
    if point.cost_usd > 1:
        yield "That costs more dollars than always using the strong model."
    elif high is None or high > 1:
        yield "The interval includes 100 % of its dollars, so a saving in dollars is not certain."


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
