"""The weights in a lab model's .onnx file, under the names of the network that was trained."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from steproute.core.arrays import F32
from steproute.core.errors import ConfigError

_NORMS: Final = ("attention_norm", "mlp_norm")
_MATRICES: Final = ("query_key_value", "attention_out", "up", "down")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What a file says of its model: sizes (`width`, `layers`, `heads`, `outputs`), vocabulary, context in tokens."""

    shape: dict[str, int]
    tokens: tuple[str, ...]
    context: int


def read_weights(path: Path) -> tuple[dict[str, F32], ModelFacts]:
    """Arrays by parameter name, matrices as (out, in), and the model's facts.

    Raises ConfigError if the package that reads the file is missing.
    """
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError as missing:
        raise ConfigError(
            f"reading lab weights needs {missing.name}.", remedy="Run: pip install 'steproute[learn]'."
        ) from None
    model = onnx.load(path)
    metadata = {item.key: item.value for item in model.metadata_props}
    facts = ModelFacts(
        shape=json.loads(metadata["shape"]),
        tokens=tuple(json.loads(metadata["tokens"])),
        context=int(metadata["context"]),
    )
    arrays = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    named = {key.removeprefix("model."): value for key, value in arrays.items() if key.startswith("model.")}
    matrices = iter([value.T for key, value in arrays.items() if value.ndim == 2 and not key.startswith("model.")])
    weights = {"embed.weight": named["embed.weight"], "norm.weight": named["norm.weight"]}
    for layer in range(facts.shape["layers"]):
        at = f"blocks.{layer}"
        weights |= {f"{at}.{part}.weight": named[f"{at}.{part}.weight"] for part in _NORMS}
        weights |= {f"{at}.{part}.weight": next(matrices) for part in _MATRICES}
    return weights | {"head.weight": next(matrices)}, facts
