import asyncio
import re
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the learn extra")

from steproute.core.solution import Advice, Prefix  # noqa: E402
from steproute.lab.examples import sentence_steps, training_pairs  # noqa: E402
from steproute.lab.models import LAB_SAMPLING, LabModel  # noqa: E402
from steproute.lab.story import Story, generate  # noqa: E402
from steproute.lab.tokenizer import Tokenizer  # noqa: E402
from steproute.lab.train.fitting import Schedule  # noqa: E402
from steproute.lab.train.hinted import (  # noqa: E402
    ExampleSource,
    HintedRecipe,
    bare_row,
    corrupted,
    hinted_pool,
    hinted_row,
    loss_by_row,
    train_hinted,
)
from steproute.lab.train.language_model import Recipe, build  # noqa: E402
from steproute.lab.train.pools import pooled  # noqa: E402
from steproute.lab.train.rows import Row, batch_of  # noqa: E402

pytestmark = pytest.mark.training

TINY = Recipe(width=16, layers=2, heads=2, schedule=Schedule(steps=3, batch=8, warmup=1))
SMALL = HintedRecipe(shape=TINY, bank=200, calculating=0.5)


CALCULATION = re.compile(r"(\d+) ([-+*/]) (?:\w+ )?(\d+) = ")
RESULT = re.compile(r"(?<== )\d+|(?<=\{)\d+")


def source() -> ExampleSource:
    return ExampleSource(training_pairs(200))


def test_a_corrupted_step_differs_in_one_place_and_keeps_its_label() -> None:
    rng = np.random.default_rng(0)
    for step in ("(2) Rosa has Jack 51 + 35 = 86.", "(11) Jack has 5.", "(12) Mia has Leo 9 / 3 = 3."):
        for _ in range(40):
            changed = corrupted(step, rng)
            assert sum(a != b for a, b in zip(step, changed, strict=True)) == 1
            assert changed.split()[0] == step.split()[0]


def test_a_hinted_row_is_example_story_and_steps_and_learns_one_step() -> None:
    tokenizer, story = Tokenizer(), Story.parse(next(generate("train")).text)
    steps = [step for _, step in sentence_steps(story)]
    seen, examples = set(), source()
    for seed in range(12):
        tokens, targets = hinted_row(tokenizer, story, examples, np.random.default_rng(seed))
        learnt = tokenizer.decode([target for target in targets if target >= 0]).strip()
        read = targets.count(-100) + 1
        sentence, example, shown, *before = tokenizer.decode(tokens[:read]).strip().split("\n\n")
        assert sentence.startswith("(20) ")
        assert example.startswith("(20) ")
        assert shown == story.text
        assert RESULT.sub("", learnt) == RESULT.sub("", steps[len(before)])
        assert before == steps[: len(before)]
        assert targets[-1] == (tokenizer.end if len(before) == len(steps) - 1 else tokenizer.separator)
        seen.add(len(before))
    assert len(seen) > 2


def test_an_example_of_a_calculation_shows_it_with_a_made_up_result_or_shows_another_one() -> None:
    examples, rng, made_up, same = source(), np.random.default_rng(0), 0, 0
    for sentence, step in training_pairs(200):
        example, learnt = examples.draw(sentence, step, rng)
        calculation = CALCULATION.search(step)
        if calculation is None:
            continue
        if learnt != step:
            made_up += 1
            assert RESULT.search(example)[0] == RESULT.search(learnt)[0]  # type: ignore[index]
        elif (shown := CALCULATION.search(example)) is not None:
            same += shown.groups() == calculation.groups()
    assert made_up > 40
    assert same < 4, "by chance a made-up result is the correct one"


def test_a_bare_row_can_leave_out_the_results_of_calculations() -> None:
    tokenizer, story = Tokenizer(), Story.parse(next(generate("train")).text)
    rows = [bare_row(tokenizer, story, calculating=each) for each in (True, False)]
    assert rows[0][0] == rows[1][0]
    learnt, without = (tokenizer.decode([t for t in targets if t >= 0]) for _, targets in rows)
    assert learnt.strip() == "\n\n".join(story.solution())
    assert not RESULT.search(without)
    assert "has" in without


def test_rows_do_not_depend_on_the_number_of_processes() -> None:
    """Nor does a batch depend on where the stream begins."""
    streams = [pooled(partial(hinted_pool, SMALL), step, processes) for step, processes in ((0, 1), (0, 2), (11, 1))]
    one, two, later = ([tokens for tokens, _ in islice(stream, 16)] for stream in streams)
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(one[11:], later[:5], strict=True))


def test_each_row_counts_alike_in_the_loss() -> None:
    tokenizer, story = Tokenizer(), Story.parse(next(generate("train")).text)
    hinted = hinted_row(tokenizer, story, source(), np.random.default_rng(0))
    rows = [bare_row(tokenizer, story, calculating=True), hinted]
    model = build(TINY)
    torch.nn.init.normal_(model.head.weight)

    def loss(chosen: list[Row]) -> float:
        return float(loss_by_row(model, *batch_of(chosen, tokenizer.pad)).item())

    assert loss(rows) == pytest.approx((loss(rows[:1]) + loss(rows[1:])) / 2, rel=1e-4)


async def written(model: LabModel, prefix: Prefix) -> int:
    (draft,) = await model.propose(prefix, 1, LAB_SAMPLING)
    return draft.usage.read_tokens


def test_training_changes_the_weights_and_continues(tmp_path: Path) -> None:
    before = build(TINY).state_dict()["embed.weight"].clone()
    trained = train_hinted(SMALL, tmp_path / "model")
    assert not torch.equal(trained.embed.weight, before)
    again = train_hinted(SMALL, tmp_path / "model")
    assert torch.equal(trained.embed.weight, again.embed.weight)


def test_the_shipped_model_reads_an_example_in_front_of_the_story() -> None:
    model = LabModel("lab-weak-hinted")
    assert model.capabilities.example
    assert not model.capabilities.plans
    prefix = Prefix(problem=next(generate("test")), session="a")
    bare = asyncio.run(written(model, prefix))
    example = "\n\n".join(training_pairs(1)[0])
    advised = asyncio.run(written(model, prefix.advised(Advice(example=example))))
    assert advised == bare + len(Tokenizer().encode(example)) + 1
