from dataclasses import replace

import pytest
from tests.evaluation.hand_made import METRIC_VALUES, NEVER, POINT, REACHED, SUMMARY, UNREACHED

from steproute.evaluation.headline import headlines, how_to_read
from steproute.evaluation.operating_points import OperatingPoint
from steproute.evaluation.summary import SeriesSummary, Summary

GAP = "95 % of the accuracy gap between always-weak (50.0 %) and always-strong (90.0 %)"
BEST = REACHED[2]


def at(best: OperatingPoint) -> str:
    (only,) = headlines(replace(SUMMARY, operating_points=[*REACHED[:2], best]))
    return only


def test_the_headline_gives_tokens_and_dollars_with_intervals() -> None:
    assert headlines(SUMMARY) == [
        f"TRIM-Thr recovers {GAP} for 75.0 % [65.0, 85.0] of the strong model's dollars and 45.0 % [35.0, 55.0] of its "
        "tokens, in 85.0 % of its time."
    ]


def test_a_share_that_is_not_reached_comes_first() -> None:
    assert headlines(UNREACHED) == [
        f"TRIM-Thr does not recover {GAP}. It recovers 90 % for 70.0 % [60.0, 80.0] of the strong model's dollars and "
        "40.0 % [30.0, 50.0] of its tokens, in 80.0 % of its time."
    ]
    (none,) = headlines(
        replace(SUMMARY, operating_points=[replace(NEVER, gap_recovered=p.gap_recovered) for p in REACHED])
    )
    assert none.startswith("TRIM-Thr does not recover 80 % of the accuracy gap")
    assert none.endswith("at any of its knobs.")


@pytest.mark.parametrize(("between", "said"), [((0.4, 0.49), False), ((0.236, 1.0), True), (None, False)])
def test_a_point_between_knobs_far_apart_says_that_it_is_read_off_a_line(
    between: tuple[float, float] | None, said: bool
) -> None:
    words = "That is read off a straight line between 23.6 % and 100.0 % of its tokens; add knobs between them."
    assert (words in at(replace(BEST, between=between))) == said


def test_routes_that_share_a_step_tree_have_no_time_in_the_headline() -> None:
    (sentence,) = headlines(replace(SUMMARY, paid_usd=0.1))
    assert "time" not in sentence
    assert "and tokens are shares" in how_to_read(replace(SUMMARY, paid_usd=0.1))


COSTS_MORE = "more than always-strong"
NOT_CERTAIN = "The interval includes 100 % of its dollars, so a saving in dollars is not certain."
MORE_TOKENS = "That is more strong tokens than always using the strong model."


@pytest.mark.parametrize(
    ("cost", "interval", "warning"),
    [
        (0.99, (0.5, 0.999), ""),
        (1.0, (0.9, 1.0), ""),
        (0.99, (0.5, 1.001), NOT_CERTAIN),
        (0.7, (0.5, None), NOT_CERTAIN),
        (1.001, (0.9, 1.2), COSTS_MORE),
        (1.8, (1.5, None), COSTS_MORE),
        (None, (None, None), ""),
    ],
)
def test_a_headline_mentions_a_doubtful_saving(
    cost: float | None, interval: tuple[float | None, float | None], warning: str
) -> None:
    words = at(replace(BEST, cost_usd=cost, cost_usd_ci95=interval))
    assert [text for text in (COSTS_MORE, NOT_CERTAIN, MORE_TOKENS) if text in words] == ([warning] if warning else [])
    assert ("dollars" in words) == (cost is not None)


@pytest.mark.parametrize(
    ("cost", "latency", "words"),
    [
        (1.31, None, "It costs 31 % more than always-strong. 90 % of the gap costs 70.0 % of its dollars."),
        (1.31, 7.04, "It costs 31 % more than always-strong and takes 7.0 times as long. 90 % of the gap costs"),
        (1.31, 1.12, "It costs 31 % more than always-strong and takes 12 % longer."),
        (8.15, 8.66, "It costs 8.2 times as much as always-strong and takes 8.7 times as long. 90 % of the gap"),
        (1.001, 1.001, "It costs a little more than always-strong and takes a little longer."),
        (0.7, 1.12, "in 112.0 % of its time. It takes 12 % longer than always-strong."),
        (0.7, 2.0, "in 200.0 % of its time. It takes 2.0 times as long as always-strong."),
        (1.31, 0.9, "in 90.0 % of its time. It costs 31 % more than always-strong."),
    ],
)
def test_a_headline_mentions_higher_cost_and_latency(cost: float, latency: float | None, words: str) -> None:
    assert words in at(replace(BEST, cost_usd=cost, cost_usd_ci95=(0.5, 1.0), latency=latency))


@pytest.mark.parametrize(("cost", "latency"), [(0.7, 1.0), (1.0, 0.5), (0.7, None), (None, None)])
def test_what_costs_no_more_and_takes_no_longer_has_no_warning(cost: float | None, latency: float | None) -> None:
    words = at(replace(BEST, cost_usd=cost, cost_usd_ci95=(0.5, 1.0), latency=latency))
    assert "than always-strong" not in words
    assert "as always-strong" not in words


def test_a_policy_that_recovers_little_and_costs_more_says_both() -> None:
    never = [replace(NEVER, gap_recovered=p.gap_recovered) for p in REACHED]
    dear = replace(POINT, knob=0.9, accuracy=0.6, cost_usd=0.000369, latency_s=1.5)
    (words,) = headlines(replace(SUMMARY, operating_points=never, points=[dear]))
    assert words.endswith(
        "at any of its knobs. At its most accurate knob, 0.9, it reaches 60.0 %. It costs 50 % more than always-strong "
        "and takes 3.0 times as long."
    )


@pytest.mark.parametrize(("tokens", "more"), [(0.999, False), (1.001, True), (1.7, True)])
def test_a_headline_mentions_more_strong_tokens_than_always_strong(tokens: float, more: bool) -> None:
    assert (MORE_TOKENS in at(replace(BEST, strong_tokens=tokens))) == more


@pytest.mark.parametrize(
    ("name", "label"),
    [("lab-agg", "TRIM-Agg"), ("threshold", "TRIM-Thr"), ("random", ""), ("oracle", ""), ("single:mid", ""), ("x", "")],
)
def test_shipped_policies_beside_the_first_have_a_sentence_of_their_own(name: str, label: str) -> None:
    other = SeriesSummary(name=name, points=[POINT, POINT], metrics=METRIC_VALUES, operating_points=REACHED)
    first, *more = headlines(replace(SUMMARY, policy="confidence", baselines=[other]))
    assert first.startswith("confidence recovers")
    assert [sentence.partition(" recovers 95 % of the gap for")[0] for sentence in more] == ([label] if label else [])


@pytest.mark.parametrize("strategy", ["stepwise", "pipelined", "cascade", "query", "automix-prm"])
def test_threshold_is_called_trim_thr_only_for_step_strategies(strategy: str) -> None:
    (words,) = headlines(replace(SUMMARY, settings={"route": {"strategy": strategy}}))
    assert words.startswith("TRIM-Thr" if strategy in ("stepwise", "pipelined") else "threshold")


@pytest.mark.parametrize(("accuracy", "words"), [(0.5, "not better"), (0.3, "not better"), (0.9, "no cost to save")])
def test_without_a_gap_the_headline_says_why(accuracy: float, words: str) -> None:
    summary: Summary = replace(SUMMARY, operating_points=[], strong=replace(SUMMARY.strong, accuracy=accuracy))
    (only,) = headlines(summary)
    assert words in only


def test_how_to_read_explains_the_shares() -> None:
    assert how_to_read(SUMMARY).startswith("Dollars, tokens and time are shares of what always-strong takes.")
    free = replace(SUMMARY, strong=replace(SUMMARY.strong, cost_usd=0.0, latency_s=0.0))
    assert how_to_read(free).startswith("Tokens are shares")
    assert how_to_read(free).endswith("Set price below its [models.strong].")


def test_how_to_read_mentions_interpolation() -> None:
    assert "interpolated between two neighbouring knobs" in how_to_read(SUMMARY)
    assert "repeats the interpolation" in how_to_read(SUMMARY)
