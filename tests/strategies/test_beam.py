"""The beam: its score, its pruning, its votes, and models without log-probabilities."""

import asyncio
from collections import Counter
from dataclasses import dataclass, replace
from math import log

import pytest
from tests.engine.scripted import Say, ScriptedModel
from tests.engine.test_episode import Stage, check_law

from steproute import Draft, Episode, Limits, Meter, Outcome, Prefix, Purpose, Sampling
from steproute.core.errors import ConfigError
from steproute.core.ports import ModelCapabilities
from steproute.policies.trim.threshold import Threshold
from steproute.strategies.beam import Beam

NONE = Threshold(0.0)
ENDS = [Say("so \\boxed{1}", 4), Say("so \\boxed{2}", 4)]


@dataclass
class Sure(ScriptedModel):
    """Gives each text its probability."""

    def __init__(self, replies: list[Say], probabilities: dict[str, float]) -> None:
        super().__init__("w", replies)
        self.probabilities = probabilities

    async def propose(
        self, prefix: Prefix, n: int = 1, sampling: Sampling = Sampling(), meter: Meter | None = None
    ) -> list[Draft]:
        drafts = await super().propose(prefix, n, sampling, meter)
        return [replace(each, logprobs=(log(self.probabilities.get(each.text, 0.5)),)) for each in drafts]


class Mute(ScriptedModel):
    capabilities = ModelCapabilities(logprobs=False)


def stage(replies: list[Say], scores: list[float], **probabilities: float) -> Stage:
    made = Stage(scores=scores)
    made.weak = Sure(replies, probabilities)
    weak = replace(made.roles.model("weak"), model=made.weak)
    made.roles = replace(made.roles, models={**made.roles.models, "weak": weak})
    return made


@pytest.mark.parametrize(("weight", "winner"), [(0.0, "a"), (0.5, "c"), (1.0, "b")])
def test_chains_are_ranked_by_judge_writer_or_both(weight: float, winner: str) -> None:
    texts = [Say(text) for text in "abc"] + [Say("so \\boxed{1}")] * 3
    made = stage(texts, [0.9, 0.1, 0.8], a=0.1, b=0.9, c=0.8)
    trace = made.solve(Beam(policy=NONE, width=1, samples=3, weight=weight))
    assert trace.steps[0].text == winner
    assert (trace.steps[0].width, trace.steps[0].votes) == (3, 1)
    assert (made.prm.read == 0) == (weight == 1.0)
    check_law(made, trace)


def test_the_score_of_a_chain_is_the_mean_over_its_steps_not_a_product() -> None:
    replies = [Say("a"), Say("b \\boxed{2}"), Say("c"), Say("d"), Say("so \\boxed{1}"), Say("so \\boxed{1}")]
    made = stage(replies, [0.8, 0.7, 0.9, 0.1, 0.95])
    trace = made.solve(Beam(policy=NONE, width=2, samples=2, weight=0.0))
    assert trace.answer == "1"  # (0.8 · 0.9 · 0.95)^(1/3) > 0.7 > the product
    check_law(made, trace)


def test_a_judge_of_whole_prefixes_is_read_as_a_ratio() -> None:
    def solve(chain: str) -> str:
        replies = [Say("a"), Say("b"), Say("a1 \\boxed{1}"), Say("b1 \\boxed{2}")]
        trace = stage(replies, [0.9, 0.5, 0.9, 0.8]).solve(
            Beam(policy=NONE, width=2, samples=1, weight=0.0, chain=chain)  # type: ignore[arg-type]
        )
        return trace.answer or ""

    assert solve("step") == "1"
    assert solve("prefix") == "1"


def test_without_log_probabilities_the_judge_alone_ranks_and_the_trace_says_so() -> None:
    made = Stage(scores=[0.1, 0.9])
    made.weak = Mute("w", ENDS)
    weak = replace(made.roles.model("weak"), model=made.weak)
    made.roles = replace(made.roles, models={**made.roles.models, "weak": weak})
    trace = made.solve(Beam(policy=NONE, width=1, samples=2))
    assert (trace.answer, len(trace.notes)) == ("2", 1)
    assert "no log-probabilities" in trace.notes[0]


def test_strong_competes_only_where_the_policy_rejects_every_weak_candidate() -> None:
    made = stage([Say("a"), Say("b"), *ENDS], [0.2, 0.3, 0.9, 0.8, 0.7])
    made.strong.replies.append(Say("s", 7))
    trace = made.solve(Beam(policy=Threshold(0.5), width=1, samples=2, weight=0.0))
    assert [(step.role, step.text) for step in trace.steps] == [("strong", "s"), ("weak", "so \\boxed{1}")]
    assert len(made.strong.asked) == 1
    assert trace.generated_tokens("weak", Purpose.DISCARDED) == 5 + 5 + 4
    check_law(made, trace)


def test_the_first_round_draws_enough_to_fill_the_beam() -> None:
    made = stage([Say(text) for text in "abcdef"] + ENDS * 6, [])
    asked: list[int] = []
    propose = made.weak.propose

    async def counted(prefix: Prefix, n: int = 1, *further: object) -> list[Draft]:
        asked.append(n)
        return await propose(prefix, n, *further)  # type: ignore[arg-type]

    made.weak.propose = counted  # type: ignore[method-assign, assignment]
    made.solve(Beam(policy=NONE, width=3, samples=2))
    assert asked == [6, 2, 2, 2]


def test_a_stochastic_beam_draws_by_the_score_and_the_same_again() -> None:
    def answers(seed: int) -> str | None:
        made = stage(ENDS.copy(), [0.9, 0.3])
        episode = Episode(made.problem, made.roles, route="t", seed=seed)
        beam = Beam(policy=NONE, width=1, samples=2, weight=0.0, temperature=1.0, decay=1.0)
        return asyncio.run(episode.run(beam)).answer

    counts = Counter(answers(seed) for seed in range(400))
    assert counts == Counter(answers(seed) for seed in range(400))
    assert 0.68 < counts["1"] / 400 < 0.82  # 0.9 / (0.9 + 0.3)


def test_a_vote_takes_the_majority_of_the_last_chains_and_keeps_the_losers_on_the_trace() -> None:
    ends = [Say("x \\boxed{2}"), Say("y \\boxed{1}"), Say("z \\boxed{1.0}"), Say("x \\boxed{2}")]
    for vote, answer in ((False, "2"), (True, "1")):
        made = stage(ends.copy(), [0.9, 0.5, 0.4])
        trace = made.solve(Beam(policy=NONE, width=3, samples=4, weight=0.0, vote=vote))
        assert trace.answer == answer
        check_law(made, trace)
    assert [(each.answer, each.votes) for each in trace.answer_votes] == [("1", 2), ("2", 1)]


def test_a_budget_that_ends_the_search_leaves_the_best_chain() -> None:
    made = stage([Say("a", 50), Say("b", 50), Say("c", 50)], [0.2, 0.9])
    trace = made.solve(Beam(policy=NONE, width=1, samples=2, weight=0.0), Limits(max_tokens=2 * 2048, retries=0))
    assert trace.outcome in (Outcome.TOKEN_BUDGET, Outcome.ANSWERED)
    check_law(made, trace)


@pytest.mark.parametrize(
    "wrong", [{"width": 0}, {"samples": 0}, {"weight": 1.5}, {"temperature": -1.0}, {"decay": 2.0}]
)
def test_numbers_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        Beam(policy=NONE, **wrong)  # type: ignore[arg-type]
