"""The lab's models as Hugging Face folders, so that vLLM and others can serve them."""

import json
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Final

import numpy as np
from safetensors.numpy import save_file

from steproute.core.arrays import F32
from steproute.lab.models import Servable
from steproute.lab.onnx_weights import read_weights
from steproute.lab.tokenizer import END, PAD, PATTERN, SEPARATOR

MARKER: Final = "<extra_0>"
"""Stands for the separator after each step in what the PRM reads; where it stands the PRM judges."""

_HEAD: Final = 32  # the narrowest head that vLLM computes on a CPU
_ROTATION: Final = 1000.0
_SHARP: Final = 1024.0
_SPACES: Final = r" (?=[.,?}]|\n\n|<extra_0>)|(?<=\n\n) |(?<=\\boxed\{) |(?<=\d) (?=\d)|(?<=<extra_0>) "
_CHAT: Final = (  # what Qwen2.5-Math-PRM reads, down to the problem and its steps
    (r"<\|im_start\|>system\n[^<]*<\|im_end\|>\n<\|im_start\|>user\n", ""),
    (r"<\|im_end\|>\n<\|im_start\|>assistant\n", SEPARATOR),
    (r"<\|im_end\|><\|endoftext\|>", ""),
)
_TEMPLATE: Final = (
    "{% for message in messages %}{% if message['role'] != 'system' %}{{ message['content'] }}"
    "{% if message['role'] == 'user' %}{{ '\n\n' }}{% endif %}{% endif %}{% endfor %}"
)


def export_for_servers(name: Servable, folder: Path) -> None:
    """Write config, weights, tokenizer and chat template of a lab model to `folder`.

    Language models become LlamaForCausalLM, the PRM Qwen2ForProcessRewardModel with the marker `<extra_0>`, which
    reads the text of Qwen2.5-Math-PRM. Same function as in process, but for rounding: a squared ReLU is written as a
    gated SiLU of very steep slope, and heads are padded. lab-verifier has no such form: no architecture of these
    servers looks back at what a language model expected. Raises ConfigError if the package that reads the weights is
    missing.
    """
    with as_file(files("steproute.lab") / "weights" / f"{name}.onnx") as path:
        weights, facts = read_weights(path)
    shape, tokens, context = facts.shape, list(facts.tokens), facts.context
    scores = shape["outputs"] == 1
    folder.mkdir(parents=True, exist_ok=True)
    tensors = _tensors(weights, shape)
    if scores:
        tensors |= _judging_head(tensors.pop("lm_head.weight"))
        biased = [key for key in tensors if key.endswith(("q_proj.weight", "k_proj.weight", "v_proj.weight"))]
        tensors |= {key.replace("weight", "bias"): np.zeros(len(tensors[key]), np.float32) for key in biased}
        tokens = [*tokens, MARKER]
        embedding = tensors["model.embed_tokens.weight"]
        tensors["model.embed_tokens.weight"] = np.vstack([embedding, embedding[tokens.index(SEPARATOR)]])
    save_file({key: np.ascontiguousarray(value) for key, value in tensors.items()}, folder / "model.safetensors")
    ends = {"bos_token_id": None, "eos_token_id": tokens.index(END), "pad_token_id": tokens.index(PAD)}
    _write(folder / "config.json", _config(shape, len(tokens), context, scores=scores) | ends)
    _write(folder / "generation_config.json", {"eos_token_id": tokens.index(END)})
    _write(folder / "tokenizer.json", _tokenizer(tokens))
    _write(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "eos_token": END,
            "pad_token": PAD,
            "model_max_length": context,
            "clean_up_tokenization_spaces": False,
            "chat_template": _TEMPLATE,
        },
    )


def _tensors(weights: dict[str, F32], shape: dict[str, int]) -> dict[str, F32]:
    """Llama's names; all matrices are (out, in)."""
    heads, width = shape["heads"], shape["width"]
    own = width // heads
    tensors = {
        "model.embed_tokens.weight": weights["embed.weight"],
        "model.norm.weight": weights["norm.weight"],
        "lm_head.weight": weights["head.weight"],
    }
    scale = np.float32(np.sqrt(_HEAD / own))  # undoes the division by the root of the padded width
    for layer in range(shape["layers"]):
        of = {name.split(".")[2]: value for name, value in weights.items() if name.startswith(f"blocks.{layer}.")}
        query, key, value = of["query_key_value"].reshape(3, heads, own, width)
        out = of["attention_out"].T.reshape(heads, own, width)
        at = f"model.layers.{layer}"
        tensors |= {
            f"{at}.input_layernorm.weight": of["attention_norm"],
            f"{at}.post_attention_layernorm.weight": of["mlp_norm"],
            f"{at}.self_attn.q_proj.weight": _padded(query * scale).reshape(-1, width),
            f"{at}.self_attn.k_proj.weight": _padded(key).reshape(-1, width),
            f"{at}.self_attn.v_proj.weight": _padded(value).reshape(-1, width),
            f"{at}.self_attn.o_proj.weight": _padded(out).reshape(-1, width).T,
            f"{at}.mlp.gate_proj.weight": of["up"] * np.float32(_SHARP),
            f"{at}.mlp.up_proj.weight": of["up"] / np.float32(_SHARP),
            f"{at}.mlp.down_proj.weight": of["down"],
        }
    return tensors


def _padded(parts: F32) -> F32:
    """(head, own width, inputs) to (head, 32, inputs); each half of a head, which rotates with the other, by itself."""
    heads, own, inputs = parts.shape
    padded = np.zeros((heads, 2, _HEAD // 2, inputs), np.float32)
    padded[:, :, : own // 2] = parts.reshape(heads, 2, own // 2, inputs)
    return padded.reshape(heads, _HEAD, inputs)


def _judging_head(row: F32) -> dict[str, F32]:
    """Two layers whose softmax over (bad, good) is the sigmoid of row · x, since relu(z) − relu(−z) = z."""
    width = row.shape[1]
    first, second = np.zeros((width, width), np.float32), np.zeros((2, width), np.float32)
    first[0], first[1] = row[0], -row[0]
    second[1, :2] = 1, -1
    return {
        "score.0.weight": first,
        "score.0.bias": np.zeros(width, np.float32),
        "score.2.weight": second,
        "score.2.bias": np.zeros(2, np.float32),
    }


def _config(shape: dict[str, int], vocabulary: int, context: int, *, scores: bool) -> dict[str, Any]:
    own = shape["width"] // shape["heads"]
    return {
        "architectures": ["Qwen2ForProcessRewardModel" if scores else "LlamaForCausalLM"],
        "model_type": "llama",  # of both: with "qwen2", transformers would put Qwen's tokenizer in the place of ours
        "vocab_size": vocabulary,
        "hidden_size": shape["width"],
        "intermediate_size": 4 * shape["width"],
        "num_hidden_layers": shape["layers"],
        "num_attention_heads": shape["heads"],
        "num_key_value_heads": shape["heads"],
        "head_dim": _HEAD,
        "hidden_act": "silu",
        "max_position_embeddings": context,
        "rms_norm_eps": 1e-5,
        "rope_theta": _ROTATION ** (_HEAD / own),  # a padded head's first frequencies are those of the head
        "tie_word_embeddings": False,
        "dtype": "float32",
    }


def _tokenizer(tokens: list[str]) -> dict[str, Any]:
    """The lab's tokenizer in the form of the `tokenizers` package."""
    special = [token for token in (PAD, END, MARKER) if token in tokens]
    chat = [{"type": "Replace", "pattern": {"Regex": pattern}, "content": content} for pattern, content in _CHAT]
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": tokens.index(token), "content": token, **flags} for token in special],
        "normalizer": {"type": "Sequence", "normalizers": chat} if MARKER in tokens else None,
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": PATTERN}, "behavior": "Removed", "invert": True},
        "post_processor": None,
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "WordPiece", "prefix": "##", "cleanup": False},
                {"type": "Fuse"},
                {"type": "Replace", "pattern": {"Regex": _SPACES}, "content": ""},
            ],
        },
        "model": {"type": "WordLevel", "vocab": {token: i for i, token in enumerate(tokens)}, "unk_token": PAD},
    }


def _write(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=1) + "\n")
