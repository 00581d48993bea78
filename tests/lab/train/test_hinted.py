import re
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the learn extra")

from steproute.core.solution import Advice, Prefix  # noqa: E402
from steproute.lab.examples import sentence_steps, training_pairs  # noqa: E402
from steproute.lab.models import LAB_SAMPLING, LabModel  # noqa: E402
from steproute.lab.network import Network  # noqa: E402
from steproute.lab.story import Story, generate  # noqa: E402
from steproute.lab.tokenizer import Tokenizer  # noqa: E402
from steproute.lab.train.export import export  # noqa: E402
from steproute.lab.train.fitting import Schedule  # noqa: E402
from steproute.lab.train.hinted import (  # noqa: E402
    ExampleSource,
    HintedRecipe,
    bare_row,
    corrupted,
    hinted_row,
    loss_by_row,
    train_hinted,
)
from steproute.lab.train.language_model import Recipe, build, pad_rows  # noqa: E402
from steproute.lab.worker import Worker  # noqa: E402

TINY = Recipe(width=16, layers=2, heads=2, schedule=Schedule(steps=3, batch=8, warmup=1))
SMALL = HintedRecipe(start="weak", bank=200, schedule=TINY.schedule)


RESULT = re.compile(r"(?<== )\d+|(?<=\{)\d+")


def source() -> ExampleSource:
    return ExampleSource(training_pairs(200), np.random.default_rng(1))


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
    seen = set()
    for seed in range(12):
        tokens, read = hinted_row(tokenizer, story, source(), np.random.default_rng(seed))
        example, shown, *before = tokenizer.decode(tokens[:read]).strip().split("\n\n")[1:]
        learnt = tokenizer.decode(tokens[read:]).strip()
        assert "has" in example
        assert shown == story.text
        assert RESULT.sub("", learnt) == RESULT.sub("", steps[len(before)])
        assert before == steps[: len(before)]
        assert tokens[-1] == (tokenizer.end if len(before) == len(steps) - 1 else tokenizer.separator)
        seen.add(len(before))
    assert len(seen) > 2


def test_each_row_counts_alike_in_the_loss() -> None:
    tokenizer, story = Tokenizer(), Story.parse(next(generate("train")).text)
    rows = [bare_row(tokenizer, story), hinted_row(tokenizer, story, source(), np.random.default_rng(0))]
    model = build(TINY)
    torch.nn.init.normal_(model.head.weight)

    def loss(chosen: list[tuple[list[int], int]]) -> float:
        tokens = pad_rows([row[:-1] for row, _ in chosen], tokenizer.pad)
        targets = pad_rows([[-100] * (read - 1) + row[read:] for row, read in chosen], -100)
        return float(loss_by_row(model, tokens, targets).item())

    assert loss(rows) == pytest.approx((loss(rows[:1]) + loss(rows[1:])) / 2, rel=1e-4)


async def written(model: LabModel, prefix: Prefix) -> int:
    (draft,) = await model.propose(prefix, 1, LAB_SAMPLING)
    return draft.usage.read_tokens


def test_the_exported_model_says_that_it_reads_examples(tmp_path: Path) -> None:
    import asyncio

    start = build(TINY)
    noise = torch.Generator().manual_seed(0)
    for weights in start.parameters():  # the export keeps one of equal arrays, and reading needs them all
        weights.data.add_(0.01 * torch.randn(weights.shape, generator=noise))
    export(start, tmp_path / "start.onnx")
    export(train_hinted(SMALL, tmp_path / "start.onnx", tmp_path / "model"), tmp_path / "model.onnx", advice=True)
    model = LabModel("lab-weak", Worker(Network(tmp_path / "model.onnx")))
    assert model.capabilities.example
    prefix = Prefix(problem=next(generate("test")), session="a")
    bare = asyncio.run(written(model, prefix))
    example = "\n\n".join(training_pairs(1)[0])
    advised = asyncio.run(written(model, prefix.advised(Advice(example=example))))
    assert advised == bare + len(Tokenizer().encode(example)) + 1
