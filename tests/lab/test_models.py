"""The shipped lab models through the ports."""

import asyncio
from dataclasses import replace
from importlib.resources import files
from itertools import islice
from pathlib import Path

import pytest

from steproute import Draft, Episode, Meter, Outcome, Prefix, Problem, Purpose, Step, Stop
from steproute.config import lab_roles
from steproute.core.errors import BackendError, ConfigError, ScorerError
from steproute.evaluation.auc import roc_auc
from steproute.lab.measure import check_model
from steproute.lab.models import LAB_SAMPLING, PRICES, LabLikelihood, LabModel, LabPrm
from steproute.lab.story import Story, generate
from steproute.policies.trim.threshold import Threshold
from steproute.strategies.stepwise import Stepwise

WEIGHTS = sorted(Path(str(files("steproute.lab"))).glob("weights/*.onnx"))
PROBLEMS = list(islice(generate("validation", 3), 24))
WHOLE = replace(LAB_SAMPLING, stop=None)


def test_shipped_weights_tell_nothing_of_the_machine_that_made_them() -> None:
    assert len(WEIGHTS) == 7
    assert not any(b".py" in path.read_bytes() for path in WEIGHTS)


def prefix(problem: Problem, session: str, *texts: str) -> Prefix:
    steps = tuple(Step(role="weak", text=text, tokens=1) for text in texts)
    return Prefix(problem=problem, steps=steps, session=session)


def solve_all(model: LabModel, in_flight: int, session: str) -> list[Draft]:
    async def solve() -> list[Draft]:
        limiter = asyncio.Semaphore(in_flight)

        async def one(seed: int, problem: Problem) -> Draft:
            async with limiter:
                start = prefix(problem, f"{session}/{seed}")
                return (await model.propose(start, 1, replace(WHOLE, seed=seed)))[0]

        return await asyncio.gather(*(one(seed, problem) for seed, problem in enumerate(PROBLEMS)))

    return asyncio.run(solve())


@pytest.mark.parametrize("name", ["lab-weak", "lab-strong"])
def test_a_solution_does_not_depend_on_what_else_is_in_the_batch(name: str) -> None:
    model = LabModel(name)  # type: ignore[arg-type]
    alone, together = solve_all(model, 1, f"{name}/a"), solve_all(model, 24, f"{name}/b")
    assert [draft.text for draft in alone] == [draft.text for draft in together]
    assert len({draft.text for draft in alone}) == len(PROBLEMS)


def test_step_tokens_add_up_and_match_the_steps() -> None:
    for draft in solve_all(LabModel("lab-weak"), 8, "tokens"):
        assert draft.step_tokens is not None
        assert sum(draft.step_tokens) == draft.usage.output_tokens
        assert len(draft.step_tokens) == len(draft.text.split("\n\n"))


def test_what_a_session_has_sent_before_is_read_from_its_cache() -> None:
    async def twice() -> tuple[Draft, Draft]:
        model = LabModel("lab-weak")
        (first,) = await model.propose(prefix(PROBLEMS[0], "cache"))
        (second,) = await model.propose(prefix(PROBLEMS[0], "cache", first.text))
        return first, second

    first, second = asyncio.run(twice())
    assert first.stop is Stop.SEPARATOR
    assert first.usage.cache_read_tokens == 0
    assert second.usage.cache_read_tokens == first.usage.input_tokens + first.usage.output_tokens - 1
    assert second.usage.input_tokens == 1


def test_several_drafts_differ_and_a_meter_sees_them_all() -> None:
    meter = Meter()
    start = prefix(PROBLEMS[0], "several")
    drafts = asyncio.run(LabModel("lab-weak").propose(start, 6, replace(WHOLE, temperature=1.5), meter))
    assert len({draft.text for draft in drafts}) > 1
    assert meter.usage.output_tokens == sum(draft.usage.output_tokens for draft in drafts)


def test_temperature_zero_ignores_the_seed() -> None:
    model, greedy = LabModel("lab-strong"), replace(WHOLE, temperature=0.0)
    drafts = [
        asyncio.run(model.propose(prefix(PROBLEMS[1], f"greedy/{seed}"), 1, replace(greedy, seed=seed)))[0]
        for seed in range(3)
    ]
    assert len({draft.text for draft in drafts}) == 1


def test_a_cancelled_call_is_billed_for_exactly_what_it_generated() -> None:
    async def cancel() -> tuple[Meter, int]:
        meter, model = Meter(), LabModel("lab-weak")
        task = asyncio.create_task(model.propose(prefix(PROBLEMS[2], "cancel"), 1, WHOLE, meter))
        while not meter.usage.output_tokens:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        final = meter.usage.output_tokens
        await asyncio.sleep(0.05)
        return meter, final

    meter, final = asyncio.run(cancel())
    assert meter.usage.output_tokens == final > 0


def test_the_prm_scores_correct_weak_steps_higher() -> None:
    checked = asyncio.run(check_model(LabModel("lab-weak"), list(islice(generate("validation", 4), 80)), 0, LabPrm()))
    assert all(len(item.scores or ()) == len(item.verdicts) for item in checked)
    pairs = [pair for item in checked for pair in zip(item.scores or (), item.on_right_prefix, strict=False)]
    scores, right = zip(*pairs, strict=True)
    assert roc_auc(scores, right) > 0.88


@pytest.mark.parametrize("scorer", [LabPrm(), LabLikelihood("lab-strong")])
def test_an_answer_within_a_step_makes_no_step_of_its_own(scorer: LabPrm | LabLikelihood) -> None:
    first, second, *rest = Story.parse(PROBLEMS[0].text).solution()

    async def score(*texts: str) -> tuple[float, ...]:
        return (await scorer.score(prefix(PROBLEMS[0], "answered", *texts))).values

    apart, together = asyncio.run(score(first, second, *rest)), asyncio.run(score(f"{first}\n\n{second}", *rest))
    assert len(together) == len(apart) - 1
    assert together[1:] == pytest.approx(apart[2:], abs=1e-5)


def test_scores_do_not_depend_on_what_the_session_held_before() -> None:
    steps = Story.parse(PROBLEMS[0].text).solution()

    async def score(session: str, *texts: str) -> tuple[float, ...]:
        return (await LabPrm().score(prefix(PROBLEMS[0], session, *texts))).values

    async def both() -> tuple[tuple[float, ...], tuple[float, ...]]:
        await score("used", steps[0], "(2) Ben has 3.")
        return await score("used", *steps), await score("fresh", *steps)

    used, fresh = asyncio.run(both())
    assert used == pytest.approx(fresh, abs=1e-5)


def test_a_problem_that_fills_the_context_ends_by_name() -> None:
    text = " ".join(f"({label}) It is a sunny day." for label in range(1, 21)) * 4
    problem = Problem.ask(id="long", text=f"{text} How many pens does Ben have now?")
    trace = asyncio.run(Episode(problem, lab_roles(), route="t").run(Stepwise(policy=Threshold(0.5))))
    assert trace.outcome is Outcome.CONTEXT_OVERFLOW


def test_text_outside_the_language_fails_the_problem_with_the_reason() -> None:
    problem = Problem.ask(id="x", text="What is the meaning of life?")
    trace = asyncio.run(Episode(problem, lab_roles(), route="t").run(Stepwise(policy=Threshold(0.5))))
    assert trace.outcome is Outcome.FAILED
    assert "not in the lab's vocabulary" in (trace.error or "")
    with pytest.raises(BackendError):
        asyncio.run(LabModel("lab-weak").propose(prefix(problem, "x")))
    with pytest.raises(ScorerError):
        asyncio.run(LabPrm().score(prefix(problem, "x")))


def test_another_separator_is_refused() -> None:
    start = replace(prefix(PROBLEMS[0], "sep"), separator="\n")
    with pytest.raises(ConfigError, match="is not the lab's"):
        asyncio.run(LabModel("lab-weak").propose(start))


def test_strong_costs_twenty_times_weak_and_a_trace_pays_list_prices() -> None:
    assert PRICES["lab-strong"].output == 20 * PRICES["lab-weak"].output
    assert PRICES["lab-strong"].input == 20 * PRICES["lab-weak"].input
    trace = asyncio.run(Episode(PROBLEMS[0], lab_roles(), route="t").run(Stepwise(policy=Threshold(0.5))))
    for line in trace.account:
        price = PRICES["lab-verifier" if line.purpose is Purpose.SCORE else f"lab-{line.role}"]  # type: ignore[index]
        assert line.cost_usd == price.cost(line.usage)


@pytest.mark.parametrize("part", [LabModel("lab-weak"), LabPrm()])
def test_numbers_above_99_are_rejected(part: LabModel | LabPrm) -> None:
    """The models would read and write its first two digits."""
    text = "(1) Ben has 3000 coins. How many coins does Ben have now?"
    start = prefix(Problem.ask(id="large", text=text), "large", "(1) Ben has 30.")
    work = part.propose(start) if isinstance(part, LabModel) else part.score(start)
    with pytest.raises((BackendError, ScorerError), match="3000 is above 99"):
        asyncio.run(work)  # type: ignore[arg-type]
