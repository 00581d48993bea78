"""Repairs of drafts, and calls with a temperature or a limit of their own."""

import asyncio

from tests.engine.scripted import Say, ScriptedModel

from steproute import Prefix, Problem, Purpose
from steproute.core.solution import Advice
from steproute.engine.episode import Episode
from steproute.engine.roles import ModelRole, Roles


class Doubled:
    """Corrects every 3 to 6."""

    def repaired(self, prefix: Prefix, text: str) -> str | None:
        return text.replace("3", "6") if "3" in text else None


def episode_of(model: ScriptedModel, repair: Doubled | None = None) -> Episode:
    roles = Roles(models={"weak": ModelRole(model=model, repair=repair)})
    return Episode(Problem.ask("1 + 2?", id="p"), roles, route="test")


def test_a_repaired_draft_is_the_step_and_its_tokens_are_billed_as_generated() -> None:
    model = ScriptedModel("m", [Say("1 + 2 = 3", tokens=7), Say("so \\boxed{9}")])
    episode = episode_of(model, Doubled())

    async def run() -> Prefix:
        prefix = await episode.accept(await episode.propose("weak", episode.start()))
        return await episode.accept(await episode.propose("weak", prefix))

    prefix = asyncio.run(run())
    assert [step.text for step in prefix.steps] == ["1 + 2 = 6", "so \\boxed{9}"]
    assert [step.repaired_from for step in prefix.steps] == ["1 + 2 = 3", None]
    assert model.asked[1][0].text == "1 + 2 = 6"
    assert prefix.steps[0].tokens == 7


def test_a_call_may_have_its_own_temperature_and_token_limit() -> None:
    model = ScriptedModel("m", [])
    episode = episode_of(model)
    asyncio.run(episode.propose("weak", episode.start(), temperature=1.5, max_tokens=1))
    asyncio.run(episode.propose_many("weak", [episode.start()], 1, temperature=0.25))
    assert [(s.temperature, s.max_tokens) for _, s in model.asked] == [(1.5, 1), (0.25, 2048)]


def test_advice_is_for_one_step_and_no_part_of_the_solution() -> None:
    model = ScriptedModel("m", [Say("first"), Say("second \\boxed{1}")])
    episode = episode_of(model)

    async def run() -> Prefix:
        advised = episode.start().advised(Advice(example="another problem"))
        prefix = await episode.accept(await episode.propose("weak", advised))
        return await episode.accept(await episode.propose("weak", prefix))

    prefix = asyncio.run(run())
    assert [bool(asked.advice) for asked, _ in model.asked] == [True, False]
    assert prefix.text == "first\n\nsecond \\boxed{1}"
    assert not prefix.advice


def test_a_speculative_draft_without_the_advice_is_not_taken() -> None:
    model = ScriptedModel("m", [Say("alone"), Say("advised")])
    episode = episode_of(model)

    async def run() -> str:
        start = episode.start()
        episode.speculate("weak", start)
        await asyncio.sleep(0.01)
        draft = await episode.propose("weak", start.advised(Advice(plans=("a", "b"))))
        return draft.text

    assert asyncio.run(run()) == "advised"
    assert Purpose.CANCELLED in {line.purpose for line in episode._account.lines}
