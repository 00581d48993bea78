"""Trained weights to one self-contained ONNX file: graph, weights, vocabulary and context length."""

import json
from pathlib import Path
from typing import Final, Literal

import onnx
import torch
from torch import Tensor, nn

from steproute.lab.tokenizer import vocabulary
from steproute.lab.train.transformer import Transformer
from steproute.lab.train.verifier_network import VerifierNetwork

CONTEXT: Final = 384


def export(
    model: Transformer | VerifierNetwork, path: Path, *, reads: Literal["example", "plans"] | None = None
) -> None:
    """Write `path` (.onnx). Inputs and outputs are those of `Transformer.extend`, the past padded to CONTEXT.

    reads: the advice that the model has learnt to read, which its metadata then name.
    """
    shape = model.shape
    cached = torch.zeros(2, shape.heads, CONTEXT, shape.width // shape.heads)
    caches = [cached.clone() for _ in range(2 * shape.layers)]
    tokens, positions = torch.zeros(2, 3, dtype=torch.int64), torch.arange(3).expand(2, 3).contiguous()
    batch, new = torch.export.Dim("batch", max=1024), torch.export.Dim("new", max=CONTEXT)
    layers = range(shape.layers)
    program = torch.onnx.export(
        _Flat(model).eval(),
        (tokens, positions, torch.zeros(2, 1, 1, CONTEXT), *caches),
        input_names=["tokens", "positions", "past_mask", *(f"{kind}_{i}" for kind in ("key", "value") for i in layers)],
        output_names=["outputs", *(f"new_{kind}_{i}" for kind in ("key", "value") for i in layers)],
        dynamic_shapes=({0: batch, 1: new}, {0: batch, 1: new}, {0: batch}, tuple({0: batch} for _ in caches)),
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    proto = without_traces(program.model_proto)
    facts = {"tokens": json.dumps(vocabulary()), "context": str(CONTEXT), "shape": json.dumps(_facts(model))}
    onnx.helper.set_model_props(proto, facts | ({"reads": reads} if reads else {}))
    path.write_bytes(proto.SerializeToString())


def without_traces(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model without where in whose source files each of its nodes was made; it is changed in place."""
    graph = proto.graph
    for made in (graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del made.metadata_props[:]
        made.doc_string = ""
    return proto


class _Flat(nn.Module):
    """`Transformer.extend` with caches as plain arguments, keys before values."""

    def __init__(self, model: Transformer | VerifierNetwork) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor, positions: Tensor, past_mask: Tensor, *caches: Tensor) -> tuple[Tensor, ...]:
        half = len(caches) // 2
        outputs, keys, values = self.model.extend(
            tokens, positions, past_mask, list(caches[:half]), list(caches[half:])
        )
        return (outputs, *keys, *values)


def _facts(model: Transformer | VerifierNetwork) -> dict[str, int]:
    shape = model.shape
    return {
        "layers": shape.layers,
        "heads": shape.heads,
        "width": shape.width,
        "outputs": shape.outputs,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }
