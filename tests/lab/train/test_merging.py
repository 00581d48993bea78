from dataclasses import replace
from importlib.resources import as_file, files
from pathlib import Path

import msgspec
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the learn extra")

from steproute.core.problem import Problem  # noqa: E402
from steproute.core.solution import Advice, Prefix, Step  # noqa: E402
from steproute.lab.models import LabModel  # noqa: E402
from steproute.lab.network import Network  # noqa: E402
from steproute.lab.story import Story  # noqa: E402
from steproute.lab.tokenizer import Tokenizer  # noqa: E402
from steproute.lab.train.export import export  # noqa: E402
from steproute.lab.train.fitting import Schedule  # noqa: E402
from steproute.lab.train.merging import (  # noqa: E402
    MergeRecipe,
    merged_row,
    read_plans,
    train_merging,
    write_plans,
)
from steproute.lab.worker import Worker  # noqa: E402

pytestmark = pytest.mark.training

RECIPE = MergeRecipe(start="weak", stories=12, schedule=Schedule(steps=2, batch=4, warmup=1, mixed=False))


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plans") / "plans.jsonl"
    write_plans(LabModel("lab-weak"), 12, path)
    return path


def test_plans_are_the_distinct_drafts_for_a_step_and_a_rerun_adds_none(plans: Path) -> None:
    found = read_plans(plans)
    assert found
    assert all(2 <= len(set(each.texts)) == len(each.texts) <= 4 for each in found)
    assert all(0 <= each.after < len(Story.parse(each.story).solution()) for each in found)
    write_plans(LabModel("lab-weak"), 12, plans)
    assert read_plans(plans) == found


def test_an_aggregator_reads_in_use_what_it_read_in_training(plans: Path, tmp_path: Path) -> None:
    with as_file(files("steproute.lab") / "weights" / "lab-weak.onnx") as start:
        trained = train_merging(RECIPE, start, plans, tmp_path / "model")
    export(trained, tmp_path / "model.onnx", reads="plans")
    model = LabModel("lab-weak-merge", Worker(Network(tmp_path / "model.onnx")))
    assert model.capabilities.plans
    assert not model.capabilities.example
    for each in read_plans(plans):
        tokens, targets = merged_row(Tokenizer(), each, np.random.default_rng(0))
        order = np.random.default_rng(0).permutation(len(each.texts))
        steps = Story.parse(each.story).solution()
        prefix = Prefix(problem=Problem.ask(id="a", text=each.story, answer="1"), session="a").extended(
            *(Step(role="given", text=text, tokens=0) for text in steps[: each.after])
        )
        advised = prefix.advised(Advice(plans=tuple(each.texts[index] for index in order)))
        read = tokens[: targets.count(-100) + 1]
        assert model._prompt(advised) == read
        assert Tokenizer().decode(t for t in targets if t >= 0).strip() == steps[each.after]


def test_the_control_learns_the_same_steps_from_the_prompt_that_lab_weak_reads(plans: Path) -> None:
    for each in read_plans(plans):
        shown, learnt = merged_row(Tokenizer(), each, np.random.default_rng(0))
        tokens, targets = merged_row(Tokenizer(), each, np.random.default_rng(0), shown=False)
        step = [target for target in targets if target >= 0]
        assert step == [target for target in learnt if target >= 0]
        assert len(tokens) < len(shown)
        steps = Story.parse(each.story).solution()[: each.after]
        prefix = Prefix(problem=Problem.ask(id="a", text=each.story, answer="1"), session="a").extended(
            *(Step(role="given", text=text, tokens=0) for text in steps)
        )
        assert LabModel("lab-weak")._prompt(prefix) == tokens[: targets.count(-100) + 1]


def test_only_an_aggregator_that_is_shown_the_plans_learns_from_their_texts(plans: Path, tmp_path: Path) -> None:
    swapped = [replace(each, texts=each.texts[:1] * len(each.texts)) for each in read_plans(plans)]
    other = tmp_path / "other.jsonl"
    other.write_bytes(msgspec.json.encode(swapped) + b"\n")

    def weights(file: Path, shown: bool) -> torch.Tensor:
        folder = tmp_path / f"{file.stem}-{shown}"
        with as_file(files("steproute.lab") / "weights" / "lab-weak.onnx") as start:
            model = train_merging(replace(RECIPE, shown=shown), start, file, folder)
        return torch.cat([each.flatten() for each in model.parameters()])

    assert torch.equal(weights(plans, False), weights(other, False))
    assert not torch.equal(weights(plans, True), weights(other, True))
