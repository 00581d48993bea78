import asyncio
from importlib.resources import as_file, files
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the learn extra")

from steproute.core.problem import Problem  # noqa: E402
from steproute.core.solution import Prefix, Step  # noqa: E402
from steproute.lab.checker import StepLabel, check_steps  # noqa: E402
from steproute.lab.models import LabModel, LabPrm, LabScorerName  # noqa: E402
from steproute.lab.network import Network  # noqa: E402
from steproute.lab.onnx_weights import read_weights  # noqa: E402
from steproute.lab.story import Story, generate  # noqa: E402
from steproute.lab.tokenizer import Tokenizer  # noqa: E402
from steproute.lab.train.alterations import altered  # noqa: E402
from steproute.lab.train.export import export  # noqa: E402
from steproute.lab.train.first_error import correct_next, first_error  # noqa: E402
from steproute.lab.train.fitting import Schedule, snapshot  # noqa: E402
from steproute.lab.train.language_model import (  # noqa: E402
    Recipe,
    build,
    next_token_loss,
    solution_batches,
    train_language_model,
)
from steproute.lab.train.reward_model import RewardRecipe, train_reward_model  # noqa: E402
from steproute.lab.train.rollouts import read_rollouts, write_rollouts  # noqa: E402
from steproute.lab.train.transformer import Transformer  # noqa: E402
from steproute.lab.train.verifier import VerifierRecipe, train_verifier, verifier_batches, verifier_loss  # noqa: E402
from steproute.lab.train.verifier_network import VerifierNetwork  # noqa: E402
from steproute.lab.train.walks import Walk, read_walks, write_walks  # noqa: E402
from steproute.lab.worker import Worker  # noqa: E402

pytestmark = pytest.mark.training


def recipe(steps: int, snapshots: tuple[int, ...] = ()) -> Recipe:
    schedule = Schedule(steps=steps, batch=8, warmup=2, checkpoint_every=2, snapshots=snapshots)
    return Recipe(width=16, layers=2, heads=2, schedule=schedule)


def weights(model: Transformer) -> np.ndarray:
    return np.concatenate([p.detach().numpy().ravel() for p in model.parameters()])


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Transformer, Path]:
    """A language model after 4 steps, and the folder of its training and of its export, `model.onnx`, which is slow."""
    folder = tmp_path_factory.mktemp("small")
    model = train_language_model(recipe(4, snapshots=(2,)), folder)
    export(model, folder / "model.onnx")
    return model, folder


def test_the_exported_network_equals_the_trained_one_whole_and_in_pieces(small: tuple[Transformer, Path]) -> None:
    model, folder = small
    assert b".py" not in (folder / "model.onnx").read_bytes(), "nothing of the machine that made it"
    network = Network(folder / "model.onnx")
    tokens = Tokenizer().encode(next(generate("train")).text)
    with torch.no_grad():
        expected = model(torch.tensor([tokens]), select=torch.ones(1, len(tokens), dtype=torch.bool)).numpy()
    outputs, kept = network.read("whole", tokens, row=0)
    assert kept == 0
    np.testing.assert_allclose(outputs, expected, atol=1e-4)
    for end in (3, 10, len(tokens)):
        outputs, kept = network.read("pieces", tokens[:end], row=0)
    assert kept == 10
    np.testing.assert_allclose(outputs, expected, atol=1e-4)


def test_an_interrupted_training_resumes_from_its_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train_language_model(recipe(4), tmp_path / "a")
    before = (tmp_path / "a" / "log.jsonl").stat().st_size
    again = train_language_model(recipe(4), tmp_path / "a")
    assert (tmp_path / "a" / "log.jsonl").stat().st_size == before
    assert not np.array_equal(weights(again), weights(build(recipe(4))))


def test_training_lowers_the_loss_on_unseen_stories(tmp_path: Path) -> None:
    tokens, targets = next(solution_batches(Tokenizer(), 16, seed=99))
    untrained = next_token_loss(build(recipe(40)), tokens, targets).item()
    trained = next_token_loss(train_language_model(recipe(40), tmp_path), tokens, targets).item()
    assert trained < untrained - 1.0


def test_the_whole_pipeline_ends_with_a_scorer_that_scores_every_step(
    small: tuple[Transformer, Path], tmp_path: Path
) -> None:
    _, folder = small
    write_rollouts(folder / "model.onnx", 80, tmp_path / "rollouts.jsonl")
    assert all(len(steps) == len(right) for _, steps, right in read_rollouts(tmp_path / "rollouts.jsonl"))
    schedule = Schedule(steps=3, batch=8, warmup=1)
    reward = RewardRecipe(start=recipe(4), start_step=2, rollouts=80, schedule=schedule)
    model = train_reward_model(reward, snapshot(folder, 2), tmp_path / "rollouts.jsonl", tmp_path / "prm")
    export(model, tmp_path / "prm.onnx")
    steps = (Step(role="weak", text="(1) Ben has 3.", tokens=1),) * 2
    prefix = Prefix(problem=next(generate("train")), session="s", steps=steps)
    scores = asyncio.run(LabPrm(source=Worker(Network(tmp_path / "prm.onnx"))).score(prefix))
    assert len(scores.values) == 2
    assert all(0 < value < 1 for value in scores.values)


def test_a_schedule_rises_stays_and_falls_to_zero() -> None:
    schedule = Schedule(steps=100, batch=8, warmup=10)
    factors = [schedule.factor(step) for step in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[9:51] == [1.0] * 42
    assert factors[99] == pytest.approx(0.02)


def test_the_exported_verifier_equals_the_trained_one_whole_and_in_pieces(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = VerifierNetwork(train_language_model(recipe(4), tmp_path / "model"), new_layers=1)
    torch.nn.init.normal_(model.blocks[0].attention_out.weight)
    export(model, tmp_path / "verifier.onnx")
    network = Network(tmp_path / "verifier.onnx")
    tokens = Tokenizer().encode(next(generate("train")).text)
    with torch.no_grad():
        expected = model(torch.tensor([tokens]), select=torch.ones(1, len(tokens), dtype=torch.bool)).numpy()
    for end in (3, 4, 10, len(tokens)):
        outputs, _ = network.read("pieces", tokens[:end], row=0)
    np.testing.assert_allclose(outputs, expected, atol=1e-4)


def test_matrices_are_multiplied_in_bfloat16_only_where_the_processor_does_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def weights(name: str, mixed: bool, capabilities: dict[str, bool]) -> torch.Tensor:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
        schedule = Schedule(steps=2, batch=4, warmup=1, mixed=mixed)
        recipe = Recipe(width=16, layers=2, heads=2, schedule=schedule, seed=0)
        model = train_language_model(recipe, tmp_path / name)
        return torch.cat([each.flatten() for each in model.parameters()])

    plain = weights("plain", False, {"avx512_bf16": True})
    assert torch.equal(plain, weights("without", True, {"avx2": True}))
    assert not torch.equal(plain, weights("with", True, {"avx512_bf16": True}))


def test_training_the_verifier_lowers_its_held_out_loss(tmp_path: Path) -> None:
    solved = [
        Walk(problem=problem.text, steps=tuple(Story.parse(problem.text).solution()), last_correct=True, choices=())
        for problem in islice(generate("train"), 96)
    ]
    (tmp_path / "walks.jsonl").write_bytes(b"".join(msgspec.json.encode(walk) + b"\n" for walk in solved))
    batch = next(verifier_batches(solved[64:], 16, np.random.default_rng(99)))
    losses = []
    with as_file(files("steproute.lab") / "weights" / "lab-weak.onnx") as start:
        given = read_weights(start)[0]["embed.weight"]
        for updates in (1, 10):
            schedule = Schedule(steps=updates, batch=4, warmup=2, mixed=False)
            recipe = VerifierRecipe(start="weak", new_layers=1, walks=64, schedule=schedule)
            model = train_verifier(recipe, start, tmp_path / "walks.jsonl", tmp_path / f"verifier-{updates}")
            with torch.no_grad():
                losses.append(verifier_loss(model, *batch).item())
            np.testing.assert_array_equal(model.language_model.embed.weight.numpy(), given)
    assert losses[1] < losses[0] - 0.1


@pytest.mark.parametrize("name", ["lab-verifier", "lab-prm-place"])
def test_only_the_shipped_verifier_prefers_steps_to_altered_ones(name: LabScorerName) -> None:
    rng, scorer = np.random.default_rng(7), LabPrm(name)

    async def scored(problem: Problem, *steps: str) -> float:
        prefix = Prefix(problem=problem, session=problem.id).extended(
            *(Step(role="weak", text=text, tokens=0) for text in steps)
        )
        return (await scorer.score(prefix)).values[-1]

    async def wins() -> list[bool]:
        found = []
        for problem in islice(generate("validation", 11), 60):
            *before, last = Story.parse(problem.text).solution()
            found.append(await scored(problem, *before, last) > await scored(problem, *before, altered(last, rng)))
        return found

    share = np.mean(asyncio.run(wins()))
    assert share > 0.9 if name == "lab-verifier" else share < 0.8


def test_a_walk_is_labelled_up_to_its_first_incorrect_step(tmp_path: Path) -> None:
    write_walks(LabModel("lab-weak"), LabModel("lab-strong"), 12, tmp_path / "walks.jsonl")
    walks = list(read_walks(tmp_path / "walks.jsonl"))
    assert len(walks) == 12
    for walk in walks:
        story = Story.parse(walk.problem)
        verdicts = check_steps(story, walk.steps)
        assert [verdict is StepLabel.CORRECT for verdict in verdicts] == [True] * (len(walk.steps) - 1) + [
            walk.last_correct
        ]
        for choice in walk.choices:
            assert {item.correct for item in choice.candidates} == {True, False}
            for item in choice.candidates:
                last = check_steps(story, [*walk.steps[: choice.after], item.text])[-1]
                assert item.correct is (last is StepLabel.CORRECT)
    write_walks(LabModel("lab-weak"), LabModel("lab-strong"), 12, tmp_path / "walks.jsonl")
    assert list(read_walks(tmp_path / "walks.jsonl")) == walks, "a finished file is left as it is"


@pytest.mark.parametrize("seed", range(20))
def test_an_altered_step_is_incorrect(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for problem in islice(generate("validation", seed), 10):
        story = Story.parse(problem.text)
        steps = story.solution()
        after = int(rng.integers(len(steps)))
        changed = altered(steps[after], rng)
        assert check_steps(story, [*steps[:after], changed])[-1] is StepLabel.FIRST_ERROR, changed
        Tokenizer().encode(changed)


def test_the_first_error_is_the_first_token_that_no_correct_step_shares() -> None:
    facts = "(1) Ben has 30 coins. (2) Mia has 12 more coins than Ben. (3) Leo has 5 coins."
    text = f"{facts} How many coins does Mia have now?"
    story, tokenizer = Story.parse(text), Tokenizer()

    def shared(step: str, *before: str) -> str:
        return tokenizer.decode(tokenizer.encode(step)[: first_error(tokenizer, story, before, step)])

    assert set(correct_next(story, ())) == {"(1) Ben has 30.", "(3) Leo has 5."}
    assert shared("(1) Ben has 31.") == "(1) Ben has 3"
    assert shared("(2) Mia has Ben 30 + 12 = 42.") == "", "its person comes first"
    assert shared("(2) Mia has 12 + Ben 30 = 41.", "(1) Ben has 30.") == "(2) Mia has 12 + Ben 30 = 4"
    assert shared("(3) Leo has 5. So the answer", "(1) Ben has 30.") == "(3) Leo has 5."
