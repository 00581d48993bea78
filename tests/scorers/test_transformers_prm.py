"""Reward models in this process: each head against plain transformers code, and batches against single calls."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from steproute.core.errors import ConfigError, ScorerError
from steproute.core.problem import Problem
from steproute.core.solution import Prefix, Scores, Step
from steproute.core.usage import Usage
from steproute.evaluation.datasets import load_problems
from steproute.scorers.transformers_prm import TransformersPrm, TransformersPrmSettings

pytestmark = pytest.mark.training

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
save_file = pytest.importorskip("safetensors.torch").save_file
tokenizers = pytest.importorskip("tokenizers")

WIDTH = 16
MARK = "<extra_0>"
STEPS = ("First, 3 * 4 = 12.", "Then 12 - 5\nwhich is 7.", "So \\boxed{7}.")


def prefix_of(*steps: str, problem: str = "How many pens?") -> Prefix:
    done = tuple(Step(role="weak", text=text, tokens=0) for text in steps)
    return Prefix(problem=Problem.ask(id="p", text=problem), steps=done)


def save_tiny(folder: Path, head: dict[str, Any], *, sharded: bool = False, context: int = 512) -> None:
    """A random Qwen2 of two layers with a byte-level tokenizer, and a head beside its own."""
    alphabet = {letter: place for place, letter in enumerate(sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = transformers.Qwen2Tokenizer(
        vocab=alphabet, merges=[], bos_token="<|endoftext|>", additional_special_tokens=[MARK]
    )
    config = transformers.Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=context,
        initializer_range=0.5,
        dtype="float32",
    )
    torch.manual_seed(0)
    transformers.Qwen2ForCausalLM(config).save_pretrained(folder, max_shard_size="8KB" if sharded else "1GB")
    tokenizer.save_pretrained(folder)
    if sharded:
        index = folder / "model.safetensors.index.json"
        document = json.loads(index.read_text())
        document["weight_map"] |= dict.fromkeys(head, "head.safetensors")
        index.write_text(json.dumps(document))
        save_file(head, folder / "head.safetensors", metadata={"format": "pt"})
    else:
        whole = transformers.Qwen2ForCausalLM.from_pretrained(folder).state_dict()
        save_file({**whole, **head}, folder / "model.safetensors", metadata={"format": "pt"})


def random_head(shapes: dict[str, tuple[int, ...]]) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(1)
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


QWEN_HEAD = {"score.0.weight": (WIDTH, WIDTH), "score.0.bias": (WIDTH,), "score.2.weight": (2, WIDTH)}
QWEN_HEAD |= {"score.2.bias": (2,)}
VALUE_HEAD = {"v_head.summary.weight": (1, WIDTH), "v_head.summary.bias": (1,)}


def scored(settings: TransformersPrmSettings, *prefixes: Prefix) -> list[Scores]:
    async def run() -> list[Scores]:
        scorer = TransformersPrm("prm", settings)
        return list(await asyncio.gather(*(scorer.score(prefix) for prefix in prefixes)))

    return asyncio.run(run())


def outputs(folder: Path, tokens: Sequence[int]) -> Any:
    """What transformers gives for one text: last hidden states (token, width) and logits (token, vocabulary)."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    with torch.no_grad():
        answer = model(torch.tensor([list(tokens)]), output_hidden_states=True)
    return answer.hidden_states[-1][0], answer.logits[0]


@pytest.mark.parametrize("sharded", [False, True], ids=["one file", "shards"])
def test_the_head_of_qwens_prm_is_two_layers_and_a_softmax(tmp_path: Path, sharded: bool) -> None:
    head = random_head(QWEN_HEAD)
    save_tiny(tmp_path, head, sharded=sharded)
    (got,) = scored(TransformersPrmSettings(model=str(tmp_path)), prefix_of(*STEPS))
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    system = "Please reason step by step, and put your final answer within \\boxed{}."
    text = (
        f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\nHow many pens?<|im_end|>\n<|im_start|>assistant\n"
    )
    text += "".join(step + MARK for step in STEPS) + "<|im_end|><|endoftext|>"
    tokens = tokenizer.encode(text)
    hidden, _ = outputs(tmp_path, tokens)
    inner = torch.relu(torch.nn.functional.linear(hidden, head["score.0.weight"], head["score.0.bias"]))
    both = torch.nn.functional.linear(inner, head["score.2.weight"], head["score.2.bias"]).softmax(-1)
    marks = torch.tensor(tokens) == tokenizer.convert_tokens_to_ids(MARK)
    assert got.values == pytest.approx(both[marks][:, 1].tolist(), abs=1e-5)
    assert got.usage == Usage(input_tokens=len(tokens))
    assert len(set(got.values)) == 3


def test_skyworks_value_head_judges_a_step_at_its_last_line(tmp_path: Path) -> None:
    head = random_head(VALUE_HEAD)
    save_tiny(tmp_path, head)
    (got,) = scored(TransformersPrmSettings(model=str(tmp_path), head="skywork"), prefix_of(*STEPS))
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    tokens = tokenizer.encode(tokenizer.bos_token + "How many pens?" + "\n")
    ends = []
    for line in "\n".join(STEPS).split("\n"):
        tokens += [*tokenizer.encode(line), tokenizer.encode("\n")[-1]]
        ends.append(len(tokens) - 1)
    hidden, _ = outputs(tmp_path, tokens)
    values = torch.sigmoid(hidden @ head["v_head.summary.weight"][0] + head["v_head.summary.bias"])
    assert got.values == pytest.approx([values[ends[line]].item() for line in (0, 2, 3)], abs=1e-5)
    assert got.usage == Usage(input_tokens=len(tokens))


def test_a_marker_tokens_score_is_the_softmax_over_good_and_bad(tmp_path: Path) -> None:
    save_tiny(tmp_path, {})
    settings = TransformersPrmSettings(model=str(tmp_path), head="marker-token", marker=MARK, between="\n")
    (got,) = scored(settings, prefix_of(*STEPS))
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    tokens = tokenizer.encode("How many pens? " + "\n".join(step + MARK for step in STEPS))
    _, logits = outputs(tmp_path, tokens)
    pair = [tokenizer.encode(token)[-1] for token in "+-"]
    both = logits[torch.tensor(tokens) == tokenizer.convert_tokens_to_ids(MARK)][:, pair].softmax(-1)
    assert got.values == pytest.approx(both[:, 0].tolist(), abs=1e-5)


def test_math_shepherds_text_is_read_as_it_was_trained(tmp_path: Path) -> None:
    words = ["<unk>", "▁How", "▁many?", "▁One.", "One.", "▁Two.", "Two.", "▁ки", "\n", "▁+", "▁-"]
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel({word: n for n, word in enumerate(words)}, "<unk>"))
    line_ends = tokenizers.pre_tokenizers.Split("\n", "isolated")
    spaces = tokenizers.pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([line_ends, spaces])
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>").save_pretrained(tmp_path)
    config = transformers.LlamaConfig(
        vocab_size=len(words), hidden_size=WIDTH, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
    )
    torch.manual_seed(0)
    transformers.LlamaForCausalLM(config).save_pretrained(tmp_path)
    (got,) = scored(
        TransformersPrmSettings(model=str(tmp_path), head="marker-token"),
        prefix_of("One.", "Two.", problem="How many?"),
    )
    tokens = [words.index(word) for word in ("▁How", "▁many?", "▁One.", "▁ки", "\n", "Two.", "▁ки")]
    _, logits = outputs(tmp_path, tokens)
    both = logits[:, [words.index("▁+"), words.index("▁-")]].softmax(-1)
    assert got.values == pytest.approx([both[place, 0].item() for place in (3, 6)], abs=1e-5)
    assert got.usage == Usage(input_tokens=len(tokens))


def test_texts_that_are_batched_get_the_scores_that_they_get_alone(tmp_path: Path) -> None:
    save_tiny(tmp_path, random_head(VALUE_HEAD))
    alone = TransformersPrmSettings(model=str(tmp_path), head="skywork", max_batch_tokens=1)
    prefixes = [prefix_of(*(STEPS * 3)[: 1 + n % 7], problem="How many? " * (1 + n % 5)) for n in range(30)]
    one_by_one, together = scored(alone, *prefixes), scored(replace(alone, max_batch_tokens=2000), *prefixes)
    for one, other in zip(one_by_one, together, strict=True):
        assert other.values == pytest.approx(one.values, abs=1e-5)
        assert other.usage == one.usage


def test_the_labs_prm_scores_as_in_process(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    from steproute.lab.hugging_face import export_for_servers
    from steproute.lab.models import LAB_SAMPLING, LabModel, LabPrm

    export_for_servers("lab-prm-place", tmp_path)
    settings = TransformersPrmSettings(model=str(tmp_path), text="{problem}\n\n{steps}")
    greedy = replace(LAB_SAMPLING, temperature=0.0, stop=None)

    async def prefixes() -> list[Prefix]:
        found = []
        for problem in load_problems("lab:test", 20, 0):
            empty = Prefix(problem=problem, session=problem.id)
            (draft,) = await LabModel("lab-weak").propose(empty, 1, greedy)
            found.append(empty.extended(*(Step(role="w", text=text, tokens=0) for text in draft.text.split("\n\n"))))
        return found

    async def own(solved: list[Prefix]) -> list[Scores]:
        return [await LabPrm("lab-prm-place").score(prefix) for prefix in solved]

    solved = asyncio.run(prefixes())
    expected = asyncio.run(own(solved))
    for most in (1, 16384):
        got = scored(replace(settings, max_batch_tokens=most), *solved)
        for one, other in zip(expected, got, strict=True):
            assert np.allclose(one.values, other.values, atol=1e-3)
            assert other.usage.input_tokens == one.usage.read_tokens


def test_text_that_would_cut_scores_is_rejected(tmp_path: Path) -> None:
    save_tiny(tmp_path, random_head(QWEN_HEAD))
    with pytest.raises(ScorerError, match="do not fit a context of 512"):
        scored(TransformersPrmSettings(model=str(tmp_path)), prefix_of("One. " * 200))


def test_a_quoted_marker_is_not_judged(tmp_path: Path) -> None:
    save_tiny(tmp_path, random_head(QWEN_HEAD))
    prefix = prefix_of("One.", f"Two {MARK}.", problem=f"What is {MARK}?")
    (scores,) = scored(TransformersPrmSettings(model=str(tmp_path)), prefix)
    assert len(scores.values) == 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"head": "qwen-prm"}, "has no score.0.weight, so its head is not 'qwen-prm'"),
        ({"head": "skywork", "marker": "<none>"}, "marker: '<none>' is no single token"),
        ({"head": "marker-token", "marker": MARK, "good": "good"}, "good: 'good' is no single token"),
        ({"head": "skywork", "device": "meat"}, "cannot be loaded on meat"),
    ],
)
def test_a_model_that_does_not_fit_its_settings_is_refused(
    tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    save_tiny(tmp_path, random_head(VALUE_HEAD))
    with pytest.raises(ConfigError, match=message):
        scored(TransformersPrmSettings(model=str(tmp_path), **settings), prefix_of("One."))


def test_an_incomplete_body_is_rejected(tmp_path: Path) -> None:
    head = random_head(VALUE_HEAD)
    save_tiny(tmp_path, head)
    whole = transformers.Qwen2ForCausalLM.from_pretrained(tmp_path).state_dict()
    del whole["model.layers.1.mlp.up_proj.weight"]
    save_file({**whole, **head}, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ConfigError, match="lacks weights"):
        scored(TransformersPrmSettings(model=str(tmp_path), head="skywork"), prefix_of("One."))


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be loaded"):
        scored(TransformersPrmSettings(model=str(tmp_path / "none")), prefix_of("One."))


ROUTER_HEAD = {"score.weight": (2, WIDTH), "score.bias": (2,)}


def test_a_router_scores_a_step_by_its_first_label_behind_the_authors_tag(tmp_path: Path) -> None:
    head = random_head(ROUTER_HEAD)
    save_tiny(tmp_path, head)
    settings = TransformersPrmSettings(model=str(tmp_path), head="router")
    strong = Step(role="strong", text=STEPS[0], tokens=0)
    weak = Step(role="weak", text=STEPS[1], tokens=0)
    (got,) = scored(settings, replace(prefix_of(), steps=(strong, weak)))
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    (newline,) = tokenizer.encode("\n")
    first = [*tokenizer.encode("How many pens?\n"), *tokenizer.encode(f"Model 1: {STEPS[0]}"), newline]
    tokens = [*first, *tokenizer.encode(f"Model 0: {STEPS[1]}"), newline]
    hidden, _ = outputs(tmp_path, tokens)
    labels = torch.nn.functional.linear(hidden, head["score.weight"], head["score.bias"]).softmax(-1)
    assert got.values == pytest.approx([float(labels[len(first) - 1, 0]), float(labels[-1, 0])], abs=1e-5)
    assert TransformersPrm("router", settings).reads_authors


def test_a_router_without_two_labels_is_refused(tmp_path: Path) -> None:
    save_tiny(tmp_path, random_head({"score.weight": (3, WIDTH)}))
    with pytest.raises(ConfigError, match="head is not 'router'"):
        scored(TransformersPrmSettings(model=str(tmp_path), head="router"), prefix_of(*STEPS))
