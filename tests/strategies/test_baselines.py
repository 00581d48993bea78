import asyncio

import pytest
from tests.engine.test_episode import PROBLEM, Say, Stage, check_law

from steproute import Accept, Decision, Draft, Observation, Outcome, Prefix, Problem, Rewrite, Stop, Usage
from steproute.config import lab_roles
from steproute.core.errors import ConfigError
from steproute.core.grade import Grade
from steproute.core.ports import Reading
from steproute.core.usage import Purpose
from steproute.engine.episode import Episode
from steproute.engine.limits import Limits
from steproute.grading.mathematics import MathGrader
from steproute.lab.story import generate
from steproute.policies.baselines.confidence import Confidence, FirstTokenEntropy
from steproute.policies.baselines.rsd import Rsd
from steproute.policies.trim.threshold import Threshold
from steproute.strategies.automix import AutoMix, AutoMixPrm
from steproute.strategies.query_level import QueryLevel
from steproute.strategies.specreason import SpecReason


def whole(answer: str, tokens: int = 20) -> Say:
    return Say(f"a\n\nso \\boxed{{{answer}}}", tokens, Stop.END)


def seen(score: float = 0.5, step: str = "p", **draft: object) -> Observation:
    written = Draft(model="m", text="x", stop=Stop.SEPARATOR, usage=Usage(), **draft)  # type: ignore[arg-type]
    return Observation(
        prefix=Prefix(problem=Problem.ask(id=step, text="t")), draft=written, scores=(score,), max_steps=30
    )


def test_an_answer_that_its_own_samples_confirm_is_kept_and_every_sample_is_paid_for() -> None:
    stage = Stage(weak=[whole("1"), whole("1"), whole("1"), whole("2"), whole("1")])
    trace = stage.solve(AutoMix(policy=Threshold(0.7), samples=4))
    assert (trace.answer, trace.outcome, trace.generated_tokens("strong")) == ("1", Outcome.ANSWERED, 0)
    assert trace.generated_tokens("weak") == 5 * 20
    check_law(stage, trace)


def test_samples_are_one_call() -> None:
    stage = Stage(weak=[whole("1")] * 5)
    trace = stage.solve(AutoMix(policy=Threshold(0.7), samples=4))
    discarded = [line.usage for line in trace.account if line.purpose is Purpose.DISCARDED]
    assert [usage.read_tokens > 0 for usage in discarded] == [True, False, False, False]


def test_fewer_than_one_sample_are_refused() -> None:
    with pytest.raises(ConfigError, match="samples: 0 is below 1"):
        AutoMix(policy=Threshold(0.7), samples=0)


def test_an_answer_that_its_samples_contradict_is_solved_anew_by_strong() -> None:
    stage = Stage(weak=[whole("1"), whole("2"), whole("2"), whole("1"), whole("3")], strong=[whole("9", 30)])
    trace = stage.solve(AutoMix(policy=Threshold(0.5), samples=4))
    assert (trace.answer, trace.generated_tokens("strong")) == ("9", 30)
    assert {step.role for step in trace.steps} == {"strong"}
    check_law(stage, trace)


def test_without_an_answer_nothing_is_confirmed() -> None:
    stage = Stage(weak=[Say("hm", 3, Stop.END), *[Say("hm", 3, Stop.END)] * 2], strong=[whole("9")])
    assert stage.solve(AutoMix(policy=Threshold(0.1), samples=2)).answer == "9"


HALVES = [
    "\\frac{1}{2}",
    "0.5",
    "\\frac12",
    "1/2",
    "\\dfrac{1}{2}",
    "0.50",
    ".5",
    "\\frac{2}{4}",
    " \\frac{1}{2}",
    "½",
    "2^{-1}",
]
ROOTS = ["2\\sqrt{2}", "\\sqrt{8}", "2√2", "\\frac{4}{\\sqrt{2}}", "2 \\cdot 2^{1/2}"]
NAMES = ["\\text{Tom}", "Tom", "\\textbf{Tom}.", "TOM"]
LISTS = ["1, 2", "2,1", "\\{1,2\\}", "1 \\text{ and } 2"]


@pytest.mark.parametrize("spellings", [HALVES, ROOTS, NAMES, LISTS], ids=["halves", "roots", "names", "lists"])
def test_samples_agree_in_any_spelling(spellings: list[str]) -> None:
    stage = Stage(weak=[whole(each) for each in [*spellings, "7"]])
    trace = stage.solve(AutoMix(policy=Threshold(0.5), samples=len(spellings)))
    share = (len(spellings) - 1) / len(spellings)
    assert (trace.generated_tokens("strong"), trace.steps[0].score) == (0, share)


def test_samples_whose_comparison_is_undecided_do_not_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    async def undecided(*_: object) -> Grade:
        return Grade.undecided("it took too long")

    monkeypatch.setattr(MathGrader, "grade", undecided)
    stage = Stage(weak=[whole(each) for each in ("1", "1", "x^2", "x", "y")])
    assert stage.solve(AutoMix(policy=Threshold(0.1), samples=4)).steps[0].score == 0.25


def test_samples_that_leave_the_box_empty_confirm_nothing() -> None:
    for box in ("", " ", "...", "answer"):
        stage = Stage(weak=[whole(box)] * 5, strong=[whole("9")])
        assert stage.solve(AutoMix(policy=Threshold(0.1), samples=4)).answer == "9"


@pytest.mark.parametrize(("score", "answer"), [(0.4, "9"), (0.8, "1")])
def test_the_lowest_step_score_verifies_the_whole_answer(score: float, answer: str) -> None:
    stage = Stage(weak=[whole("1")], strong=[whole("9")], scores=[score])
    trace = stage.solve(AutoMixPrm(policy=Threshold(0.5)))
    assert trace.answer == answer
    check_law(stage, trace)


def test_a_query_level_router_calls_one_model_once() -> None:
    for threshold, role in ((0.0, "weak"), (1.0, "strong")):

        class Always:
            reads = frozenset[Reading]()

            def decide(self, observation: Observation, threshold: float = threshold) -> Decision:
                assert observation.prefix.problem == PROBLEM
                return Rewrite("strong") if threshold else Accept()

        stage = Stage(weak=[whole("1")], strong=[whole("1")])
        trace = stage.solve(QueryLevel(policy=Always()))
        assert [line.role for line in trace.account] == [role]
        assert all(step.rejected is None for step in trace.steps)


def test_specreason_pays_strong_for_reading() -> None:
    problem = next(generate("test", seed=0))
    episode = Episode(problem, lab_roles(), route="t", limits=Limits())
    trace = asyncio.run(episode.run(SpecReason(policy=Threshold(0.0))))
    graded = [line for line in trace.account if line.role == "strong"]
    assert len(graded) == len(trace.steps)
    assert all(line.usage.output_tokens == 0 and line.cost_usd > 0 for line in graded)
    assert trace.generated_tokens("strong") == 0


def test_confidence_is_the_geometric_mean_of_the_tokens_probabilities() -> None:
    observation = seen(logprobs=(-0.1, -0.3))
    assert Confidence(0.81).decide(observation) == Accept()
    assert Confidence(0.82).decide(observation) == Rewrite("strong")
    with pytest.raises(ConfigError, match="m gives no log-probabilities"):
        Confidence(0.5).decide(seen())
    with pytest.raises(ConfigError, match="threshold: 2 is outside"):
        Confidence(2)


def test_a_step_that_begins_in_doubt_is_regenerated() -> None:
    assert FirstTokenEntropy(0.5).decide(seen(first_token_entropy=0.6)) == Rewrite("strong")
    assert FirstTokenEntropy(0.5).decide(seen(first_token_entropy=0.4)) == Accept()
    with pytest.raises(ConfigError, match="m gives no entropies"):
        FirstTokenEntropy(0.5).decide(seen())
    with pytest.raises(ConfigError, match="threshold: -1 is no entropy"):
        FirstTokenEntropy(-1)


@pytest.mark.parametrize(("scale", "share"), [(0.0, 1.0), (1.0, 0.5), (2.0, 0.25), (0.25, 1.0)])
def test_rsd_accepts_with_the_chance_that_the_score_gives(scale: float, share: float) -> None:
    kept = [Rsd(scale, 1).decide(seen(0.5, str(i))) == Accept() for i in range(2000)]
    assert sum(kept) / 2000 == pytest.approx(share, abs=0.04)
    with pytest.raises(ConfigError, match="scale: -1"):
        Rsd(-1)
