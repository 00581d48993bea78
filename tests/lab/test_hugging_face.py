import json
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

from steproute import Prefix, Problem
from steproute.lab.hugging_face import MARKER, _judging_head, _padded, _tokenizer, export_for_servers
from steproute.lab.story import Story, generate
from steproute.lab.tokenizer import Tokenizer as LabTokenizer
from steproute.lab.tokenizer import vocabulary
from steproute.scorers.step_text import QWEN_PRM, StepText

TEXTS = [
    f"{problem.text}\n\n" + "\n\n".join(Story.parse(problem.text).solution())
    for difficulty in ("easy", "standard", "hard")
    for problem in islice(generate("validation", 5, difficulty), 60)
]


def test_a_servers_tokenizer_reads_and_writes_as_the_labs() -> None:
    servers, lab = Tokenizer.from_str(json.dumps(_tokenizer(list(vocabulary())))), LabTokenizer()
    for text in TEXTS:
        ids = servers.encode(text).ids
        assert ids == lab.encode(text)
        assert servers.decode(ids) == text


def test_text_that_is_written_token_by_token_is_the_same() -> None:
    servers = Tokenizer.from_str(json.dumps(_tokenizer(list(vocabulary()))))
    for text in TEXTS[:20]:
        stream = DecodeStream(skip_special_tokens=True)
        pieces = [stream.step(servers, token) or "" for token in servers.encode(text).ids]
        assert "".join(pieces) == text


def test_the_marker_replaces_the_separator() -> None:
    servers = Tokenizer.from_str(json.dumps(_tokenizer([*vocabulary(), MARKER])))
    lab = LabTokenizer()
    problem, *steps = TEXTS[0].split("\n\n")
    ids = servers.encode(f"{problem}\n\n" + "".join(step + MARKER for step in steps)).ids
    assert [lab.separator if token == len(vocabulary()) else token for token in ids] == lab.encode(TEXTS[0] + "\n\n")


def test_the_reward_model_reads_what_qwens_reads() -> None:
    servers = Tokenizer.from_str(json.dumps(_tokenizer([*vocabulary(), MARKER])))
    problem, *steps = TEXTS[0].split("\n\n")
    marked = "".join(step + MARKER for step in steps)
    before, after = StepText(text=QWEN_PRM, marker=MARKER).around(Prefix(problem=Problem.ask(id="p", text=problem)))
    text = before + marked + after
    assert servers.encode(text).ids == servers.encode(f"{problem}\n\n{marked}").ids


def test_the_judging_head_is_a_sigmoid() -> None:
    rng = np.random.default_rng(0)
    row, x = rng.normal(size=(1, 8)).astype(np.float32), rng.normal(size=(50, 8)).astype(np.float32)
    head = _judging_head(row)
    bad, good = (np.maximum(x @ head["score.0.weight"].T, 0) @ head["score.2.weight"].T).T
    assert 1 / (1 + np.exp(bad - good)) == pytest.approx(1 / (1 + np.exp(-(x @ row[0]))), abs=1e-6)


def test_a_padded_head_has_the_same_products() -> None:
    rng = np.random.default_rng(0)
    query, key = rng.normal(size=(2, 4, 24, 9)).astype(np.float32)
    own = np.einsum("hdi,hdj->hij", query, key)
    assert np.einsum("hdi,hdj->hij", _padded(query), _padded(key)) == pytest.approx(own, abs=1e-5)


def test_an_export_is_whole(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    export_for_servers("lab-prm-place", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["architectures"] == ["Qwen2ForProcessRewardModel"]
    assert config["vocab_size"] == len(vocabulary()) + 1
    assert {path.name for path in tmp_path.iterdir()} == {
        *("config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
    }
