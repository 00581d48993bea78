"""What needs no llama.cpp: settings that cannot be, files that are none, a package that is missing, and draws."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from steproute.core.errors import ConfigError
from steproute.core.registry import models
from steproute.core.solution import Sampling
from steproute.models.draw import draw, log_softmax
from steproute.models.llama_cpp import LlamaCppModel, LlamaCppSettings

LOGITS = np.log(np.array([0.1, 0.4, 0.2, 0.3], dtype=np.float32))
UNBOUND = Sampling(temperature=1.0, top_p=1.0, top_k=0)


@pytest.mark.parametrize(
    ("field", "value"), [("n_ctx", 0), ("threads", -1), ("gpu_layers", -2), ("sessions", 0), ("n_ctx", "large")]
)
def test_a_number_that_cannot_be_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=field):
        LlamaCppModel.configured("weak", {"path": "m.gguf", field: value})


def test_a_file_that_is_missing_or_no_gguf_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Set path to a GGUF file"):
        LlamaCppModel("weak", LlamaCppSettings(path=str(tmp_path / "none.gguf")))
    (tmp_path / "other.gguf").write_bytes(b"PK\3\4 something else")
    with pytest.raises(ConfigError, match="no GGUF file"):
        LlamaCppModel("weak", LlamaCppSettings(path=str(tmp_path / "other.gguf")))


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    with pytest.raises(ConfigError, match=r"pip install 'steproute\[local\]'"):
        models.get("llama.cpp").configured("weak", {"path": str(tmp_path / "m.gguf")})


def test_temperature_0_takes_the_most_likely_token() -> None:
    assert {draw(LOGITS, Sampling(temperature=0.0), point) for point in (0.0, 0.5, 0.99)} == {1}


@pytest.mark.parametrize(
    ("sampling", "kept"),
    [
        (UNBOUND, {1: 0.4, 3: 0.3, 2: 0.2, 0: 0.1}),
        (Sampling(temperature=1.0, top_p=1.0, top_k=2), {1: 4 / 7, 3: 3 / 7}),
        (Sampling(temperature=1.0, top_p=0.5, top_k=0), {1: 4 / 7, 3: 3 / 7}),
        (Sampling(temperature=1.0, top_p=0.0, top_k=0), {1: 1.0}),
        (Sampling(temperature=0.5, top_p=1.0, top_k=3), {1: 16 / 29, 3: 9 / 29, 2: 4 / 29}),
    ],
)
def test_every_token_is_drawn_as_often_as_it_is_likely(sampling: Sampling, kept: dict[int, float]) -> None:
    points = (np.arange(2900) + 0.5) / 2900
    tokens, counts = np.unique([draw(LOGITS, sampling, point) for point in points], return_counts=True)
    assert dict(zip(tokens.tolist(), counts / 2900, strict=True)) == pytest.approx(kept, abs=1e-3)


def test_log_probabilities_add_up_to_one() -> None:
    assert np.exp(log_softmax(LOGITS + 7)) == pytest.approx([0.1, 0.4, 0.2, 0.3])
